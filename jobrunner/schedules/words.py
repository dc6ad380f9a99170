"""Intervals: their units, and how they are told."""

from __future__ import annotations

UNITS_MS = {
    "week": 7 * 24 * 3600 * 1000,
    "day": 24 * 3600 * 1000,
    "hour": 3600 * 1000,
    "minute": 60 * 1000,
    "second": 1000,
    "millisecond": 1,
}
DAY_MS = UNITS_MS["day"]
HOUR_MS = UNITS_MS["hour"]


def unit_of(interval_ms: int) -> tuple[str, float]:
    """The unit that tells an interval best, and how many of it: 90,000 is 90 seconds."""
    for unit, unit_ms in UNITS_MS.items():
        if interval_ms >= unit_ms and (interval_ms % unit_ms == 0 or unit_ms <= 1000):
            return unit, interval_ms / unit_ms
    raise AssertionError(interval_ms)


def length(interval_ms: int) -> str:
    """As a length of time: '1 minute', '90 seconds'."""
    unit, count = unit_of(interval_ms)
    return f"{count:.13g} {unit}" if count == 1 else f"{count:.13g} {unit}s"


def rhythm(interval_ms: int) -> str:
    """As a rhythm: 'every minute', 'every 90 seconds'."""
    unit, count = unit_of(interval_ms)
    return f"every {unit}" if count == 1 else f"every {length(interval_ms)}"
