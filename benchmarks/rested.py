"""Jobs that have just run: what an idle instance has."""

from __future__ import annotations

import redis

NAMESPACE = "bench"


def rested(client: redis.Redis, jobs: int) -> None:
    """Let `job-0` and so on have started just now, somewhere else; nothing else is there."""
    client.flushdb()
    now = int(client.time()[0])
    for first in range(0, jobs, 1000):
        names = range(first, min(first + 1000, jobs))
        client.mset({f"{{{NAMESPACE}}}:job:job-{number}": now for number in names})
