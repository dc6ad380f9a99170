"""Progress: what runs tell of how far they are, on its way to Redis.

A job only notes the newest, from any greenlet or thread, and never waits. What was noted of all
runs goes to Redis in one call, and nothing wakes up while nobody notes anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event

from ..clock import Clock, trust_seconds
from ..errors import StoreError
from ..run import Progress
from ..store.answers import Report
from ..store.redis import MAX_BATCH, RedisStore
from .active import ActiveRun


class ProgressBoard:
    """The newest of each run of one instance that Redis has not been told."""

    def __init__(
        self,
        store: RedisStore,
        *,
        interval: float = 0.5,
        trust: Clock = trust_seconds,
        now_ms: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._store = store
        self._interval = interval
        self._trust = trust
        self._now_ms = now_ms
        #: Whether any run has ever told how far it is, or is listened to.
        self.is_used = False
        #: By run id. Other threads set single items; only the hub takes some out.
        self._dirty: dict[str, Report] = {}
        self._noted = Event()
        #: Whether the hub has been told to wake up.
        self._called = False
        self._hub_loop: Any = None
        #: Who wants to hear at once, in the job's own thread; by run id.
        self._listeners: dict[str, Callable[[Progress], None]] = {}

    def listen(self, run_id: str, listener: Callable[[Progress], None] | None) -> None:
        """Call `listener` with each progress of a run, until that is over."""
        if listener is not None:
            self.is_used = True
            self._listeners[run_id] = listener

    def note(self, active: ActiveRun, done: float, total: float | None, message: str) -> None:
        """How far a run is, from any thread."""
        if active.ended:
            return  # a thread that the job left behind
        self.is_used = True
        self._dirty[active.run_id] = Report(
            active.definition, active.run_id, done, total, message, self._trust()
        )
        listener = self._listeners.get(active.run_id) if self._listeners else None
        if listener is not None:
            listener(Progress(done, total, message, (self._now_ms() or 0) / 1000))
        if not self._called and self._hub_loop is not None:
            self._called = True
            self._hub_loop.run_callback_threadsafe(self._noted.set)

    def forget(self, active: ActiveRun) -> None:
        """A run is over: its end takes its progress away."""
        self._dirty.pop(active.run_id, None)
        self._listeners.pop(active.run_id, None)

    def send(self) -> None:
        """Send what was noted since the last time. What does not arrive is sent the next time,
        unless there is something newer by then.
        """
        while self._dirty:
            reports: list[Report] = []
            while self._dirty and len(reports) < MAX_BATCH:
                reports.append(self._dirty.popitem()[1])
            try:
                answers = self._store.progress(reports)
            except StoreError as error:
                answers = [error] * len(reports)
            lost = [
                report
                for report, answer in zip(reports, answers, strict=True)
                if isinstance(answer, StoreError)
            ]
            for report in lost:
                self._dirty.setdefault(report.run_id, report)
            if lost:
                return  # the link has logged it

    def loop(self, lives: Callable[[], bool] = lambda: True) -> None:
        """Send whenever something was noted, and not again within the interval."""
        self._hub_loop = gevent.get_hub().loop
        self._called = False
        try:
            if self._dirty:
                self._noted.set()
            while lives():
                self._noted.wait()
                self._noted.clear()
                self._called = False  # before the look: what is noted from now on wakes us again
                self.send()
                gevent.sleep(self._interval)
                if self._dirty:  # what did not arrive
                    self._noted.set()
        finally:
            self._hub_loop = None
