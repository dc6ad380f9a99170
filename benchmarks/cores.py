"""Who runs on which core: a server and its client on one core take turns, and whether they do is
the system's whim, which would be measured instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Protocol


class HasPid(Protocol):
    """A process."""

    @property
    def pid(self) -> int: ...


def cores() -> tuple[int, int]:
    """Where a contender of one process goes, and where go Redis and what loads it; one core may be
    both.
    """
    ours = sorted(os.sched_getaffinity(0))
    return ours[0], ours[-1]


def pinned(core: int, argv: list[str]) -> list[str]:
    """The command on that core alone."""
    return ["taskset", "--cpu-list", str(core), *argv]


def keep_away(servers: Iterable[HasPid]) -> None:
    """Leave the first core to the contender."""
    for server in servers:
        os.sched_setaffinity(server.pid, {cores()[1]})
