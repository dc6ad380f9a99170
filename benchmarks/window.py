"""When a watch begins: far from all due times, so that none of them is near its ends."""

from __future__ import annotations

import time
from collections.abc import Sequence

from .contenders.recorder import Began


def between_two_dues(runs: Sequence[Began], interval: float) -> float:
    """A Unix second half an interval away from what was due lately, as the last run tells it, and
    from what will be; in the next interval, or a moment ago.

    With intervals of whole minutes it is half a minute past one: who knows nothing shorter may have
    run once at its start, too.
    """
    now = time.time()
    if interval % 60 == 0:
        last = now // 60 * 60
        return last + 30 + (60 if now > last + 30 else 0)
    last = runs[-1].at if runs else now
    return last + interval / 2 + max(0.0, (now - last) // interval) * interval
