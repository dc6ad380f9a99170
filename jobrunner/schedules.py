"""Schedules: pure rules that give due times, from the last start and nothing else."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from .errors import InvalidScheduleError

#: The longest interval, in milliseconds: a hundred years, far below what a datetime holds.
_LONGEST_MS = 100 * 366 * 24 * 3600 * 1000

_UNITS_MS = {
    "week": 7 * 24 * 3600 * 1000,
    "day": 24 * 3600 * 1000,
    "hour": 3600 * 1000,
    "minute": 60 * 1000,
    "second": 1000,
    "millisecond": 1,
}


class Schedule(ABC):
    """When a job is due. Subclasses are immutable and read no clock."""

    #: What the interval counts from: the last start, or the last finish.
    counts_from: str = "start"

    #: Whether the due times lie on a grid of their own, whenever the last run was. Those from
    #: before the schedule was deployed never count, and each may be made good (`misfire="all"`).
    on_grid: bool = True

    #: A last run further ahead of now than this many milliseconds was written by a wrong clock.
    future_tolerance_ms: int = 3600 * 1000

    @abstractmethod
    def next_after(self, unix_seconds: float) -> float:
        """The first due time later than `unix_seconds`, both in Unix seconds."""

    @abstractmethod
    def __str__(self) -> str:
        """In words, as the log and the command line show it."""

    def first_due_ms(self, first_seen_ms: int) -> int:
        """When a job that never ran is due, from when the fleet first saw it."""
        return self.next_due_ms(first_seen_ms)

    def next_due_ms(self, last_ms: int) -> int:
        """The due time that follows a start at `last_ms`, in Unix milliseconds."""
        return math.ceil(self.next_after(last_ms / 1000) * 1000)

    def next_due_from_ms(self, last_ms: int, from_ms: int) -> int:
        """The first due time at or after `from_ms` in the row that begins with a start at
        `last_ms`.
        """
        return self.next_due_ms(max(last_ms, from_ms - 1))

    def early_until_ms(self, due_ms: int) -> int:
        """The last millisecond at which a run for `due_ms` would be too early."""
        return due_ms - 1


@dataclass(frozen=True, slots=True)
class Every(Schedule):
    """A fixed interval, from start to start: due when `now > last_run + interval`."""

    interval_ms: int

    @property
    def future_tolerance_ms(self) -> int:  # type: ignore[override]
        return self.interval_ms

    def next_after(self, unix_seconds: float) -> float:
        return unix_seconds + self.interval_ms / 1000

    def first_due_ms(self, first_seen_ms: int) -> int:
        return 0  # no last run: due at once

    def next_due_ms(self, last_ms: int) -> int:
        return last_ms + self.interval_ms

    @property
    def on_grid(self) -> bool:  # type: ignore[override]
        return False

    def next_due_from_ms(self, last_ms: int, from_ms: int) -> int:
        intervals = max(1, -((last_ms - from_ms) // self.interval_ms))
        return last_ms + intervals * self.interval_ms

    def early_until_ms(self, due_ms: int) -> int:
        return due_ms  # *more* than the interval, not as much as

    def __str__(self) -> str:
        for unit, unit_ms in _UNITS_MS.items():
            if self.interval_ms >= unit_ms:
                count = self.interval_ms / unit_ms
                if self.interval_ms % unit_ms == 0 or unit_ms <= 1000:
                    return f"every {unit}" if count == 1 else f"every {count:.13g} {unit}s"
        raise AssertionError(self.interval_ms)


def every(
    *,
    weeks: float = 0,
    days: float = 0,
    hours: float = 0,
    minutes: float = 0,
    seconds: float = 0,
    milliseconds: float = 0,
) -> Every:
    """A schedule of a fixed interval: `every(minutes=5)`, `every(hours=1, minutes=30)`.

    The job is due when more than the interval has passed since its last start, by Redis's
    clock, to the millisecond; with no last start it is due at once. Raises
    `InvalidScheduleError` for an interval below one millisecond or above a hundred years.
    """
    parts = {
        "weeks": weeks,
        "days": days,
        "hours": hours,
        "minutes": minutes,
        "seconds": seconds,
        "milliseconds": milliseconds,
    }
    shown = ", ".join(f"{unit}={value!r}" for unit, value in parts.items() if value != 0)
    for unit, value in parts.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidScheduleError(
                f"every({shown}): {unit} is {value!r}; it must be a number, such as {unit}=5."
            )
    total_ms = sum(value * _UNITS_MS[unit[:-1]] for unit, value in parts.items())
    return _every_ms(total_ms, f"every({shown})")


def every_interval(interval: timedelta | float) -> Every:
    """The schedule of a job's `interval`: a `timedelta`, or seconds."""
    if isinstance(interval, timedelta):
        return _every_ms(interval / timedelta(milliseconds=1), f"interval = {interval!r}")
    if isinstance(interval, bool) or not isinstance(interval, int | float):
        raise InvalidScheduleError(
            f"interval = {interval!r}: it must be a timedelta or a number of seconds, "
            f"such as timedelta(minutes=5) or 300."
        )
    return _every_ms(interval * 1000, f"interval = {interval!r}")


