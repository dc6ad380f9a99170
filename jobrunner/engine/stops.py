"""Telling a run to stop: thrown into its greenlet, and said again while it goes on."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import gevent

from ..clock import Clock
from ..errors import RunStopped
from .active import ActiveRun

logger = logging.getLogger("jobrunner")


class Stops:
    """Tells the runs of one instance to stop, from its hub."""

    def __init__(self, trust: Clock, check_interval: float) -> None:
        self._trust = trust
        self._check_interval = check_interval

    def stop(self, active: ActiveRun, reason: RunStopped) -> None:
        """Tell a run to stop, and throw `reason` into it where that is possible."""
        active.stop_reason = reason
        active.told_at = self._trust()
        if active.pause is not None:
            active.pause.set()
        self._throw_soon(active, reason)

    def remind(self, living: Iterable[ActiveRun]) -> float:
        """Stop again what was told to stop and goes on. Returns the seconds until the next time.

        Its lease is not released under it: while it is ours it is renewed until the run ends.
        """
        now = self._trust()
        for active in living:
            reason = active.told
            if reason is None:
                if active.is_late(now):
                    self._time_out(active)
            elif now - active.told_at >= self._check_interval:
                logger.warning(
                    "Job %s goes on, %.1f s after it was told to stop",
                    active.name,
                    now - active.told_at,
                    extra=active.extra,
                )
                self._throw_soon(active, reason)
        return self._check_interval

    def alarm(self, active: ActiveRun, seconds: float) -> Any:
        """A timer of the hub that stops the attempt of a run; to be closed at its end."""
        timer = gevent.get_hub().loop.timer(seconds)
        timer.start(self._time_out, active)
        return timer

    def _time_out(self, active: ActiveRun) -> None:
        # At the end of the user's code its time is looked at once more: here it is only told.
        if active.in_body and active.told is None:
            active.overtime = active.timed_out()
            active.told_at = self._trust()
            self._throw_soon(active, active.overtime)

    def _throw_soon(self, active: ActiveRun, reason: RunStopped) -> None:
        if active.interruptible:
            gevent.get_hub().loop.run_callback(self._throw, active, reason)

    def _throw(self, active: ActiveRun, reason: RunStopped) -> None:
        # Looked at here, in the hub, right before the throw: never into the recording of its end,
        # nor for a timeout into the next attempt.
        wanted = active.in_body and active.told is reason
        if wanted and active.greenlet is not None:
            active.greenlet.throw(reason)
