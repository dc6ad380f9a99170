"""The pauses of the loop: how long it sleeps between two ticks, and what wakes it before."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from ..clock import RedisClock
from ..store.redis import RedisStore
from .agenda import Agenda
from .alarm import Alarm
from .busy import BUSY, wait_here
from .sizes import AHEAD
from .spread import delay
from .timely import TIMER_LATE

#: The shortest pause, in seconds: the resolution of due times.
_SHORTEST = 0.001

#: What comes due is claimed before its time, so that all is ready then. Each claim takes so many
#: seconds here and in Redis. How many it will be is not known yet, but that it is no more than
#: there are jobs, and than are claimed before their time.
_EACH, _MOST = 0.000_02, sum(AHEAD)

#: A call is expected to take as long as the last one did, up to so many seconds: what took longer
#: was chance.
_LONGEST_CALL = 0.004

#: By so many milliseconds a claim may come before its time at most.
AHEAD_MS = 10

#: What comes due within so many seconds is near enough: less, for the clocks do not agree wholly.
_NEAR = AHEAD_MS / 1000 - 0.001

#: One moment in so many milliseconds is claimed before its time, not more: until it has come the
#: loop of the hub goes round and round.
_SELDOM_MS = 50


class Coming(NamedTuple):
    """What the loop has woken for, shortly before its time."""

    #: The due time, in Redis's milliseconds.
    due_ms: int
    #: The trust second at which a question about it finds it due.
    at: float


class Pauses:
    """Of one scheduler."""

    def __init__(
        self,
        agenda: Agenda,
        store: RedisStore,
        clock: RedisClock,
        *,
        check_interval: float,
        instance: str,
    ) -> None:
        self._agenda = agenda
        self._store = store
        self._clock = clock
        self._check_interval = check_interval
        # Seeded by the instance: workers forked from one master begin with the same global state.
        self._chance = Random(instance)
        self.alarm = Alarm()
        #: What comes due before that is a reason to wake; None: anything is.
        self._until_ms: float | None = None
        self._coming: Coming | None = None
        #: What came the last time.
        self._came_ms = 0
        #: Seconds from the sending of the last call until its first answer was here: the scheduler
        #: knows.
        self.call_took = 0.0
        #: By how much the last pause was longer than it was to be.
        self._late = 0.0

    @property
    def is_hub_busy(self) -> bool:
        """Whether the hub woke the loop late the last time."""
        return self._late > BUSY

    def end(self) -> None:
        """There is work: end the pause."""
        self.alarm.ring()

    def reconsider(self) -> None:
        """The agenda has changed: end the pause, if something comes due sooner than it ends."""
        next_ms = self._agenda.next_ms()
        sooner = self._until_ms is not None and next_ms is not None and next_ms < self._until_ms
        if sooner or self._agenda.has_waiting:
            self.alarm.ring()

    def sleep(self, is_stopping: Callable[[], bool]) -> None:
        """Until something may be due, and at most for the check interval. Who is woken because
        something comes due sooner than it did sleeps on until then.
        """
        trust = self._clock.trust
        until = trust() + self._check_interval
        while True:
            ends = trust() + (seconds := self._seconds(until - trust()))
            if not self.alarm.sleep(seconds):
                self._late = trust() - ends
                break
            if is_stopping() or self._until_ms is None or self._is_work_here():
                break
        self._until_ms = None
        self._store.servers.patience = wait_here if self.is_hub_busy else None

    def coming(self) -> Coming | None:
        """What comes due in a moment, and is to be claimed now, if the last pause was for that."""
        coming, self._coming = self._coming, None
        if coming is None:
            return None
        if not 0 < coming.at - self._clock.trust() < _NEAR:
            return None
        self._came_ms = coming.due_ms
        return coming

    def _is_work_here(self) -> bool:
        now_ms, next_ms = self._clock.now_ms(), self._agenda.next_ms()
        is_due = now_ms is None or (next_ms is not None and next_ms <= now_ms)
        return is_due or self._agenda.has_waiting

    def _seconds(self, most: float) -> float:
        """Seconds until something may be due, `most` at most; notes what they are counted to."""
        now_ms, seconds = self._clock.now_ms(), max(0.0, most)
        self._coming = None
        if not self._store.link.up or now_ms is None:
            self._until_ms = None
            return seconds
        next_ms = self._agenda.next_ms()
        waits = delay(self._chance, self._store.living, self._check_interval)
        ahead = self._ahead(waits)
        self._until_ms = now_ms + (seconds + ahead) * 1000
        if next_ms is not None:
            # Nothing that comes due after that is a reason to wake, though the delay is not over.
            self._until_ms = min(next_ms, self._until_ms)
            until_due = (self._clock.ms_until(next_ms) or 0.0) / 1000
            is_soon = 0 <= next_ms - self._came_ms < _SELDOM_MS
            if ahead and not is_soon:
                self._coming = Coming(next_ms, self._clock.trust() + until_due)
                until_due -= ahead
            seconds = min(seconds, max(_SHORTEST, until_due) + waits)
        return seconds

    def _ahead(self, waits: float) -> float:
        """How many seconds before something comes due it is claimed; 0: at its time."""
        # Who comes later by chance need not come to the millisecond; and nobody knows how fast an
        # injected clock goes, nor what time it is for each server of a Cluster.
        is_known = self._clock.injected_ms() is None and self._store.servers.undivided
        if waits or self.is_hub_busy or not is_known:
            return 0.0
        claims = _EACH * min(len(self._agenda), _MOST)
        return TIMER_LATE + claims + min(self.call_took, _LONGEST_CALL)
