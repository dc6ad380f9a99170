"""How late runs began, from the moments that were recorded."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from benchmarks.contenders.recorder import Began


class Late(NamedTuple):
    """One run."""

    #: Unix seconds at which it began.
    at: float
    #: Seconds that it was late.
    by: float
    #: Seconds that it began after the time that it would have if none had ever been late.
    off: float


def window(runs: Sequence[Began], interval: float, beats: int, lead: float) -> tuple[float, float]:
    """The span of `beats` due times on the clock, from the first that is at least `lead` seconds
    after the first run.
    """
    start = math.ceil((runs[0].at + lead) / interval) * interval
    return start, start + beats * interval


def late_on_grid(runs: Iterable[Began], interval: float, span: tuple[float, float]) -> list[Late]:
    """By the multiples of the interval, each run by the last one before it: a run that is late by
    more than an interval shows as one that is missing.
    """
    found = []
    for run in runs:
        if span[0] <= run.at < span[1]:
            by = run.at % interval
            found.append(Late(run.at, by, by))
    return found


def late_from_last(runs: Iterable[Began], interval: float, span: tuple[float, float]) -> list[Late]:
    """By the time from a job's start to its next, less the interval."""
    of_jobs = defaultdict(list)
    for run in runs:
        of_jobs[run.job].append(run.at)
    found = []
    for starts in of_jobs.values():
        for number, (before, at) in enumerate(pairwise(starts), start=1):
            if span[0] <= at < span[1]:
                off = at - (starts[0] + number * interval)
                found.append(Late(at, at - before - interval, off))
    return sorted(found)


def drift(runs: Sequence[Late]) -> float:
    """By how much a start moves against the clock, in seconds a second: the slope of the line of
    least squares.
    """
    return statistics.linear_regression([run.at for run in runs], [run.off for run in runs]).slope


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest of the values that at least this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
