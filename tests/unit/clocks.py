"""Helpers of the schedule tests: instants as text, and the clock changes of a timezone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from jobrunner import Schedule


def utc(text: str) -> float:
    """The Unix seconds of '2026-03-29 01:00', read as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def shown(unix_seconds: float) -> str:
    """The instant as text, in UTC; seconds and less only where there are some."""
    text = datetime.fromtimestamp(unix_seconds, UTC).isoformat(" ").removesuffix("+00:00")
    return text.removesuffix(":00") if len(text) == len("2026-01-01 00:00:00") else text


def following(schedule: Schedule, start: str, count: int) -> list[str]:
    """The next `count` due times after `start`, all in UTC."""
    moment, found = utc(start), []
    for _ in range(count):
        moment = schedule.next_after(moment)
        found.append(shown(moment))
    return found


def between(schedule: Schedule, start: str, end: str) -> list[str]:
    """All due times after `start` and up to `end`, all in UTC."""
    moment, found = schedule.next_after(utc(start)), []
    while moment <= utc(end):
        found.append(shown(moment))
        moment = schedule.next_after(moment)
    return found


def offset(zone: ZoneInfo, second: int) -> timedelta:
    found = datetime.fromtimestamp(second, zone).utcoffset()
    assert found is not None
    return found


@cache
def changes(tz: str, first_year: int = 2024, last_year: int = 2040) -> list[int]:
    """The instants at which the clocks of a timezone change: the first second of a new offset.

    Looked for between moments a few days apart, between which no two changes
    undo each other.
    """
    zone, step = ZoneInfo(tz), 3 * 24 * 3600
    found = []
    last = int(datetime(last_year, 12, 31, tzinfo=UTC).timestamp())
    low = int(datetime(first_year, 1, 1, tzinfo=UTC).timestamp())
    before = offset(zone, low)
    while low < last:
        high = low + step
        after = offset(zone, high)
        if after != before:
            early, late = low, high
            while late - early > 1:
                middle = (early + late) // 2
                if offset(zone, middle) == before:
                    early = middle
                else:
                    late = middle
            found.append(late)
        low, before = high, after
    return found
