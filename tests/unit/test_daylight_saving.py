"""Schedules where the clocks change. Every expectation is an instant, worked out by hand.

The changes: New York jumps from 02:00 to 03:00 at 07:00 UTC, and goes back from 02:00 to 01:00 at
06:00 UTC; London from 01:00 to 02:00 and from 02:00 to 01:00, both at 01:00 UTC; Lord Howe, by
half an hour, from 02:00 to 02:30 at 15:30 UTC and from 02:00 to 01:30 at 15:00 UTC; Kathmandu,
5:45 ahead, never.
"""

from __future__ import annotations

import pytest

from jobrunner import Schedule, cron, every

from .clocks import between, following, utc

#: The local night from before midnight to 04:00, in UTC, and what is due in it.
NIGHTS = {
    "New York, gap": ("America/New_York", "2026-03-08 04:59", "2026-03-08 08:00"),
    "New York, overlap": ("America/New_York", "2026-11-01 03:59", "2026-11-01 09:00"),
    "London, gap": ("Europe/London", "2026-03-28 23:59", "2026-03-29 03:00"),
    "London, overlap": ("Europe/London", "2026-10-24 22:59", "2026-10-25 04:00"),
    "Lord Howe, gap": ("Australia/Lord_Howe", "2026-10-03 13:29", "2026-10-03 17:00"),
    "Lord Howe, overlap": ("Australia/Lord_Howe", "2026-04-04 12:59", "2026-04-04 17:30"),
    "Kathmandu": ("Asia/Kathmandu", "2026-03-28 18:14", "2026-03-28 22:15"),
}

#: Times of day in UTC, in order, by night and expression.
EXPECTED = {
    "New York, gap": {
        "0 0 * * *": "05:00",
        "30 1 * * *": "06:30",
        "30 2 * * *": "07:00",  # when the clock has jumped
        "0 * * * *": "05:00 06:00 07:00 08:00",
        "*/30 * * * *": "05:00 05:30 06:00 06:30 07:00 07:30 08:00",
        "*/20 1-3 * * *": "06:00 06:20 06:40 07:00 07:20 07:40",
        "0,30 1-3 * * *": "06:00 06:30 07:00 07:30",
        "20 */2 * * *": "05:20",
    },
    "New York, overlap": {
        "0 0 * * *": "04:00",
        "30 1 * * *": "05:30",  # and not again at 06:30
        "30 2 * * *": "07:30",
        "0 * * * *": "04:00 05:00 06:00 07:00 08:00 09:00",
        "*/30 * * * *": (
            "04:00 04:30 05:00 05:30 06:00 06:30 07:00 07:30 08:00 08:30 09:00"  # all of them
        ),
        "*/20 1-3 * * *": (
            "05:00 05:20 05:40 06:00 06:20 06:40 07:00 07:20 07:40 08:00 08:20 08:40"
        ),
        "0,30 1-3 * * *": "05:00 05:30 07:00 07:30 08:00 08:30",
        "20 */2 * * *": "04:20 07:20",
    },
    "London, gap": {
        "0 0 * * *": "00:00",
        "30 1 * * *": "01:00",  # when the clock has jumped
        "30 2 * * *": "01:30",
        "0 * * * *": "00:00 01:00 02:00 03:00",
        "*/30 * * * *": "00:00 00:30 01:00 01:30 02:00 02:30 03:00",
        "*/20 1-3 * * *": "01:00 01:20 01:40 02:00 02:20 02:40",
        "0,30 1-3 * * *": "01:00 01:30 02:00 02:30",
        "20 */2 * * *": "00:20 01:20",
    },
    "London, overlap": {
        "0 0 * * *": "23:00",
        "30 1 * * *": "00:30",  # and not again at 01:30
        "30 2 * * *": "02:30",
        "0 * * * *": "23:00 00:00 01:00 02:00 03:00 04:00",
        "*/30 * * * *": "23:00 23:30 00:00 00:30 01:00 01:30 02:00 02:30 03:00 03:30 04:00",
        "*/20 1-3 * * *": (
            "00:00 00:20 00:40 01:00 01:20 01:40 02:00 02:20 02:40 03:00 03:20 03:40"
        ),
        "0,30 1-3 * * *": "00:00 00:30 02:00 02:30 03:00 03:30",
        "20 */2 * * *": "23:20 02:20",
    },
    "Lord Howe, gap": {
        "0 0 * * *": "13:30",
        "30 1 * * *": "15:00",
        "15 2 * * *": "15:30",  # when the clock has jumped
        "30 2 * * *": "15:30",  # the first time of the new half hour
        "0 * * * *": "13:30 14:30 16:00 17:00",
        "*/30 * * * *": "13:30 14:00 14:30 15:00 15:30 16:00 16:30 17:00",
        "*/20 1-3 * * *": "14:30 14:50 15:10 15:40 16:00 16:20 16:40",
        "0,30 1-3 * * *": "14:30 15:00 15:30 16:00 16:30",
        "20 */2 * * *": "13:50",
    },
    "Lord Howe, overlap": {
        "0 0 * * *": "13:00",
        "30 1 * * *": "14:30",  # and not again at 15:00
        "45 1 * * *": "14:45",  # and not again at 15:15
        "30 2 * * *": "16:00",
        "0 * * * *": "13:00 14:00 15:30 16:30 17:30",
        "*/30 * * * *": "13:00 13:30 14:00 14:30 15:00 15:30 16:00 16:30 17:00 17:30",
        "*/20 1-3 * * *": "14:00 14:20 14:40 15:10 15:30 15:50 16:10 16:30 16:50 17:10",
        "0,30 1-3 * * *": "14:00 14:30 15:30 16:00 16:30 17:00",
        "20 */2 * * *": "13:20 15:50",
    },
    "Kathmandu": {
        "0 0 * * *": "18:15",
        "30 1 * * *": "19:45",
        "30 2 * * *": "20:45",
        "0 * * * *": "18:15 19:15 20:15 21:15 22:15",
        "*/30 * * * *": "18:15 18:45 19:15 19:45 20:15 20:45 21:15 21:45 22:15",
        "*/20 1-3 * * *": "19:15 19:35 19:55 20:15 20:35 20:55 21:15 21:35 21:55",
        "0,30 1-3 * * *": "19:15 19:45 20:15 20:45 21:15 21:45",
        "20 */2 * * *": "18:35 20:35",
    },
}
CRON_ROWS = [
    pytest.param(night, expression, times, id=f"{night}: {expression}")
    for night, rows in EXPECTED.items()
    for expression, times in rows.items()
]