def _every_ms(total_ms: float, shown: str) -> Every:
    if not total_ms <= _LONGEST_MS:  # nor is NaN; an int may be larger than any float
        raise InvalidScheduleError(f"{shown}: an interval must not exceed a hundred years.")
    if total_ms < 0 or round(total_ms) < 1:
        raise InvalidScheduleError(
            f"{shown}: an interval must be at least one millisecond; "
            f"every(minutes=5) runs a job every five minutes."
        )
    return Every(round(total_ms))


@dataclass(frozen=True, slots=True)
class Cron(Schedule):
    """A cron expression in a timezone, as Debian's cron reads it."""

    expression: str
    tz: str = "UTC"
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            zone = ZoneInfo(self.tz)
        except (KeyError, ValueError, TypeError, OSError) as error:
            raise InvalidScheduleError(
                f"cron({self.expression!r}, tz={self.tz!r}): no such timezone; "
                f"use a name of the tz database, such as 'Europe/Vienna' or 'UTC'."
            ) from error
        object.__setattr__(self, "_zone", zone)
        if not isinstance(self.expression, str):
            raise InvalidScheduleError(
                f"cron({self.expression!r}): an expression is a string, such as '*/5 * * * *'."
            )
        try:
            next(CronSim(self.expression, datetime(2024, 1, 1, tzinfo=zone)))
        except CronSimError as error:
            raise InvalidScheduleError(
                f"cron({self.expression!r}): {error}. The fields are minute, hour, day of month, "
                f"month, day of week: '0 3 * * *' is each day at three."
            ) from error
        except StopIteration:
            raise InvalidScheduleError(
                f"cron({self.expression!r}): no such moment comes in fifty years; "
                f"check day and month."
            ) from None

    def next_after(self, unix_seconds: float) -> float:
        # An iterator begun in the second half of a repeated hour may first give a time of
        # its first half: only instants are compared, never wall clocks.
        for moment in CronSim(self.expression, datetime.fromtimestamp(unix_seconds, self._zone)):
            due = moment.timestamp()
            if due > unix_seconds:
                return due
        raise InvalidScheduleError(
            f"cron({self.expression!r}): no such moment comes in fifty years."
        )

    def __str__(self) -> str:
        return f"cron {self.expression!r} in {self.tz}"


def cron(expression: str, *, tz: str = "UTC") -> Cron:
    """A schedule of a cron expression: `cron("0 3 * * *", tz="Europe/Vienna")`.

    Five fields: minute, hour, day of month, month, day of week (0 and 7 are Sunday; when
    day of month and day of week are both given, either makes the day). The job is due from
    each such moment on; a moment before the job was first deployed does not count. Raises
    `InvalidScheduleError` for an expression or timezone that does not exist.
    """
    return Cron(expression, tz)
