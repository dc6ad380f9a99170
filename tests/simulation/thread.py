"""Stands in for the keeper's native thread: a strand of its own, which reports to the hub."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event

from .virtual_time import Strand, VirtualTime


class VirtualThread:
    """Loops around a step of the keeper, as its thread does, though its hub stands still."""

    def __init__(
        self,
        time: VirtualTime,
        thread: Strand,
        step: Callable[[], float],
        on_failure: Callable[[BaseException], None],
        at_the_end: Callable[[], None],
    ) -> None:
        self._time = time
        self._step = step
        self._on_failure = on_failure
        self._at_the_end = at_the_end
        self._hub = time.strand
        self._stopping = False
        self._alarm = Event()
        self._ended = Event()
        with time.acting_for(thread):
            gevent.spawn(self._live)
            time.settle()

    def report(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call `function` in the hub, when that goes on."""
        self._time.on(self._hub, 0.0, function, *arguments)

    def stop(self) -> None:
        self._stopping = True
        self._alarm.set()
        self._ended.wait()

    def _live(self) -> None:
        while not self._stopping:
            self._alarm.wait(self._step_once())
        self._at_the_end()
        self.report(self._ended.set)

    def _step_once(self) -> float:
        try:
            return self._step()
        except Exception as error:
            self.report(self._on_failure, error)
            return 0.1
