"""The greenlets of runs: plain ones, one for each, and some made before their time.

What gevent's own keep besides, the stack on which they were made and links for who waits for them,
costs a fifth of what making, switching to and ending one does. Who waits for a run waits for that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
from greenlet import getcurrent, greenlet

from .active import ActiveRun


class RunGreenlet(greenlet):  # type: ignore[misc]  # greenlet has no types here
    """Where one run lives."""

    __slots__ = ("is_over",)

    def throw(self, *error: Any) -> Any:
        """As gevent's: a timeout that the job forgot strikes nobody once the run is over."""
        is_over = self.dead or getattr(self, "is_over", False)
        return None if is_over else super().throw(*error)


class RunGreenlets:
    """Makes those of one instance. `live` is what a run does in its greenlet.

    A greenlet asks the system for its stack when it is switched to for the first time. For runs
    that are about to be claimed that is done while their due time is waited for: the greenlet goes
    as far as to where it waits for its run.
    """

    def __init__(self, live: Callable[[ActiveRun], None]) -> None:
        self._live = live
        #: That wait for a run, and the hub that they belong to.
        self._waiting: list[RunGreenlet] = []
        self._hub: Any = None

    def prepare(self, number: int) -> None:
        """Have so many wait for a run of this hub."""
        hub = gevent.get_hub()
        if hub is not self._hub:
            self._hub, self._waiting = hub, []
        for _ in range(number - len(self._waiting)):
            waiting = RunGreenlet(self._wait, hub)
            waiting.switch(getcurrent())
            self._waiting.append(waiting)

    def take(self, hub: Any) -> RunGreenlet:
        """One for a run, which it is to be switched to with."""
        if self._waiting and hub is self._hub:
            return self._waiting.pop()
        return RunGreenlet(self._live, hub)

    def forget(self) -> None:
        """No more runs: those that wait for one end."""
        self._waiting = []

    def _wait(self, maker: greenlet) -> None:
        self._live(maker.switch())
        # To end takes longer than to begin, for the stack is given back: others may begin first.
        getcurrent().is_over = True
        gevent.sleep(0)
