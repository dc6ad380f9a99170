"""How long an instance waits, by chance, before it asks about what has come due. Pure.

All instances know the same due times. If each asked at once, the one that is nearest to Redis
would have all the work of the fleet, and every due time would cost a call of every instance. So a
few, another few each time, wait so briefly that the first of them comes about as soon as it would
alone; the others wait so long that they ask about much in one call, which tells them what was
started meanwhile, and are there when those few were busy or dead. Who is alone has nobody to make
way for, and does not wait.
"""

from __future__ import annotations

from random import Random

#: How many instances come soon, on average; once in e^8 times (3,000) it is none.
_SOON = 8

#: Seconds for each of them. The first of n that wait up to n times as long comes so late, on
#: average.
_EACH = 0.001

#: Nobody waits longer, in seconds.
_LONGEST = 0.25

#: Nor longer than this part of a check interval. A survivor of a fleet that has just died counts
#: the dead among the living for a while, and still has to take over within one check interval; of
#: that, an overdue job that is held takes three quarters before it is asked about again.
_OF_CHECK_INTERVAL = 1 / 5


def delay(chance: Random, living: int, check_interval: float) -> float:
    """Seconds that an instance of a fleet of so many waits this time; 0: it is alone."""
    if living < 2:
        return 0.0
    longest = min(_LONGEST, check_interval * _OF_CHECK_INTERVAL)
    soon = min(living, _SOON)
    if chance.random() * living < soon:
        longest = min(longest, soon * _EACH)
    return chance.uniform(0, longest)