def in_night(schedule: Schedule, night: str) -> list[str]:
    _, start, end = NIGHTS[night]
    return [due[len("2026-01-01 ") :] for due in between(schedule, start, end)]


@pytest.mark.parametrize(("night", "expression", "times"), CRON_ROWS)
def test_cron_in_the_night_of_the_change(night: str, expression: str, times: str) -> None:
    assert times.split() == in_night(cron(expression, tz=NIGHTS[night][0]), night)


@pytest.mark.parametrize(("night", "expression", "times"), CRON_ROWS)
def test_a_sixth_field_of_zero_seconds_changes_nothing(
    night: str, expression: str, times: str
) -> None:
    assert times.split() == in_night(cron(f"0 {expression}", tz=NIGHTS[night][0]), night)


#: Intervals on the clock: up to an hour as `*/n`, longer ones as fixed times.
ALIGNED = {
    "New York, gap": {
        30: EXPECTED["New York, gap"]["*/30 * * * *"],
        60: EXPECTED["New York, gap"]["0 * * * *"],
        40: "05:00 05:40 06:20 07:20 08:00",  # 00:00 00:40 01:20; 03:20 04:00
        120: "05:00 07:00 08:00",  # 02:00 comes when the clock has jumped
        1440: "05:00",
    },
    "New York, overlap": {
        30: EXPECTED["New York, overlap"]["*/30 * * * *"],
        60: EXPECTED["New York, overlap"]["0 * * * *"],
        40: "04:00 04:40 05:20 06:20 07:00 07:40 08:20 09:00",  # 01:20 twice
        90: "04:00 05:30 08:00",  # 00:00, 01:30 once, 03:00
        120: "04:00 07:00 09:00",
        1440: "04:00",
    },
    "Lord Howe, gap": {
        30: EXPECTED["Lord Howe, gap"]["*/30 * * * *"],
        60: EXPECTED["Lord Howe, gap"]["0 * * * *"],
        120: "13:30 15:30 17:00",
        1440: "13:30",
    },
    "Lord Howe, overlap": {
        30: EXPECTED["Lord Howe, overlap"]["*/30 * * * *"],
        60: EXPECTED["Lord Howe, overlap"]["0 * * * *"],
        90: "13:00 14:30 16:30",
        120: "13:00 15:30 17:30",
    },
    "Kathmandu": {60: EXPECTED["Kathmandu"]["0 * * * *"], 120: "18:15 20:15 22:15"},
}


