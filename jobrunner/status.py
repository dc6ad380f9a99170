"""What the fleet knows of a job now."""

from __future__ import annotations

from dataclasses import dataclass

from .run import Outcome


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
    #: Until when the job waits because its last runs were abandoned; None: it does not.
    quarantined_until: float | None
    #: What in Redis cannot be read, quoted; None when all is well.
    problem: str | None
