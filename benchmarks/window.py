"""When a watch begins: far from all due times, so that none of them is near its ends."""

from __future__ import annotations

import time
from collections.abc import Sequence

from .contenders.recorder import Began


def is_steady(runs: Sequence[Began], interval: float) -> bool:
    """Whether the last run tells when the next ones are due. Who knows whole minutes alone may run
    everything once at its start, in the middle of one.
    """
    return bool(runs) and (interval < 60 or runs[-1].at - runs[0].at > interval / 2)


def between_two_dues(runs: Sequence[Began], interval: float) -> float:
    """A Unix second half an interval away from what was due lately, as the last run tells it, and
    from what will be; in the next interval, or a moment ago.
    """
    now = time.time()
    last = runs[-1].at
    return last + interval / 2 + max(0.0, (now - last) // interval) * interval
