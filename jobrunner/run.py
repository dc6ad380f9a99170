"""One execution of a job: the run that holds a lease, its outcome, its entry in the history."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from .errors import ConfigurationError


class Outcome(StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    #: Its instance drained, and the run outlived the drain timeout.
    INTERRUPTED = "interrupted"
    #: It was told that its lease was gone, and stopped.
    LEASE_LOST = "lease_lost"
    #: A newer run had opened its session: what this one wrote was refused.
    STALE = "stale"
    #: Its instance died: recorded by another one when the lease had ended.
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Run:
    """What a job may know of the run it is in, as `ctx.run`. Times are Redis's Unix seconds."""

    #: Printable, unique in the fleet.
    id: str
    job: str
    instance: str
    #: The fencing token: larger in every newer run of this job.
    token: int
    #: When the job was due.
    due_at: float
    #: When the run was claimed: exactly the millisecond that Redis stores as the last start.
    started_at: float
    attempt: int = 1
    #: For the engine; read `already_committed`.
    ask_committed: Callable[[], bool] | None = field(default=None, repr=False, compare=False)

    @property
    def already_committed(self) -> bool:
        """Whether a run for this very due time has made its final commit, so that the effect is
        there and need not be made again: what a run that repeats an abandoned one may find
        (`recover=True`). Read it at the beginning. `ConfigurationError` in a job without a fence.
        """
        if self.ask_committed is None:
            raise ConfigurationError(
                f"ctx.run.already_committed is kept for fenced jobs with a database: give job "
                f"{self.job!r} fenced=True and a session factory."
            )
        return self.ask_committed()


def new_id() -> str:
    """A random id, for an instance or a run: 96 bits from the operating system, printable."""
    return secrets.token_hex(12)


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One past run, as `JobRunner.history` returns it. Times are Redis's Unix seconds."""

    run_id: str
    job: str
    token: int
    instance: str
    due_at: float
    started_at: float
    #: When it ended; of an `abandoned` run, when another instance noticed.
    finished_at: float
    outcome: Outcome
    #: Type and text of the exception, cut; None after a success.
    error: str | None
