"""How an attempt ended, and what Redis keeps of that: pure, and safe with whatever a job raises
or returns.
"""

from __future__ import annotations

import json
import traceback
from typing import NamedTuple

from ..errors import (
    LeaseLostError,
    RunCancelledError,
    RunInterruptedError,
    RunStopped,
    RunTimedOutError,
    StaleRunError,
)
from ..run import Outcome

#: Characters of an exception's text that Redis keeps.
MAX_ERROR = 500

#: The outcome of a run that was stopped; a timeout depends on more than the error.
_OF_STOPS = {
    LeaseLostError: Outcome.LEASE_LOST,
    StaleRunError: Outcome.STALE,
    RunInterruptedError: Outcome.INTERRUPTED,
    RunCancelledError: Outcome.CANCELLED,
}


class Body(NamedTuple):
    """What the user's code left behind."""

    returned: object = None
    error: BaseException | None = None
    #: What it returned as JSON, and why there is none though it returned something.
    result: str = ""
    problem: str = ""


NOTHING_RETURNED = Body()


class End(NamedTuple):
    """How an attempt ended; the last one's end is the run's."""

    outcome: Outcome
    error: BaseException | None = None
    returned: object = None
    result: str = ""


#: How nearly all of them end: one object for all of those.
WELL = End(Outcome.SUCCEEDED)


def end_of(body: Body, cut_by: RunStopped | None) -> End:
    """The end of an attempt that had been told `cut_by` when the user's code ended.

    One that was cancelled or out of time is no success, though it returned: a job that is told
    to stop may well return before its work is done, and nobody else can tell the difference.
    """
    if body is NOTHING_RETURNED and cut_by is None:
        return WELL
    error = body.error
    for kind, outcome in _OF_STOPS.items():
        if isinstance(error, kind):
            return End(outcome, error)
    if isinstance(cut_by, RunCancelledError):
        return End(Outcome.CANCELLED, error or cut_by)
    if isinstance(error, RunTimedOutError):
        return End(Outcome.TIMED_OUT, error)
    if isinstance(cut_by, RunTimedOutError):
        if error is None:
            return End(Outcome.TIMED_OUT, cut_by)
        late = RunTimedOutError(f"{cut_by}, and raised {described(error)}")
        late.__cause__ = error
        return End(Outcome.TIMED_OUT, late)
    if error is not None:
        return End(Outcome.FAILED, error)
    return End(Outcome.SUCCEEDED, None, body.returned, body.result)


def end_of_stop(reason: RunStopped) -> End:
    """The end of a run that was stopped between two attempts."""
    return end_of(Body(error=reason), None)


def described(error: BaseException | None) -> str:
    """Type and text of an exception, cut; '' without one."""
    if error is None:
        return ""
    try:
        text = _storable(str(error))
    except BaseException:  # a user's __str__, while the end of the run is being recorded
        text = "(its text cannot be made)"
    named = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return named if len(named) <= MAX_ERROR else named[: MAX_ERROR - 1] + "…"


def traceback_of(error: BaseException | None, most: int) -> str:
    """The end of an exception's traceback, at most so many characters; '' without one."""
    if error is None or most == 0:
        return ""
    try:
        lines = "".join(traceback.format_exception(error))
    except BaseException:  # the traceback module calls what the user wrote
        lines = "(its traceback cannot be made)"
    lines = _storable(lines.rstrip("\n"))
    return lines if len(lines) <= most else "…" + lines[len(lines) - most + 1 :]


def as_json(value: object, most: int) -> tuple[str, str]:
    """What a job returned as JSON of at most so many bytes, or '' and why not.

    Encoded piece by piece, so that a large value costs no more than a small one.
    """
    if value is None or most == 0:
        return "", ""
    pieces, size = [], 0
    try:
        for piece in json.JSONEncoder(ensure_ascii=False, allow_nan=False).iterencode(value):
            pieces.append(piece)
            size += len(piece.encode())
            if size > most:
                return "", f"it is larger than {most} bytes (JOBRUNNER_MAX_RESULT)"
    except Exception as error:  # of the encoder, or of what the user's object does in it
        return "", f"it is not JSON: {described(error)}"
    return "".join(pieces), ""


def _storable(text: str) -> str:
    """Redis takes no lone surrogate."""
    return text.encode("utf-8", "replace").decode()
