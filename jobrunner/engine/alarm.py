"""What ends the pause between two ticks: its time, or somebody who has news."""

from __future__ import annotations

from typing import Any

import gevent
from gevent.hub import Waiter


class Alarm:
    """One greenlet sleeps, and others of its hub may wake it.

    An `Event` would do, but for a hub that is busy with requests: a wait with a time limit ends
    there behind all that has happened meanwhile, and what the greenlet sends then waits for the
    next turn of the loop. This one's timer comes first.
    """

    def __init__(self) -> None:
        self._is_rung = False
        self._waiter: Any = None

    @property
    def is_rung(self) -> bool:
        """Whether the next sleep ends at once."""
        return self._is_rung

    def ring(self) -> None:
        """End the sleep, or the next one if nobody sleeps."""
        self._is_rung = True
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            gevent.get_hub().loop.run_callback(waiter.switch, None)

    def sleep(self, seconds: float) -> bool:
        """Sleep so long. Returns whether it was ended by a ring."""
        if not self._is_rung:
            loop = gevent.get_hub().loop
            timer = loop.timer(seconds, priority=loop.MAXPRI)
            waiter = self._waiter = Waiter()
            try:
                # The loop knows the time at which its turn began. Who has computed since sleeps
                # from now on, not from then, and does not wake before anything is due.
                timer.start(waiter.switch, None, update=True)
                waiter.get()
            finally:
                self._waiter = None
                timer.stop()
                timer.close()
        was_rung, self._is_rung = self._is_rung, False
        return was_rung
