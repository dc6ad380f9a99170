"""Times, durations and states of jobs in words, and back."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from ...run import Progress
from ...status import JobStatus

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]  # generic for checkers alone, in the oldest click
else:
    _ParamType = click.ParamType

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[dhms])+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([dhms])")

#: Longer than a person means.
_LONGEST = 100 * 366 * 86400.0


def zone(name: str) -> tzinfo:
    """A timezone by its name in the settings."""
    return UTC if name == "UTC" else ZoneInfo(name)


def moment(unix_seconds: float | None, where: tzinfo = UTC) -> str:
    """A time, with its timezone; `-` for none."""
    if unix_seconds is None:
        return "-"
    try:
        return datetime.fromtimestamp(unix_seconds, where).strftime("%Y-%m-%d %H:%M:%S %Z")
    except (OverflowError, ValueError, OSError):
        return f"{unix_seconds:g}"


def duration(seconds: float | None) -> str:
    """A length of time in its two largest units, such as `2 h 5 min`; `-` for none."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for size, unit, smaller, name in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit} {rest} {name}" if rest else f"{whole // size} {unit}"
    raise AssertionError(whole)


def from_now(unix_seconds: float | None, now: float) -> str:
    """How far a time is: `in 5 s`, `3 min ago`."""
    if unix_seconds is None:
        return "-"
    ahead = unix_seconds - now
    if abs(ahead) < 0.5:
        return "now"
    return f"in {duration(ahead)}" if ahead > 0 else f"{duration(-ahead)} ago"


def state_of(status: JobStatus) -> str:
    """What a person should know of a job before anything else; else how its last run ended."""
    if status.running:
        told = progress(status.progress)
        return f"running, {told}" if told else "running"
    if status.problem:
        return status.problem
    if not status.enabled:
        return "off"
    if status.paused:
        return "paused"
    if status.requested:
        return "requested"
    if status.quarantined_until is not None:
        return "quarantined"
    if status.overdue_since is not None:
        return "overdue"
    return str(status.last_outcome or "-")


def progress(told: Progress | None) -> str:
    """How far a run is, such as `40 %, tenant 4`; empty when it has not told."""
    if told is None:
        return ""
    share = fraction(told)
    far = f"{told.done:g}" if share is None else f"{share * 100:.0f} %"
    return f"{far}, {told.message}" if told.message else far


def fraction(told: Progress) -> float | None:
    """The part that is done, from 0 to 1; None: not known."""
    if told.total is None or not math.isfinite(told.done) or not 0 < told.total < math.inf:
        return None
    return min(1.0, max(0.0, told.done / told.total))


class Duration(_ParamType):
    """`90s`, `15m`, `2h`, `1d`, `1h30m`, or a number of seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        text = str(value).strip().replace(" ", "")
        if _DURATION.fullmatch(text):
            seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
        else:
            try:
                seconds = float(text)
            except ValueError:
                seconds = math.nan
        if not 0 < seconds <= _LONGEST:
            self.fail(f"{value!r} is no length of time; write 90s, 15m, 2h, 1d or 1h30m", param)
        return seconds


class Moment(_ParamType):
    """`2026-12-24 18:00`, `2026-12-24T18:00+01:00`, or `18:00` for the next time it is then.

    A `datetime` whose timezone may be missing; a time of the day as a `timedelta` from midnight.
    """

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime | timedelta:
        text = str(value).strip()
        if clock := re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text):
            return timedelta(hours=int(clock[1]), minutes=int(clock[2]))
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{value!r} is no time; write '2026-12-24 18:00' or '18:00'", param)


def unix_of(asked: datetime | timedelta, now: float, where: tzinfo) -> float:
    """The Unix seconds of what `Moment` read; without a timezone it is `where`'s."""
    if isinstance(asked, datetime):
        return (asked if asked.tzinfo else asked.replace(tzinfo=where)).timestamp()
    today = datetime.fromtimestamp(now, where)
    hour, minute = divmod(int(asked.total_seconds()) // 60, 60)
    at: Callable[[datetime], float] = lambda day: (  # noqa: E731
        day.replace(hour=hour, minute=minute, second=0, microsecond=0).timestamp()
    )
    return at(today) if at(today) > now else at(today + timedelta(days=1))
