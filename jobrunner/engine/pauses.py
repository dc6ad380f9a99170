"""The pauses of the loop: how long it sleeps between two ticks, and what wakes it before."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

import gevent

from ..clock import RedisClock
from ..store.redis import RedisStore
from .agenda import Agenda
from .alarm import Alarm
from .busy import BUSY, wait_here
from .spread import delay

#: The shortest pause, in seconds: the resolution of due times.
_SHORTEST = 0.001

#: So many seconds before something comes due its claims are put together, to be sent in time: a
#: timer of the hub goes off up to a millisecond late. Each claim, and the greenlet of its run, take
#: so many more. How many it will be is not known yet, but that it is no more than there are jobs.
_AHEAD, _EACH, _MOST = 0.00125, 0.000_01, 100

#: But not after a shorter pause: for the rest of that time the hub goes round and round.
_WORTH_IT = 0.05


def turn(left: float) -> None:
    """A turn of the hub, for `left` seconds are to pass: its timers are not fine enough."""
    gevent.sleep(0)


class Coming(NamedTuple):
    """What the loop has woken for, shortly before its time."""

    #: The due time, in Redis's milliseconds.
    due_ms: int
    #: The trust second at which to ask about it.
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
        #: What it sleeps for is due then; None: it does not sleep for anything that is known.
        self._until_ms: float | None = None
        self._coming: Coming | None = None
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
        """What comes due in a moment, if the last pause was for that."""
        coming, self._coming = self._coming, None
        if coming is None:
            return None
        is_near = 0 < coming.at - self._clock.trust() <= 2 * (_AHEAD + _EACH * _MOST)
        return coming if is_near else None

    def wait_for(self, coming: Coming) -> None:
        """Until it is time to ask about it, to a part of a millisecond."""
        while (left := coming.at - self._clock.trust()) > 0:
            turn(left)

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
        self._until_ms = now_ms + seconds * 1000
        if next_ms is not None:
            # Nothing that comes due after that is a reason to wake, though the delay is not over.
            self._until_ms = min(next_ms, self._until_ms)
            until_due = max(_SHORTEST, (self._clock.ms_until(next_ms) or 0.0) / 1000)
            waits = delay(self._chance, self._store.living, self._check_interval)
            until_due += waits
            # Who comes later by chance need not come to the millisecond; and how fast an injected
            # clock goes nobody knows.
            is_worth_it = until_due > _WORTH_IT and not waits and not self.is_hub_busy
            if is_worth_it and self._clock.injected_ms() is None:
                self._coming = Coming(next_ms, self._clock.trust() + until_due)
                until_due -= _AHEAD + _EACH * min(len(self._agenda), _MOST)
            seconds = min(seconds, until_due)
        return seconds
