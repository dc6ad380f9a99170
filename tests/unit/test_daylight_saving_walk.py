"""Cron against a slow walk over all minutes around clock changes, by a rule written here.

A wall clock is looked at each minute. When minute or hour of an expression begin with a star, it
is due at each minute whose wall time matches. Else it is due when the wall shows a matching time
that it never showed before, or has just jumped over one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from jobrunner import cron, every

from .clocks import changes

MINUTE = timedelta(minutes=1)
Days = Callable[[datetime], bool]


def any_day(wall: datetime) -> bool:
    return True


#: Expression, its minutes and hours, the days, and whether its times are fixed.
RULES: list[tuple[str, Iterable[int], Iterable[int], Days, bool]] = [
    ("* * * * *", range(60), range(24), any_day, False),
    ("*/7 * * * *", range(0, 60, 7), range(24), any_day, False),
    ("45 * * * *", [45], range(24), any_day, False),
    ("*/20 1-3 * * *", [0, 20, 40], [1, 2, 3], any_day, False),
    ("20 */2 * * *", [20], range(0, 24, 2), any_day, False),
    ("59 */3 * * *", [59], range(0, 24, 3), any_day, False),
    ("*/15 * * * SUN", [0, 15, 30, 45], range(24), lambda wall: wall.weekday() == 6, False),
    ("*/10 0,23 1-7,25-31 * *", range(0, 60, 10), [0, 23], lambda w: not 7 < w.day < 25, False),
    ("0 0 * * *", [0], [0], any_day, True),
    ("30 0 * * *", [30], [0], any_day, True),
    ("30 1 * * *", [30], [1], any_day, True),
    ("15,45 2 * * *", [15, 45], [2], any_day, True),
    ("10-50/20 0-23 * * *", [10, 30, 50], range(24), any_day, True),
    ("0 3 * * SUN", [0], [3], lambda wall: wall.weekday() == 6, True),
    ("5 23,0,1 25-31 * *", [5], [23, 0, 1], lambda wall: wall.day >= 25, True),
]

#: Shifts of an hour at night and at midnight, of half an hour, of two hours, of other sizes.
ZONES = [
    *("America/New_York", "Europe/London", "Australia/Lord_Howe", "Asia/Kathmandu"),
    *("Africa/Cairo", "America/Havana", "Asia/Beirut", "America/Santiago", "Asia/Gaza"),
    *("Africa/Casablanca", "Antarctica/Troll", "America/St_Johns", "Pacific/Chatham"),
    *("Antarctica/Casey", "America/Nuuk", "Europe/Chisinau"),
]
#: Changes of the past that are unlike: a lost date, half an hour for good, a minute after
#: midnight (so that a date comes back), three hours back.
PAST = {
    "Pacific/Apia": (2011, 2011),
    "America/Caracas": (2007, 2007),
    "Asia/Pyongyang": (2015, 2018),
    "America/St_Johns": (2009, 2010),
    "Antarctica/Casey": (2010, 2012),
}


def walls(tz: str, change: int) -> list[tuple[int, datetime]]:
    """Each minute of the days around a change, and what the wall shows."""
    zone, start = ZoneInfo(tz), change - change % 60 - 36 * 3600
    moments = range(start, start + 72 * 3600, 60)
    return [(m, datetime.fromtimestamp(m, zone).replace(tzinfo=None)) for m in moments]


def walk(
    seen: list[tuple[int, datetime]], due: Callable[[datetime], bool], fixed: bool
) -> set[int]:
    """The due instants by the rule of this module; the first minute only says what was shown."""
    found, shown = set(), seen[0][1]
    for moment, wall in seen[1:]:
        if not fixed:
            if due(wall):
                found.add(moment)
            continue
        while shown < wall:
            shown += MINUTE
            if due(shown):
                found.add(moment)
    return found


def cases() -> list[tuple[str, int]]:
    near = [(tz, change) for tz in ZONES for change in changes(tz, 2025, 2026) or [1_774_746_000]]
    return near + [(tz, change) for tz, years in PAST.items() for change in changes(tz, *years)]


CASES = cases()


def test_the_walk_has_changes_of_all_sizes() -> None:
    sizes = set()
    for tz, change in CASES:
        offsets = [
            datetime.fromtimestamp(second, ZoneInfo(tz)).utcoffset() or timedelta()
            for second in (change - 1, change)
        ]
        sizes.add(int((offsets[1] - offsets[0]).total_seconds() // 60))

    assert {0, 30, -30, 60, -60, 120, -120, -180, 24 * 60} <= sizes


@pytest.mark.parametrize(
    ("tz", "change"),
    [pytest.param(*case, id=f"{case[0]} {datetime.fromtimestamp(case[1], UTC)}") for case in CASES],
)
def test_cron_is_what_the_wall_shows(tz: str, change: int) -> None:
    seen = walls(tz, change)
    for expression, minutes, hours, days, fixed in RULES:
        times = {(hour, minute) for hour in hours for minute in minutes}

        def due(wall: datetime, times: set[tuple[int, int]] = times, days: Days = days) -> bool:
            return (wall.hour, wall.minute) in times and days(wall)

        schedule, found = cron(expression, tz=tz), set()
        moment = schedule.next_after(seen[0][0])
        while moment <= seen[-1][0]:
            found.add(int(moment))
            moment = schedule.next_after(moment)
        assert sorted(walk(seen, due, fixed)) == sorted(found), expression


@pytest.mark.parametrize("minutes", [5, 20, 40, 60, 90, 120, 360, 720, 1440])
def test_an_interval_on_the_clock_is_what_the_wall_shows(minutes: int) -> None:
    for tz, change in CASES:
        seen = walls(tz, change)
        schedule, found = every(minutes=minutes, align=True, tz=tz), set()
        moment = schedule.next_after(seen[0][0])
        while moment <= seen[-1][0]:
            found.add(int(moment))
            moment = schedule.next_after(moment)

        def due(wall: datetime) -> bool:
            return (wall.hour * 60 + wall.minute) % minutes == 0

        assert sorted(walk(seen, due, minutes > 60)) == sorted(found), (tz, change)
