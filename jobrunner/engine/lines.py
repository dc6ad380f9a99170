"""The log lines that every run writes, at a small cost.

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
from collections.abc import Mapping

logger = logging.getLogger("jobrunner")


class RunLine:
    """One line at INFO, with the name of the job as its only argument. Made after fork."""

    def __init__(self, words: str) -> None:
        self._words = words
        self._template: logging.LogRecord | None = None

    def log(self, job: str, extra: Mapping[str, object]) -> None:
        """Log it for a run of `job`; `extra`: the attributes that the record carries besides."""
        if not logger.isEnabledFor(logging.INFO):
            return
        if logging.getLogRecordFactory() is not logging.LogRecord:
            logger.info(self._words, job, extra=extra)
            return
        template = self._template or self._made()
        record = logging.LogRecord.__new__(logging.LogRecord)
        record.__dict__ = fields = template.__dict__.copy()
        now = time.time()
        fields["created"] = now
        fields["msecs"] = int(now % 1 * 1000) + 0.0  # whole, as `logging` has them
        fields["relativeCreated"] = template.relativeCreated + (now - template.created) * 1000
        fields["args"] = (job,)
        if template.thread is not None:  # else the application wants none
            fields["thread"] = threading.get_ident()
        fields.update(extra)
        logger.handle(record)

    def _made(self) -> logging.LogRecord:
        path, line, function, _ = logger.findCaller()
        self._template = template = logger.makeRecord(
            logger.name, logging.INFO, path, line, self._words, (), None, function
        )
        if template.threadName is not None:
            template.threadName = "jobrunner"  # the greenlets of the runs have no names
        return template
