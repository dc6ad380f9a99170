"""How many of the jobs that are due one call asks about, and in which batches. Pure.

The batches of a call are sent together: Redis is at the next while this process takes in the last.
A tick begins with small ones, so that the first runs begin soon. They grow, for each batch has a
price of its own, up to a size that holds up the web requests beside it for three milliseconds or
so. But where a call takes long, because the hub is busy with requests or Redis is far, each one is
worth as much as it can hold.
"""

from __future__ import annotations

#: The batches of the first call of a tick, and of all that follow.
_ROWS = ((30, 70), (100, 100))

#: How many jobs the calls claim that are made before their time. The sooner the first answer comes,
#: the better is known what time it is for Redis.
AHEAD = (10, 90)

#: Those of a call where calls take long.
_LARGE = (200, 200)

#: From so many seconds on a call takes long.
_LONG = 0.005

#: Every call asks about so many at least, if they are due.
LEAST = min(map(sum, _ROWS))


def sizes(turn: int, took: float) -> tuple[int, ...]:
    """The batches of the call number `turn` of a tick, counted from 0; `took`: how long the first
    answers of the last one took, in seconds.
    """
    return _LARGE if took > _LONG else _ROWS[min(turn, len(_ROWS) - 1)]
