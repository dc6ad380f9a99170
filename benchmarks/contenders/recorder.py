"""Takes down when runs began, in a Redis that no contender uses. Needs redis-py alone, for it runs
in the environment of the peers too; imports it late, for a process patches before it does.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any, NamedTuple

KEY = "runs"

#: Seconds between two writes of what has gathered.
FLUSH_SECONDS = 0.25


class Began(NamedTuple):
    """One run, at its first line."""

    job: str
    pid: int
    #: Unix seconds.
    at: float


class Recorder:
    """`ran(job)` is the first line of every job. Made in the process that runs the jobs, after it
    was patched and forked.
    """

    def __init__(self, url: str, recording: str) -> None:
        import redis

        self._client = redis.Redis.from_url(url)
        self._gathered: list[str] = []
        self._pid = os.getpid()
        self._at_once = recording == "inside"
        if not self._at_once:
            threading.Thread(target=self._flush_now_and_then, daemon=True).start()

    def ran(self, job: str) -> None:
        line = f"{time.time():.6f} {self._pid} {job}"
        if self._at_once:
            self._client.rpush(KEY, line)
        else:
            self._gathered.append(line)

    def flush(self) -> None:
        """Write what has gathered."""
        lines, self._gathered = self._gathered, []
        if lines:
            self._client.rpush(KEY, *lines)

    def _flush_now_and_then(self) -> None:
        while True:
            time.sleep(FLUSH_SECONDS)
            self.flush()


def began(client: Any) -> list[Began]:
    """All runs that were recorded, in the order in which they began."""
    found = []
    for raw in client.lrange(KEY, 0, -1):
        at, pid, job = raw.decode().split(" ", 2)
        found.append(Began(job, int(pid), float(at)))
    return sorted(found, key=lambda run: run.at)
