"""Waits that end at their very moment."""

from __future__ import annotations

import gevent
from gevent import monkey

from ..clock import Clock
from .busy import turn_of_the_loop

#: A timer of the hub goes off so many seconds late, or less.
TIMER_LATE = 0.001_25

#: For so long the whole thread sleeps between two turns of the loop, which would take all of a core
#: otherwise; the system adds half of that. What comes meanwhile has to wait for it.
_NAP = 0.000_1

#: The system's own: gevent's is a timer of the hub.
_sleep = monkey.get_original("time", "sleep")


def wait_until(trust: Clock, moment: float) -> None:
    """Until trust second `moment`, to a part of a millisecond."""
    while (left := moment - trust()) > 0:
        step(left)


def step(left: float) -> None:
    """A part of waiting `left` seconds: by a timer most of it, and then by turns of the loop, for
    all else to go on, with naps between them.
    """
    if left > TIMER_LATE:
        gevent.sleep(left - TIMER_LATE)
        return
    turn_of_the_loop()
    if left > 3 * _NAP:
        _sleep(_NAP)
