"""How many of the jobs that are due one call asks about. Pure.

A tick begins with small calls: what the first ones have claimed runs while Redis is at the next.
They grow, for each call has a price of its own, up to a size that holds up the web requests beside
it for three milliseconds or so. But where a call takes long, because the hub is busy with requests
or Redis is far, each one is worth as much as it can hold.
"""

from __future__ import annotations

#: The size of the first two calls of a tick; of each two that follow it is twice as much.
_SMALLEST = 50

#: The largest.
LARGEST = 200

#: From so many seconds on a call takes long.
_LONG = 0.005


def size(turn: int, took: float) -> int:
    """Of the call number `turn` of a tick, counted from 0; `took`: what the last one took, in
    seconds.
    """
    return LARGEST if took > _LONG else min(_SMALLEST << min(turn // 2, 8), LARGEST)
