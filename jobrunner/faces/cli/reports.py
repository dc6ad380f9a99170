"""How a run ended, told at the end of `run` and of `trigger --wait`."""

from __future__ import annotations

from ...run import HistoryEntry, Outcome
from . import words
from .group import Problem
from .safe import safe
from .screen import say


def end_with(entry: HistoryEntry) -> None:
    """Tell it, and end with exit code 1 unless the run succeeded."""
    took = words.duration(entry.finished_at - entry.started_at)
    attempts = f", {entry.attempts} attempts" if entry.attempts > 1 else ""
    told = f"{entry.job}: {entry.outcome} after {took}{attempts}"
    if entry.outcome is Outcome.SUCCEEDED:
        say(told if entry.result is None else f"{told}: {safe(entry.result)}")
        return
    if entry.traceback:
        say(entry.traceback, err=True)
    raise Problem(f"{told}: {safe(entry.error)}" if entry.error else told)
