"""Timezone names: checked, and quoted when there is none of the name."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from jobrunner import InvalidScheduleError, Schedule, any_of, cron, every, except_on
from jobrunner.schedules import check_timezone, shifted
from jobrunner.schedules.zones import start_of


@pytest.mark.parametrize("name", ["UTC", "Europe/Vienna", "America/Argentina/Ushuaia"])
def test_a_name_is_given_back(name: str) -> None:
    assert name == check_timezone(name)


@pytest.mark.parametrize("name", ["Europe/Wien", "", "Europe", "../etc/passwd", None, 1, UTC])
def test_what_is_no_name_is_quoted(name: Any) -> None:
    with pytest.raises(InvalidScheduleError) as caught:
        check_timezone(name)

    assert f"timezone {name!r}: no such timezone" in str(caught.value)
    assert "'Europe/Vienna'" in str(caught.value)


OPEN = [
    cron("0 3 * * *"),
    every(hours=2, align=True),
    any_of(cron("0 3 * * *"), every(hours=1)),
    except_on(cron("0 3 * * *"), [date(2026, 12, 24)]),
    shifted(except_on(any_of(cron("@daily"), every(days=1)), []), "purge", jitter_ms=5),
]


@pytest.mark.parametrize("schedule", OPEN, ids=str)
def test_an_open_timezone_is_utc_and_is_filled_in_all_the_way_down(schedule: Schedule) -> None:
    moment = 1_790_000_000.0

    assert schedule.next_after(moment) == schedule.in_timezone("UTC").next_after(moment)
    bound = schedule.in_timezone("Asia/Kathmandu")
    assert "Asia/Kathmandu" in str(bound)
    assert bound == bound.in_timezone("Europe/Vienna")
    with pytest.raises(InvalidScheduleError, match="'Mars'"):
        schedule.in_timezone("Mars")


def test_a_schedule_of_one_s_own_stays_as_it_is_and_is_a_grid() -> None:
    class Midnights(Schedule):
        def next_after(self, unix_seconds: float) -> float:
            return (unix_seconds // 86400 + 1) * 86400

        def __str__(self) -> str:
            return "midnights"

    schedule = Midnights()
    assert schedule is schedule.in_timezone("Europe/Vienna")
    assert "midnights" == schedule.explain()
    assert schedule.on_grid
    assert "start" == schedule.counts_from
    assert 86_400_000 == except_on(schedule, [date(1970, 1, 3)]).next_due_ms(1)
    assert 3 * 86_400_000 == except_on(schedule, [date(1970, 1, 3)]).next_due_ms(86_400_000)


@pytest.mark.parametrize(
    ("tz", "day", "expected"),
    [
        ("UTC", date(2026, 1, 1), "2026-01-01T00:00"),
        ("Asia/Kathmandu", date(2026, 1, 1), "2025-12-31T18:15"),
        ("Africa/Cairo", date(2026, 4, 24), "2026-04-23T22:00"),  # 01:00: there is no midnight
        ("America/Havana", date(2026, 11, 1), "2026-11-01T04:00"),  # the first of two midnights
        ("Pacific/Apia", date(2011, 12, 30), "2011-12-30T10:00"),  # a date that never was
    ],
)
def test_where_a_day_begins(tz: str, day: date, expected: str) -> None:
    instant = datetime.fromisoformat(expected).replace(tzinfo=UTC)

    assert instant.timestamp() == start_of(ZoneInfo(tz), day)