@pytest.mark.parametrize(
    ("night", "minutes", "times"),
    [(night, m, times) for night, rows in ALIGNED.items() for m, times in rows.items()],
)
def test_an_interval_on_the_clock(night: str, minutes: int, times: str) -> None:
    schedule = every(minutes=minutes, align=True, tz=NIGHTS[night][0])

    assert times.split() == in_night(schedule, night)


@pytest.mark.parametrize(
    ("tz", "start", "expected"),
    [
        # Cairo: no midnight on 24 April, and 29 October has its last hour twice.
        ("Africa/Cairo", "2026-04-22 23:00", ["2026-04-23 22:00", "2026-04-24 21:00"]),
        ("Africa/Cairo", "2026-10-28 22:00", ["2026-10-29 22:00", "2026-10-30 22:00"]),
        # Havana: no midnight on 8 March, and two of them on 1 November.
        ("America/Havana", "2026-03-07 06:00", ["2026-03-08 05:00", "2026-03-09 04:00"]),
        ("America/Havana", "2026-10-31 05:00", ["2026-11-01 04:00", "2026-11-02 05:00"]),
        # Apia had no 30 December 2011: its midnight and the next are one instant.
        ("Pacific/Apia", "2011-12-29 11:00", ["2011-12-30 10:00", "2011-12-31 10:00"]),
    ],
)
def test_midnight_where_there_is_none_or_two(tz: str, start: str, expected: list[str]) -> None:
    for schedule in (cron("@daily", tz=tz), every(days=1, align=True, tz=tz)):
        assert expected == following(schedule, start, 2)


def test_half_a_day_has_both_of_its_times_where_midnight_is_missing_or_repeated() -> None:
    schedule = every(hours=12, align=True, tz="America/Havana")

    spring = ["2026-03-08 05:00", "2026-03-08 16:00"]
    assert spring == following(schedule, "2026-03-07 18:00", 2)
    autumn = ["2026-11-01 04:00", "2026-11-01 17:00"]
    assert autumn == following(schedule, "2026-10-31 17:00", 2)


class TestSecondsAtAFixedHour:
    """`*/15 30 1 * * *`: minute and hour decide, as with five fields."""

    def test_in_the_repeated_hour_they_come_once(self) -> None:
        # New York, 1 November: 01:30 is 05:30 UTC, and again 06:30 UTC.
        expected = [
            *("2026-11-01 05:30", "2026-11-01 05:30:15", "2026-11-01 05:30:30"),
            *("2026-11-01 05:30:45", "2026-11-02 06:30"),
        ]
        schedule = cron("*/15 30 1 * * *", tz="America/New_York")
        assert expected == following(schedule, "2026-11-01 05:00", 5)
        # From within the second pass it is the next day.
        assert ["2026-11-02 06:30"] == following(schedule, "2026-11-01 06:30:20", 1)

    def test_those_that_the_gap_swallows_come_once_together(self) -> None:
        expected = ["2026-03-08 07:00", "2026-03-09 06:30", "2026-03-09 06:30:15"]
        schedule = cron("*/15 30 2 * * *", tz="America/New_York")
        assert expected == following(schedule, "2026-03-08 05:00", 3)

    def test_with_an_hour_of_a_star_they_come_in_both(self) -> None:
        schedule = cron("*/30 30 * * * *", tz="America/New_York")
        expected = [
            *("2026-11-01 05:30", "2026-11-01 05:30:30"),
            *("2026-11-01 06:30", "2026-11-01 06:30:30"),
        ]
        assert expected == following(schedule, "2026-11-01 05:00", 4)


def test_from_any_second_of_the_repeated_hour_a_fixed_time_is_the_next_day_s() -> None:
    schedule = cron("30 1 * * *", tz="America/New_York")

    # From 01:30:00 of the first pass on, through the second pass until 02:00.
    for moment in range(int(utc("2026-11-01 05:30")), int(utc("2026-11-01 07:00")), 7):
        assert utc("2026-11-02 06:30") == schedule.next_after(moment)
        assert utc("2026-11-02 06:30") == schedule.next_after(moment + 0.5)


def test_a_time_later_in_the_repeated_hour_is_not_due_in_its_second_pass() -> None:
    # At 01:10 for the second time, 01:30 was an event of the hour before.
    schedule = cron("30 1,2 * * *", tz="America/New_York")

    assert ["2026-11-01 07:30"] == following(schedule, "2026-11-01 06:10", 1)
