"""The questions that are put to Redis about jobs, and what its answers say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from ..job import JobDefinition
from ..run import HistoryEntry, Outcome

#: `Ask.computed_from` before Redis was asked, and the version of a job that never ran.
UNKNOWN, NEVER = "?", "-"


class Status(StrEnum):
    """What Redis says to one ask."""

    CLAIMED = "claimed"
    #: The same run id had been claimed already: the answer to it was lost.
    AGAIN = "again"
    HELD = "held"
    EARLY = "early"
    DUE = "due"
    CHANGED = "changed"
    CORRUPT = "corrupt"


class Ask(NamedTuple):
    """One job in a claim. Without a run id it is a look."""

    definition: JobDefinition
    run_id: str
    #: The version of what the due time was computed from (`Known.version`), or UNKNOWN.
    computed_from: str
    early_until_ms: int
    #: 0: whatever the time of the claim is.
    due_ms: int


class Known(NamedTuple):
    """What every answer tells of a job, in Redis's milliseconds."""

    last_ms: int | None
    first_seen_ms: int | None
    running: str | None
    lease_left_ms: int
    #: The due time of the last run, when that was abandoned and no run has been claimed since.
    abandoned_due_ms: int | None = None
    #: How many runs were abandoned one after the other, and when the last of them was recorded.
    abandoned_in_row: int = 0
    abandoned_ms: int | None = None

    @property
    def version(self) -> str:
        """What a claim names to say which state of affairs its due time was computed from."""
        last = NEVER if self.last_ms is None else str(self.last_ms)
        if self.abandoned_ms is None:
            return last
        return f"{last}/{self.abandoned_in_row}/{self.abandoned_ms}"


class Answer(NamedTuple):
    """The answer to one ask."""

    status: Status
    known: Known
    #: The run that this call recorded as abandoned.
    abandoned: str | None
    token: int
    due_ms: int
    #: What cannot be read, quoted.
    problem: str


class Ending(NamedTuple):
    """How one run ended, on its way to Redis."""

    definition: JobDefinition
    run_id: str
    outcome: Outcome
    error: str
    #: Trust seconds at which it ended.
    ended_at: float


class Finish(NamedTuple):
    """The answer to one ending."""

    #: finished; amended: it had been recorded as abandoned; gone: nothing was done.
    status: str
    known: Known
    problem: str


class Peek(NamedTuple):
    """What Redis holds of one job, read without touching it."""

    last_start: str | None
    state: Mapping[str, str]
    lease_left_ms: int
    problem: str | None


def text(raw: Any) -> str:
    """What stands in Redis as text; what is no UTF-8 is replaced."""
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)


def known_of(raw: Sequence[Any]) -> Known:
    """KNOWN of the scripts."""
    last, first_seen, running, left, abandoned_due, abandoned_in_row, abandoned = raw
    return Known(
        _number(last),
        _number(first_seen),
        text(running) or None,
        left,
        _number(abandoned_due),
        abandoned_in_row,
        _number(abandoned),
    )


def _number(raw: Any) -> int | None:
    return raw if isinstance(raw, int) else None


def answer_of(raw: Sequence[Any]) -> Answer:
    """One answer of the claiming script."""
    status, known, abandoned, detail, due_ms = raw
    return Answer(
        Status(text(status)),
        known_of(known),
        text(abandoned) or None,
        detail if isinstance(detail, int) else 0,
        due_ms,
        "" if isinstance(detail, int) else text(detail),
    )


def finish_of(raw: Sequence[Any]) -> Finish:
    """One answer of the finishing script."""
    return Finish(text(raw[0]), known_of(raw[1]), text(raw[2]))


def described(definition: JobDefinition, instance: str) -> str:
    """What other processes read of a job; `instance` is who says so."""
    return json.dumps(
        {
            "schedule": str(definition.schedule),
            "sync_key": definition.keys.sync_key,
            "origin": definition.origin,
            "instance": instance,
        }
    )


def origin_of(raw: Any) -> str | None:
    """The origin in what `described` wrote; None: it did not write it."""
    try:
        return str(json.loads(raw)["origin"])
    except (TypeError, ValueError, KeyError, RecursionError):
        return None  # nothing there, or not ours: written anew


def peek_of(last_start: Any, state: Any, lease_left: Any, holder: Any) -> Peek:
    """The answers to GET, HGETALL, PTTL and GET of the lease; an exception is the problem."""
    parts = [last_start, state, lease_left]
    if isinstance(state, dict) and (state.get(b"run") or state.get("run")):
        parts.append(holder)  # else a claim replaces it, whatever it is
    problems = [str(part) for part in parts if isinstance(part, Exception)]
    if problems:
        return Peek(None, {}, 0, problems[0])
    fields = {text(field): text(value) for field, value in state.items()}
    return Peek(None if last_start is None else text(last_start), fields, max(0, lease_left), None)


def entry_of(job: str, raw: Mapping[Any, Any]) -> HistoryEntry | None:
    """One entry of a job's stream; None for one that the scripts have not written."""
    fields = {text(field): text(value) for field, value in raw.items()}
    try:
        return HistoryEntry(
            run_id=fields["run"],
            job=job,
            token=int(fields["token"]),
            instance=fields["instance"],
            due_at=_seconds(fields["due_ms"]),
            started_at=_seconds(fields["started_ms"]),
            finished_at=_seconds(fields["finished_ms"]),
            outcome=Outcome(fields["outcome"]),
            error=fields["error"] or None,
        )
    except (KeyError, ValueError):
        return None


def _seconds(milliseconds: str) -> float:
    return float(milliseconds or 0) / 1000
