"""`every`: a fixed interval from the last start, from the last finish, or on the clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Literal

from ..errors import InvalidScheduleError
from .aligned import Aligned
from .base import Schedule
from .words import UNITS_MS, length, rhythm

#: The longest interval, in milliseconds: a hundred years, far below what a datetime holds.
_LONGEST_MS = 100 * 366 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Every(Schedule):
    """A fixed interval since the last start or finish: due when `now > last + interval`."""

    interval_ms: int
    counts_from: Literal["start", "finish"] = "start"
    on_grid = False

    @property
    def future_tolerance_ms(self) -> int:  # type: ignore[override]
        return self.interval_ms

    def next_after(self, unix_seconds: float) -> float:
        return unix_seconds + self.interval_ms / 1000

    def first_due_ms(self, first_seen_ms: int) -> int:
        return 0  # no last run: due at once

    def next_due_ms(self, last_ms: int) -> int:
        return last_ms + self.interval_ms

    def next_due_from_ms(self, last_ms: int, from_ms: int) -> int:
        intervals = max(1, -((last_ms - from_ms) // self.interval_ms))
        return last_ms + intervals * self.interval_ms

    def early_until_ms(self, due_ms: int) -> int:
        return due_ms  # *more* than the interval, not as much as

    def explain(self) -> str:
        return f"{rhythm(self.interval_ms)}, counted from the last {self.counts_from}"

    def __str__(self) -> str:
        if self.counts_from == "finish":
            return f"{length(self.interval_ms)} after the last finish"
        return rhythm(self.interval_ms)


def every(
    *,
    weeks: float = 0,
    days: float = 0,
    hours: float = 0,
    minutes: float = 0,
    seconds: float = 0,
    milliseconds: float = 0,
    after: Literal["start", "finish"] | None = None,
    align: bool = False,
    tz: str | None = None,
) -> Every | Aligned:
    """A schedule of a fixed interval: `every(minutes=5)`, `every(hours=1, minutes=30)`.

    The job is due when more than the interval has passed since its last start, by Redis's
    clock, to the millisecond; with `after="finish"`, since its last finish. With no last run
    it is due at once.

    With `align=True` it is due on the clock instead: at the multiples of the interval since
    midnight of the timezone (`tz`; by default the runner's, else UTC). The interval must then
    divide a day, or be whole days, which are counted from Monday, 5 January 1970.

    Raises `InvalidScheduleError` for an interval below one millisecond or above a hundred
    years, or without such a grid, and for `after` and `align` together.
    """
    parts = {
        "weeks": weeks,
        "days": days,
        "hours": hours,
        "minutes": minutes,
        "seconds": seconds,
        "milliseconds": milliseconds,
    }
    options = {"after": after, "align": align, "tz": tz}
    given = [f"{unit}={value!r}" for unit, value in parts.items() if value != 0]
    given += [f"{name}={value!r}" for name, value in options.items() if value]
    shown = f"every({', '.join(given)})"
    for unit, value in parts.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidScheduleError(
                f"{shown}: {unit} is {value!r}; it must be a number, such as {unit}=5."
            )
    interval_ms = _checked_ms(sum(value * UNITS_MS[u[:-1]] for u, value in parts.items()), shown)
    if not isinstance(align, bool):
        raise InvalidScheduleError(f"{shown}: align is {align!r}; it must be True or False.")
    if after not in (None, "start", "finish"):
        raise InvalidScheduleError(
            f"{shown}: after is {after!r}; it must be 'start' or 'finish', what the interval "
            f"is counted from."
        )
    if align and after is not None:
        raise InvalidScheduleError(
            f"{shown}: an aligned interval is counted from midnight, not from the last {after}; "
            f"keep one of after= and align=."
        )
    if align:
        return Aligned(interval_ms, tz)
    if tz is not None:
        raise InvalidScheduleError(
            f"{shown}: only an aligned interval goes by the clock of a timezone; "
            f"add align=True, or leave tz= out."
        )
    return _every(interval_ms, after or "start")


def every_interval(interval: timedelta | float) -> Every:
    """The schedule of a job's `interval`: a `timedelta`, or seconds."""
    shown = f"interval = {interval!r}"
    if isinstance(interval, timedelta):
        return _every(_checked_ms(interval / timedelta(milliseconds=1), shown))
    if isinstance(interval, bool) or not isinstance(interval, int | float):
        raise InvalidScheduleError(
            f"{shown}: it must be a timedelta or a number of seconds, "
            f"such as timedelta(minutes=5) or 300."
        )
    return _every(_checked_ms(interval * 1000, shown))


@lru_cache(maxsize=1000)
def _every(interval_ms: int, counts_from: Literal["start", "finish"] = "start") -> Every:
    """One object for all jobs of an interval."""
    return Every(interval_ms, counts_from)


def _checked_ms(total_ms: float, shown: str) -> int:
    if not total_ms <= _LONGEST_MS:  # nor is NaN; an int may be larger than any float
        raise InvalidScheduleError(f"{shown}: an interval must not exceed a hundred years.")
    if total_ms < 0 or round(total_ms) < 1:
        raise InvalidScheduleError(
            f"{shown}: an interval must be at least one millisecond; "
            f"every(minutes=5) runs a job every five minutes."
        )
    return round(total_ms)
