"""What every contender is: a way to have jobs run, at its best honest configuration.

A contender says which processes a scenario needs; each is a process of its own, so that none
inherits what another one imported or patched. Its jobs tell a `Recorder` when they began.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent

#: Where the contenders' processes find the scenario.
VARIABLE = "BENCHMARK_SCENARIO"

#: burst: `jobs` no-ops that come due at once, one run each is waited for.
#: beat: `jobs` no-ops every `interval` seconds.
Kind = Literal["burst", "beat"]


@dataclass(frozen=True)
class Scenario:
    """What is to be run. Handed to the processes of a contender as JSON in the environment."""

    kind: Kind
    jobs: int
    #: Seconds between two due times of one job.
    interval: float
    #: The contender's own Redis, and the one that the runs are recorded in: another server, so
    #: that the commands of the first are the contender's alone.
    redis: str
    record: str
    #: inside: recorded by the job itself, before it goes on; buffered: four times a second.
    recording: Literal["inside", "buffered"] = "buffered"
    #: Seconds that each run takes, asleep.
    work: float = 0.0
    #: Names what differs between contenders of one program (a job store, a lock's time).
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return [f"job-{number}" for number in range(self.jobs)]

    def environ(self) -> dict[str, str]:
        """The environment of a process that is to find it."""
        return {**os.environ, VARIABLE: json.dumps(asdict(self)), "PYTHONPATH": str(ROOT)}

    @classmethod
    def here(cls) -> Scenario:
        """The scenario that this process was started for."""
        return cls(**json.loads(os.environ[VARIABLE]))


class Command(NamedTuple):
    """A process of a contender."""

    argv: list[str]
    #: scheduler: decides what is due; worker: runs it; both: an instance of what needs no other.
    role: Literal["scheduler", "worker", "both"]


@dataclass(frozen=True)
class Contender:
    """One row of a table."""

    #: Its name in results, and in words.
    name: str
    title: str
    #: The module with its application: `benchmarks.contenders.<module>`.
    module: str
    #: Whether it is ours, and runs in the project's environment and not in that of the peers.
    ours: bool = False
    #: Whether what is due stands in Redis, and not in a process alone.
    schedule_in_redis: bool = False
    #: Whether it runs inside a web worker.
    embeds: bool = False
    #: Whether its due times are whole multiples of the interval, whenever it ran last.
    on_grid: bool = False
    #: The shortest interval that it knows, in seconds.
    finest: float = 0.001
    #: The largest burst that it gets through in seconds; None: any.
    burst: int | None = None
    #: Whether a burst may have to wait for the next minute, or takes long all the same.
    slow: bool = False
    #: Where its configuration is recommended.
    sources: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


def settle() -> None:
    """What users of gunicorn do once everything is loaded: keep the collector off it. Every
    contender that is timed does it when it has started.
    """
    gc.collect()
    gc.freeze()


def command(
    module: str,
    *arguments: str,
    ours: bool = False,
    role: Literal["scheduler", "worker", "both"] = "both",
) -> Command:
    """A process that runs `benchmarks.contenders.<module>`."""
    return Command([python(ours=ours), "-m", f"benchmarks.contenders.{module}", *arguments], role)


def python(*, ours: bool) -> str:
    """The interpreter of the project, or of the environment that the peers are installed in."""
    if ours:
        return sys.executable
    return str(ROOT / ".venv-peers" / "bin" / "python")
