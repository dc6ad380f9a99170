"""How long a burst took, told by a contender whose one process decides, runs and records."""

from __future__ import annotations

from typing import Any

from .recorder import KEY as RUNS
from .recorder import began

KEY = "burst"


def tell(url: str, seconds: float) -> None:
    """All jobs have run, and what the contender keeps of that is kept."""
    import redis

    redis.Redis.from_url(url).set(KEY, repr(seconds))


def told(client: Any, jobs: int) -> float | None:
    """Seconds for `jobs` runs; None: they are not over.

    Where several processes share the work nobody can tell, and it is the time from the first
    run's beginning to the last one's: without what comes before and after, in their favour.
    """
    seconds = client.get(KEY)
    if seconds is not None:
        return float(seconds)
    if client.llen(RUNS) < jobs:
        return None
    runs = began(client)
    return runs[-1].at - runs[0].at
