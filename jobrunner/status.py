"""What the fleet knows of a job now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .run import Outcome, Progress, Skip


@dataclass(frozen=True, slots=True)
class JobStatus:
    """One job, as `JobRunner.status` returns it. Times are Redis's Unix seconds."""

    name: str
    #: In words.
    schedule: str
    sync_key: str
    #: The last start; None: it never ran.
    last_run: float | None
    #: The next due time, in the past when it is due now; None when it cannot be told.
    next_due: float | None
    #: The id of the run that holds the job; None when nobody does.
    running: str | None
    #: The instance of that run.
    instance: str | None
    #: Seconds until its lease ends unless it is renewed.
    lease_left: float | None
    last_finish: float | None
    last_outcome: Outcome | None
    last_error: str | None
    #: How many runs were claimed, and how they ended.
    runs: int
    succeeded: int
    failed: int
    interrupted: int
    lease_lost: int
    stale: int
    abandoned: int
    timed_out: int
    cancelled: int
    #: Until when the job waits because its last runs were abandoned; None: it does not.
    quarantined_until: float | None
    #: Whether a person has paused the job; until when (None: until it is resumed), and why.
    paused: bool
    paused_until: float | None
    pause_reason: str
    #: The id of a run-now request that no instance has taken yet.
    requested: str | None
    #: How far the run that runs now is.
    progress: Progress | None
    #: What the last run that succeeded returned, as JSON.
    last_result: str | None
    last_success: float | None
    #: Since when the job has had no success for longer than it expects; None: it is not overdue.
    overdue_since: float | None
    #: How often the job was due and not run, by reason; and the last time.
    skips: Mapping[Skip, int]
    last_skip: Skip | None
    last_skip_due: float | None
    #: Whether the job is switched on, and meant for instances such as this one.
    enabled: bool
    runs_here: bool
    #: What in Redis cannot be read, quoted; None when all is well.
    problem: str | None


@dataclass(frozen=True, slots=True)
class InstanceStatus:
    """One instance of the fleet, as `JobRunner.instances` returns it."""

    id: str
    #: Redis's Unix seconds of its last check.
    last_seen: float
    host: str
    pid: int | None
    tags: tuple[str, ...]
    started_at: float | None
