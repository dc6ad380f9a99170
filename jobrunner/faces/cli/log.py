"""What is logged while a command works, where the application has set up no logging of its own.

Python would then write it to the terminal as it is, with whatever the text of an error holds.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from .screen import say

_logger = logging.getLogger("jobrunner")


class LogLines(logging.Handler):
    """Writes warnings and errors as lines that are harmless to a terminal."""

    def __init__(self, *, tracebacks: bool = True) -> None:
        super().__init__(logging.WARNING)
        self._tracebacks = tracebacks

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record) if self._tracebacks else record.getMessage(), err=True)


@contextlib.contextmanager
def shown_by(handler: logging.Handler) -> Iterator[None]:
    """Let `handler` show what is logged in the block, unless somebody else does."""
    if _logger.hasHandlers():
        yield
        return
    _logger.addHandler(handler)
    try:
        yield
    finally:
        _logger.removeHandler(handler)
