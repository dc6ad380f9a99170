"""The log lines of runs: those that every run writes, at a small cost, and that of a bad end.

`logger.info` finds out its caller, the thread and the process anew for each record, and in a
patched process it makes a thread object for each greenlet that logs, which goes with the greenlet.
These lines come from one place and one process: each record is a copy of one that `logging` made,
with what differs. It goes the way of any record: levels, filters, handlers, and a record factory
of the application, which is asked for all of it.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from ..run import Outcome
from .ends import End, described

if TYPE_CHECKING:
    from .active import ActiveRun

logger = logging.getLogger("jobrunner")

_new_record = logging.LogRecord.__new__


class RunLine:
    """One line at INFO, with the name of the job as its only argument. Made after fork."""

    def __init__(self, words: str) -> None:
        self._words = words
        self._template: dict[str, object] | None = None
        #: Unix seconds from which `logging` counts its milliseconds.
        self._began = 0.0
        self._has_thread = True

    def log(self, job: str, run_id: str, token: int) -> None:
        """Log it for a run; the record carries these as its attributes."""
        if not logger.isEnabledFor(logging.INFO):
            return
        if logging.getLogRecordFactory() is not logging.LogRecord:
            extra = {"job": job, "run_id": run_id, "token": token}
            logger.info(self._words, job, extra=extra)
            return
        template = self._template or self._made()
        now = time.time()
        record = _new_record(logging.LogRecord)
        record.__dict__ = fields = template.copy()  # has all of these: no key is new to it
        fields["created"] = now
        fields["msecs"] = now % 1 * 1000 // 1  # whole, as `logging` has them
        fields["relativeCreated"] = (now - self._began) * 1000
        fields["args"] = (job,)
        if self._has_thread:
            fields["thread"] = threading.get_ident()
        fields["job"] = job
        fields["run_id"] = run_id
        fields["token"] = token
        logger.handle(record)

    def _made(self) -> dict[str, object]:
        path, line, function, _ = logger.findCaller()
        made = logger.makeRecord(
            *(logger.name, logging.INFO, path, line, self._words, (), None, function),
            extra={"job": "", "run_id": "", "token": 0},
        )
        if made.threadName is not None:
            made.threadName = "jobrunner"  # the greenlets of the runs have no names
        self._has_thread = made.thread is not None  # else the application wants none
        self._began = made.created - made.relativeCreated / 1000
        self._template = vars(made)
        return self._template


#: What the log says of an end that is no success; the error follows where the words have room.
_WORDS = {
    Outcome.FAILED: (logging.ERROR, "Job %s finished with error: %s"),
    Outcome.TIMED_OUT: (logging.ERROR, "Job %s timed out: %s"),
    Outcome.CANCELLED: (logging.WARNING, "Job %s was cancelled: %s"),
    Outcome.INTERRUPTED: (logging.WARNING, "Job %s was interrupted: its instance stops"),
    Outcome.LEASE_LOST: (logging.ERROR, "Job %s stopped: its lease was lost"),
    Outcome.STALE: (logging.ERROR, "Job %s stopped: a newer run has superseded it"),
}


def log_end(active: ActiveRun, end: End) -> None:
    """Log an end that is no success."""
    level, words = _WORDS[end.outcome]
    with_error = words.endswith(": %s")
    logger.log(
        level,
        words,
        *((active.name, described(end.error)) if with_error else (active.name,)),
        exc_info=end.error if with_error else None,
        extra=active.extra,
    )
