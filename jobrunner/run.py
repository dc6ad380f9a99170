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
    #: Its (last) attempt took longer than the job's timeout.
    TIMED_OUT = "timed_out"
    #: A person cancelled it.
    CANCELLED = "cancelled"
    #: Its instance drained, and the run outlived the drain timeout.
    INTERRUPTED = "interrupted"
    #: It was told that its lease was gone, and stopped.
    LEASE_LOST = "lease_lost"
    #: A newer run had opened its session: what this one wrote was refused.
    STALE = "stale"
    #: Its instance died: recorded by another one when the lease had ended.
    ABANDONED = "abandoned"


class Skip(StrEnum):
    """Why a due job was not run."""

    #: Its last run was still going on.
    HELD = "held"
    PAUSED = "paused"
    QUARANTINED = "quarantined"
    #: The due time had passed by more than the job's grace when somebody could run it: all were
    #: away, or had no free slot.
    MISFIRED = "misfired"
    #: Its `when` said no, or raised.
    WHEN = "when"


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
    #: When the run started, which is when it was claimed, or, where the claim came a moment before
    #: the job was due, that time: exactly the millisecond that Redis stores as the last start.
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


def new_ids(number: int) -> list[str]:
    """Several of them, for which the operating system is asked once."""
    digits = secrets.token_hex(12 * number)
    return [digits[at : at + 24] for at in range(0, len(digits), 24)]


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
    attempts: int = 1
    #: The end of the exception's traceback.
    traceback: str | None = None
    #: What the job returned, as JSON; None: nothing, or nothing that could be kept.
    result: str | None = None
    #: The id of the request that this run answered; None: the schedule had it due.
    request: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, as `ctx.progress` told."""

    done: float
    #: None: not known.
    total: float | None
    message: str
    #: Redis's Unix seconds.
    at: float
