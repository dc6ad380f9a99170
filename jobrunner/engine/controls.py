"""What a person asks of the fleet, from any process: run now, pause, resume, reset, cancel.

Each is one script on the job's own keys, and a word on the control stream that makes every
instance look at the job with its next check.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from ..clock import Clock
from ..errors import InvalidRequestError, LastRunParseError, RefusedError
from ..job import JobDefinition
from ..run import HistoryEntry, new_id
from ..store.answers import Controlled
from ..store.redis import RedisStore

#: Seconds between two looks at whether a requested run has ended: the first, and the longest.
_FIRST_LOOK, _LONGEST_LOOK = 0.02, 0.5

#: Entries of the history among which the answer to a request is looked for.
_NEWEST = 20


def trigger(store: RedisStore, definition: JobDefinition, *, queue: bool) -> str:
    """Ask for one run out of turn; the id of the request. One that waits already is joined.

    `RefusedError` while the job runs, unless with `queue` the request may wait for that.
    """
    answer = _asked(store, definition, "trigger", new_id(), "1" if queue else "")
    if answer.status == "held":
        raise RefusedError(
            f"job {definition.name!r} is running (run {answer.detail} of instance "
            f"{answer.instance}): wait until it has ended, or let the request wait for that "
            f"(queue=True, --queue)."
        )
    return answer.detail


def answer_to(
    store: RedisStore,
    definition: JobDefinition,
    request: str,
    *,
    timeout: float | None,
    trust: Clock,
    sleep: Callable[[float], object],
) -> HistoryEntry | None:
    """The run that answered a request, once it has ended; None: not within `timeout` seconds."""
    deadline = None if timeout is None else trust() + timeout
    pause = _FIRST_LOOK
    while True:
        for entry in store.history(definition, _NEWEST):
            if entry.request == request:
                return entry
        if deadline is not None and trust() >= deadline:
            return None
        sleep(pause)
        pause = min(_LONGEST_LOOK, pause * 1.5)


def pause(
    store: RedisStore, definition: JobDefinition, until: float | datetime | None, reason: str
) -> None:
    """Let no run of the schedule begin until then; None: until somebody resumes the job."""
    seconds: Any = until.timestamp() if isinstance(until, datetime) else until
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if seconds is not None and not (is_number and 0 < seconds < 1e11):
        raise InvalidRequestError(
            f"pause({definition.name!r}, until={until!r}): it must be Unix seconds, such as "
            f"time.time() + 3600, or a datetime."
        )
    _asked(store, definition, "pause", "-" if seconds is None else f"{seconds * 1000:.0f}", reason)


def resume(store: RedisStore, definition: JobDefinition) -> None:
    """End a pause, and a quarantine."""
    _asked(store, definition, "resume")


def reset(store: RedisStore, definition: JobDefinition) -> None:
    """Make the job due at once, as if it had never run."""
    _asked(store, definition, "reset")


def cancel(store: RedisStore, definition: JobDefinition) -> str:
    """Stop the run that runs now, wherever it is; its id. `RefusedError` when nothing runs."""
    answer = _asked(store, definition, "cancel")
    if answer.status == "idle":
        raise RefusedError(f"job {definition.name!r} is not running: there is nothing to cancel.")
    return answer.detail


def _asked(store: RedisStore, definition: JobDefinition, what: str, *words: str) -> Controlled:
    answer = store.control(definition, what, *words)
    if answer.status == "corrupt":
        raise LastRunParseError(
            f"{answer.detail}: what Redis holds of job {definition.name!r} cannot be read; "
            f"`reset` makes it due as if it had never run."
        )
    return answer
