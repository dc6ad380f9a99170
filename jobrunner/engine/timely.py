"""Waits that end at their very moment."""

from __future__ import annotations

import gevent

from ..clock import Clock
from .busy import turn_of_the_loop

#: A timer of the hub goes off so many seconds late, or less.
TIMER_LATE = 0.001_25


def wait_until(trust: Clock, moment: float) -> None:
    """Until trust second `moment`, to a part of a millisecond."""
    while (left := moment - trust()) > 0:
        step(left)


def step(left: float) -> None:
    """A part of waiting `left` seconds: by a timer most of it, and then by turns of the loop, for
    all else to go on.
    """
    if left > TIMER_LATE:
        gevent.sleep(left - TIMER_LATE)
    else:
        turn_of_the_loop()
