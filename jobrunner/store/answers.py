"""The questions that are put to Redis about jobs, and what its answers say."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from ..errors import StoreError
from ..job import JobDefinition
from ..run import HistoryEntry, Outcome

#: `Ask.computed_from` before Redis was asked, the version of a job that never ran, and the one
#: of a claim that any state of affairs is right for.
UNKNOWN, NEVER, ANY = "?", "-", "*"

#: `Ask.due_ms` of runs out of turn: one that a person has requested, and one made by hand.
OF_REQUEST, BY_HAND = -1, -2


#: Makes a named tuple without a call of Python's, which takes half as long: every run comes by.
new = tuple.__new__


class Status(StrEnum):
    """What Redis says to one ask."""

    CLAIMED = "claimed"
    #: The same run id had been claimed already: the answer to it was lost.
    AGAIN = "again"
    HELD = "held"
    EARLY = "early"
    PAUSED = "paused"
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
    #: 0: whatever the time of the claim is; or OF_REQUEST, BY_HAND.
    due_ms: int
    #: Due times that passed without a run, `REASON:MS,MS`, or a success that did not come.
    note: str = ""
    #: What the version is of: a short answer tells nothing of it again.
    known: Known | None = None


class Touched(NamedTuple):
    """What people have done to a job, as far as it is in force."""

    #: Until which ms it is paused, '-': until it is resumed, '': it is not.
    paused: str
    #: The id of a request to run now.
    request: str
    #: The run that is to be cancelled.
    cancel: str


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
    #: The last due time of the schedule for which a run was claimed.
    served_ms: int | None = None
    finished_ms: int | None = None
    succeeded_ms: int | None = None
    #: It is noted already that no success came in time.
    is_overdue: bool = False
    #: What people have done to it; None: nothing.
    touched: Touched | None = None

    @property
    def request(self) -> str:
        """The id of a request to run now that no run has taken; '': there is none."""
        return "" if self.touched is None else self.touched.request

    @property
    def version(self) -> str:
        """What a claim names to say which state of affairs its due time was computed from."""
        last = NEVER if self.last_ms is None else str(self.last_ms)
        if self.abandoned_ms is None:
            return last
        return f"{last}/{self.abandoned_in_row}/{self.abandoned_ms}"

    @property
    def version_with_served(self) -> str:
        """The version where each due time has a run of its own: two of them may start in one
        millisecond, and differ in what they served alone.
        """
        return f"{self.version}@{NEVER if self.served_ms is None else self.served_ms}"


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
    #: The part of the note that nobody had noted before.
    noted: str = ""
    #: A run is granted to a job to which nothing but runs has happened: there is nothing else.
    is_plain: bool = False


class Ending(NamedTuple):
    """How one run ended, on its way to Redis."""

    definition: JobDefinition
    run_id: str
    #: What the claim's answer told: a short answer tells nothing of it again.
    known: Known
    outcome: Outcome
    error: str
    #: Trust seconds at which it ended.
    ended_at: float
    attempts: int = 1
    #: The end of the exception's traceback.
    traceback: str = ""
    #: What the job returned, as JSON.
    result: str = ""


class Report(NamedTuple):
    """How far one run is, on its way to Redis."""

    definition: JobDefinition
    run_id: str
    done: float
    total: float | None
    message: str
    #: Trust seconds at which the job told it.
    told_at: float

    @property
    def members(self) -> str:
        """The members of the JSON object that Redis keeps; the script adds when it was."""
        told = {"done": self.done, "total": self.total, "message": self.message}
        return json.dumps(told)[1:-1]


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
    last, first_seen, running, left, due, row, row_ms, served, finished, succeeded, late, told = raw
    return Known(
        last,
        first_seen,
        running and text(running),
        left,
        due,
        row,
        row_ms,
        served,
        finished,
        succeeded,
        late == 1,
        Touched(*map(text, told)) if told else None,
    )


#: The statuses by what the scripts say.
_STATUSES = {status.encode(): status for status in Status}

_CLAIMED = (Status.CLAIMED, Status.AGAIN)


def is_claim(raw: Any) -> bool:
    """Whether an answer of the claiming script grants a run."""
    return isinstance(raw, int) or _STATUSES[raw[0]] in _CLAIMED


_NOTHING = Known(None, None, None, 0)


def answers_of(
    asks: Sequence[Ask], raw: Sequence[Any], now_ms: int, lease_ms: int
) -> list[Answer | StoreError]:
    """The claiming script's answers, given at `now_ms`: each whole, or its token alone, or the
    error that stands in its place.
    """
    answers: list[Answer | StoreError] = []
    claimed = Status.CLAIMED  # each look at an enumeration takes its time
    for ask, one in zip(asks, raw, strict=True):
        if type(one) is int:
            # Claimed by its schedule, and nothing else happened to the job since it was asked
            # about.
            _, run_id, _, early_until_ms, due_ms, _, before = ask
            _, first_seen_ms, _, _, _, _, _, _, finished_ms, succeeded_ms, is_overdue, _ = (
                before or _NOTHING
            )
            told = (
                # Claimed before its time it starts at that.
                now_ms if now_ms > early_until_ms else early_until_ms + 1,
                first_seen_ms,
                run_id,
                lease_ms,
                None,
                0,
                None,
                due_ms,
                finished_ms,
                succeeded_ms,
                is_overdue,
                None,
            )
            known = new(Known, told)
            answers.append(new(Answer, (claimed, known, None, one, due_ms, "", "", True)))
        else:
            answers.append(one if isinstance(one, StoreError) else _whole(one))
    return answers


def _whole(raw: Any) -> Answer:
    status, of_job, abandoned, detail, due_ms, noted = raw
    is_token = isinstance(detail, int)
    return Answer(
        _STATUSES[status],
        known_of(of_job),
        text(abandoned) if abandoned else None,
        detail if is_token else 0,
        due_ms,
        text(detail) if detail and not is_token else "",
        text(noted) if noted else "",
    )


def finishes_of(claimed: Iterable[Known], raw: Iterable[Any]) -> Sequence[Finish]:
    """The finishing script's answers: each whole, or the millisecond of its end alone. `claimed`:
    what was known of each job when the run was claimed.
    """
    finishes: list[Finish] = []
    for before, one in zip(claimed, raw, strict=True):
        if type(one) is int:
            # A success, and nothing else happened to the job since it was claimed.
            last_ms, first_seen_ms, _, _, due_ms, _, abandoned_ms, served_ms, _, _, _, _ = before
            told = (
                last_ms,
                first_seen_ms,
                None,
                0,
                due_ms,
                0,
                abandoned_ms,
                served_ms,
                one,
                one,
                False,
                None,
            )
            known = new(Known, told)
            finishes.append(new(Finish, ("finished", known, "")))
        else:
            status, of_job, problem = one
            finish = Finish(text(status), known_of(of_job), text(problem) if problem else "")
            finishes.append(finish)
    return finishes


class Controlled(NamedTuple):
    """The answer to one control: `control.lua` says what."""

    status: str
    detail: str
    instance: str


def controlled_of(raw: Sequence[Any]) -> Controlled:
    """The answer of the controlling script."""
    return Controlled(*map(text, raw))


class Control(NamedTuple):
    """What people have touched since this instance last asked."""

    #: The newest entry of the control stream.
    newest: str
    #: Some may have been missed: every job is to be looked at.
    everything: bool
    names: tuple[str, ...]


def control_of(raw: Any) -> Control | None:
    """CONTROL of the claiming script; None: nothing is new."""
    if not raw:
        return None
    newest, everything, *names = raw
    return Control(text(newest), bool(everything), tuple(map(text, names)))


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
            attempts=int(fields.get("attempts", 1)),
            traceback=fields.get("traceback"),
            result=fields.get("result"),
            request=fields.get("request"),
        )
    except (KeyError, ValueError):
        return None


def _seconds(milliseconds: str) -> float:
    return float(milliseconds or 0) / 1000
