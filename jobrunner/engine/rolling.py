"""The rolling look: how every job is looked at within the resync interval, a slice each tick."""

from __future__ import annotations

from ..clock import RedisClock
from .agenda import Agenda, Entry


class RollingLook:
    """Of one scheduler."""

    def __init__(self, agenda: Agenda, clock: RedisClock, resync_interval: float) -> None:
        self._agenda = agenda
        self._clock = clock
        self._resync_interval = resync_interval
        #: Trust seconds of the last tick; None: there was none.
        self._last: float | None = None
        #: How many jobs the time that has passed owes a look.
        self._owed = 0.0

    def owed(self, everything: bool) -> list[Entry]:
        """The jobs that a tick is to look at: the next slice, or all of them."""
        now = self._clock.trust()
        passed = 0.0 if self._last is None else now - self._last
        self._last = now
        if everything:
            self._owed = 0.0
            self._agenda.put_off_no_more()
            return self._agenda.everything()
        self._owed += len(self._agenda) * min(1.0, passed / self._resync_interval)
        number = int(self._owed)
        self._owed -= number
        return self._agenda.take_slice(number)
