"""Timezones: their names, and when their clocks change. In whole Unix seconds."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from ..errors import InvalidScheduleError

_DAY = 24 * 3600
_SECOND = timedelta(seconds=1)


def zone_of(name: str, shown: str) -> ZoneInfo:
    """The timezone called `name`; else `InvalidScheduleError`, which quotes `shown`."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise InvalidScheduleError(
            f"{shown}: no such timezone; "
            f"use a name of the tz database, such as 'Europe/Vienna' or 'UTC'."
        ) from error


def check_timezone(name: str) -> str:
    """The name, if the tz database has it; else `InvalidScheduleError`, which quotes it."""
    zone_of(name, f"timezone {name!r}")
    return name


def offset_at(zone: ZoneInfo, second: int) -> int:
    """How far the clocks of the zone are ahead of UTC then, in seconds."""
    offset = datetime.fromtimestamp(second, zone).utcoffset()
    return 0 if offset is None else offset // _SECOND


def first_change(zone: ZoneInfo, after: int, until: int) -> int:
    """The first second of the offset that holds at `until` and not at `after`.

    There must be one change in between; two that undo each other are not seen.
    """
    offset = offset_at(zone, after)
    while until - after > 1:
        middle = (after + until) // 2
        if offset_at(zone, middle) == offset:
            after = middle
        else:
            until = middle
    return until


def date_at(zone: ZoneInfo, second: int) -> date:
    """The date that the zone's calendars show then."""
    return datetime.fromtimestamp(second, zone).date()


def start_of(zone: ZoneInfo, day: date) -> int:
    """The first second of a day. A day without a midnight begins when the clock has jumped."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    second = int(midnight.timestamp())
    if datetime.fromtimestamp(second, zone).replace(tzinfo=None) != midnight.replace(tzinfo=None):
        return first_change(zone, second - _DAY, second)
    return second
