"""`cron()`: as Debian's cron reads it, in a timezone. The expectations are written by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import given, settings
from hypothesis import strategies as st

from jobrunner import InvalidScheduleError, cron

VIENNA = "Europe/Vienna"


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def following(expression: str, tz: str, start: str, count: int) -> list[str]:
    """The next `count` due times after `start`, all in UTC."""
    schedule, moment, found = cron(expression, tz=tz), utc(start), []
    for _ in range(count):
        moment = schedule.next_after(moment)
        found.append(datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M"))
    return found


@pytest.mark.parametrize(
    ("expression", "start", "expected"),
    [
        ("*/20 * * * *", "2026-01-01 00:50", ["2026-01-01 01:00", "2026-01-01 01:20"]),
        ("0 3 * * *", "2026-01-01 03:00", ["2026-01-02 03:00", "2026-01-03 03:00"]),
        ("0 9-17/4 * * *", "2026-01-01 00:00", ["2026-01-01 09:00", "2026-01-01 13:00"]),
        ("5,35 0 1 * *", "2026-01-01 00:10", ["2026-01-01 00:35", "2026-02-01 00:05"]),
        ("0 0 29 2 *", "2026-01-01 00:00", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        ("0 6 * JAN,JUL MON-FRI", "2026-01-30 07:00", ["2026-07-01 06:00", "2026-07-02 06:00"]),
        ("0 0 31 * *", "2026-01-31 00:00", ["2026-03-31 00:00", "2026-05-31 00:00"]),
    ],
)
def test_the_five_fields(expression: str, start: str, expected: list[str]) -> None:
    assert expected == following(expression, "UTC", start, 2)


@pytest.mark.parametrize("sunday", ["0", "7", "SUN", "sun"])
def test_sunday_has_two_numbers(sunday: str) -> None:
    expected = ["2026-01-04 09:00", "2026-01-11 09:00"]
    assert expected == following(f"0 9 * * {sunday}", "UTC", "2026-01-03 00:00", 2)


def test_a_range_of_weekdays_reaches_the_seventh() -> None:
    expected = ["2026-01-03 09:00", "2026-01-04 09:00", "2026-01-10 09:00"]
    assert expected == following("0 9 * * 6-7", "UTC", "2026-01-02 10:00", 3)


def test_day_of_month_or_weekday_where_both_are_given() -> None:
    # The 13th, and every Friday. April's 13th is a Monday, March's is a Friday.
    expected = [
        "2026-03-06 00:00",
        "2026-03-13 00:00",
        "2026-03-20 00:00",
        "2026-03-27 00:00",
        "2026-04-03 00:00",
        "2026-04-10 00:00",
        "2026-04-13 00:00",
        "2026-04-17 00:00",
    ]
    assert expected == following("0 0 13 * 5", "UTC", "2026-03-01 00:00", 8)


class TestTimezones:
    def test_local_time_in_winter_and_in_summer(self) -> None:
        assert ["2026-01-16 02:00"] == following("0 3 * * *", VIENNA, "2026-01-15 12:00", 1)
        assert ["2026-07-16 01:00"] == following("0 3 * * *", VIENNA, "2026-07-15 12:00", 1)
        assert ["2026-01-15 21:30"] == following("0 3 * * *", "Asia/Kolkata", "2026-01-15 12:00", 1)

    def test_a_time_that_the_spring_leaves_out_comes_when_the_clock_has_jumped(self) -> None:
        # On 29 March 2026 it is 03:00 after 01:59:59: at 01:00 UTC.
        expected = ["2026-03-28 01:30", "2026-03-29 01:00", "2026-03-30 00:30"]
        assert expected == following("30 2 * * *", VIENNA, "2026-03-27 12:00", 3)

    def test_a_time_that_the_autumn_repeats_comes_once(self) -> None:
        # On 25 October 2026 it is 02:00 after 02:59:59: 02:30 is 00:30 UTC, and again 01:30 UTC.
        expected = ["2026-10-25 00:30", "2026-10-26 01:30"]
        assert expected == following("30 2 * * *", VIENNA, "2026-10-24 12:00", 2)

    def test_from_within_the_repeated_hour_it_is_the_next_day(self) -> None:
        # 02:15 for the second time: the 02:30 of a naive search lies 45 minutes in the past.
        assert ["2026-10-26 01:30"] == following("30 2 * * *", VIENNA, "2026-10-25 01:15", 1)

    def test_what_runs_all_day_long_runs_in_both_hours(self) -> None:
        expected = [
            "2026-10-25 00:30",
            "2026-10-25 00:45",
            "2026-10-25 01:00",
            "2026-10-25 01:15",
            "2026-10-25 01:30",
        ]
        assert expected == following("*/15 * * * *", VIENNA, "2026-10-25 00:15", 5)
        hours = ["2026-10-25 00:30", "2026-10-25 01:30", "2026-10-25 02:30"]
        assert hours == following("30 * * * *", VIENNA, "2026-10-25 00:00", 3)
        assert hours[1:] == following("30 * * * *", VIENNA, "2026-10-25 01:15", 2)

    def test_what_runs_all_day_long_skips_what_is_not_there(self) -> None:
        expected = ["2026-03-29 00:30", "2026-03-29 01:00", "2026-03-29 01:30"]
        assert expected == following("*/30 * * * *", VIENNA, "2026-03-29 00:15", 3)

    def test_the_repeated_hour_elsewhere(self) -> None:
        # New York, 1 November 2026: 01:30 is 05:30 UTC, and again 06:30 UTC.
        assert ["2026-11-01 05:30", "2026-11-02 06:30"] == following(
            "30 1 * * *", "America/New_York", "2026-10-31 12:00", 2
        )
        assert ["2026-11-02 06:30"] == following(
            "30 1 * * *", "America/New_York", "2026-11-01 06:15", 1
        )


EXPRESSIONS = [
    "* * * * *",
    "*/7 * * * *",
    "30 * * * *",
    "0 2 * * *",
    "30 2 * * *",
    "59 1,2,3 * * *",
    "*/20 2 * * *",
    "0 0 * * 7",
    "15 2 13 * 5",
    "0 0 1 1 *",
    "0 0 29 2 *",
]
ZONES = [
    *("UTC", VIENNA, "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"),
    *("America/St_Johns", "Pacific/Apia", "Africa/Casablanca", "Antarctica/Troll"),
]


@settings(derandomize=True, database=None, deadline=None, max_examples=300)
@given(
    st.sampled_from(EXPRESSIONS),
    st.sampled_from(ZONES),
    st.floats(utc("2024-01-01"), utc("2028-01-01")),
    st.floats(0, 1, exclude_max=True),
)
def test_the_next_due_time_is_always_later_and_none_lies_between(
    expression: str, tz: str, moment: float, part: float
) -> None:
    schedule = cron(expression, tz=tz)

    due = schedule.next_after(moment)

    assert moment < due
    assert 0 == due % 60
    between = moment + (due - moment) * part
    if between < due:
        assert due == schedule.next_after(between)


@settings(derandomize=True, database=None, deadline=None, max_examples=300)
@given(
    st.sampled_from(["", "0 ", "*/25 ", "7,59 "]),
    st.sampled_from(["*", "0", "*/7", "59", "10-20/5,40"]),
    st.sampled_from(["*", "0", "23", "*/5", "9-17"]),
    st.sampled_from(["*", "1", "31", "L", "LW", "*/10", "13,29"]),
    st.sampled_from(["*", "2", "JAN-MAR", "*/5", "9,12"]),
    st.sampled_from(["*", "0", "7", "MON-FRI", "5L", "1#2", "*/3", "SAT,SUN"]),
    st.integers(int(utc("2024-01-01")), int(utc("2028-01-01"))),
)
def test_where_no_clock_changes_cronsim_finds_the_same_times(
    second: str, minute: str, hour: str, day: str, month: str, weekday: str, moment: int
) -> None:
    expression = f"{second}{minute} {hour} {day} {month} {weekday}"
    try:
        theirs = CronSim(expression, datetime.fromtimestamp(moment, UTC))
    except CronSimError:
        with pytest.raises(InvalidScheduleError):
            cron(expression)
        return
    try:
        ours = cron(expression)
    except InvalidScheduleError:
        with pytest.raises(StopIteration):
            next(theirs)
        return
    due = float(moment)
    for _ in range(5):
        due = ours.next_after(due)
        assert next(theirs).timestamp() == due, expression


@pytest.mark.parametrize("tz", ZONES)
def test_through_every_change_of_the_clocks_the_due_times_only_grow(tz: str) -> None:
    # In ascending half hours through the repeated hours, which is where a search can go back.
    for start in ("2026-03-28 12:00", "2026-10-24 12:00", "2026-04-04 06:00", "2026-10-31 12:00"):
        for expression in ("30 1 * * *", "30 2 * * *", "*/30 * * * *"):
            schedule = cron(expression, tz=tz)
            moments = [utc(start) + half_hour * 1800 for half_hour in range(72)]
            dues = [schedule.next_after(moment) for moment in moments]
            assert all(moment < due for moment, due in zip(moments, dues, strict=True))
            assert all(first <= second for first, second in pairwise(dues))


def test_milliseconds_become_the_due_time_s_own() -> None:
    schedule = cron("0 3 * * *")
    three_ms = int(utc("2026-01-01 03:00") * 1000)

    assert three_ms == schedule.next_due_ms(three_ms - 1)
    assert three_ms + 24 * 3600 * 1000 == schedule.next_due_ms(three_ms)
    assert three_ms - 1 == schedule.early_until_ms(three_ms)


def test_a_job_that_never_ran_is_due_at_the_first_moment_after_it_was_first_seen() -> None:
    first_seen_ms = int(utc("2026-01-01 03:00") * 1000) + 1

    assert int(utc("2026-01-02 03:00") * 1000) == cron("0 3 * * *").first_due_ms(first_seen_ms)


def test_a_last_start_up_to_an_hour_ahead_is_tolerated() -> None:
    assert 3_600_000 == cron("* * * * *").future_tolerance_ms


def test_it_says_what_it_is() -> None:
    assert "cron '0 3 * * *' in Europe/Vienna" == str(cron("0 3 * * *", tz=VIENNA))
    assert "cron '0 3 * * *' in UTC" == str(cron("0 3 * * *"))
    assert cron("0 3 * * *", tz="UTC") == cron("0 3 * * *", tz="UTC")
    assert cron("0 3 * * *", tz="UTC") != cron("0 3 * * *", tz=VIENNA) != cron("0 3 * * *")


@pytest.mark.parametrize(
    ("expression", "mend"),
    [
        ("", "The fields are minute, hour, day of month"),
        ("* * * *", "The fields are minute, hour, day of month"),
        ("61 * * * *", "The fields are"),
        ("* 24 * * *", "The fields are"),
        ("* * 0 * *", "The fields are"),
        ("* * * 13 *", "The fields are"),
        ("* * * * 8", "The fields are"),
        ("* * * * FUN", "The fields are"),
        ("*/0 * * * *", "The fields are"),
        ("* * * * * * *", "The fields are"),
        ("60 * * * * *", "Bad second. The fields are"),
        ("9" * 5000 + " * * * *", "The fields are"),
        ("0 0 * * FRI-MON", "Bad day-of-week"),
        ("@reboot", "a fleet has no reboot"),
        ("@dayly", "the names are @hourly, @daily"),
        ("@daily 5", "the names are @hourly, @daily"),
        ("0 0 31 2,4 *", "The fields are"),
        ("every day", "The fields are"),
        ("0 0 30 2 *", "The fields are"),
        (5, "an expression is a string"),
        (None, "an expression is a string"),
    ],
)
def test_an_expression_that_gives_no_due_times_is_quoted(expression: Any, mend: str) -> None:
    with pytest.raises(InvalidScheduleError) as caught:
        cron(expression)

    assert f"cron({expression!r}" in str(caught.value)
    assert mend.lower() in str(caught.value).lower()


@pytest.mark.parametrize("tz", ["Europe/Wien", "", "../etc/passwd", "CEST+1", 1, UTC])
def test_a_timezone_that_does_not_exist_is_quoted(tz: Any) -> None:
    with pytest.raises(InvalidScheduleError) as caught:
        cron("0 3 * * *", tz=tz)

    assert f"tz={tz!r}" in str(caught.value)
    assert "'Europe/Vienna'" in str(caught.value)


def test_a_moment_that_no_calendar_holds_is_an_error_and_not_a_due_time() -> None:
    for moment in (1e18, -1e18, float("nan"), float("inf")):
        with pytest.raises((OverflowError, ValueError, OSError)):
            cron("0 3 * * *").next_after(moment)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("@hourly", ["2026-01-01 01:00", "2026-01-01 02:00"]),
        ("@daily", ["2026-01-02 00:00", "2026-01-03 00:00"]),
        ("@midnight", ["2026-01-02 00:00", "2026-01-03 00:00"]),
        ("@weekly", ["2026-01-04 00:00", "2026-01-11 00:00"]),
        ("@monthly", ["2026-02-01 00:00", "2026-03-01 00:00"]),
        ("@yearly", ["2027-01-01 00:00", "2028-01-01 00:00"]),
        ("@annually", ["2027-01-01 00:00", "2028-01-01 00:00"]),
        (" @Daily ", ["2026-01-02 00:00", "2026-01-03 00:00"]),
        ("0 0 L * *", ["2026-01-31 00:00", "2026-02-28 00:00"]),
        ("0 0 LW * *", ["2026-01-30 00:00", "2026-02-27 00:00"]),
        ("0 9 * * 5L", ["2026-01-30 09:00", "2026-02-27 09:00"]),
        ("0 9 * * MON#2", ["2026-01-12 09:00", "2026-02-09 09:00"]),
        ("0 9 * feb-mar sat,sun", ["2026-02-01 09:00", "2026-02-07 09:00"]),
    ],
)
def test_names(expression: str, expected: list[str]) -> None:
    assert expected == following(expression, "UTC", "2026-01-01 00:30", 2)


def test_a_sixth_field_in_front_is_the_second() -> None:
    schedule, moment = cron("*/20 59 23 * * *"), utc("2026-01-01 12:00")
    found = []
    for _ in range(4):
        moment = schedule.next_after(moment)
        found.append(moment - utc("2026-01-01 23:59"))

    assert [0, 20, 40, 24 * 3600] == found
    assert utc("2026-01-01 00:00") + 1 == cron("* * * * * *").next_after(utc("2026-01-01") + 0.999)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 3 * * *", "at 03:00 every day in Europe/Vienna"),
        ("@hourly", "at the start of every hour in Europe/Vienna"),
        ("0 0 L * *", "at 00:00 on the last day of every month in Europe/Vienna"),
        ("30 6 * * MON-FRI", "at 06:30 on Monday through Friday in Europe/Vienna"),
    ],
)
def test_it_explains_itself(expression: str, words: str) -> None:
    assert words == cron(expression, tz=VIENNA).explain()


def test_every_expression_has_words() -> None:
    for expression in [*EXPRESSIONS, "*/15 30 1 * * *", "1-5/2,7 0 L,LW * *", "5/15 * * * 1#1,5L"]:
        assert cron(expression).explain().endswith(" in UTC")


def test_without_a_timezone_it_goes_by_utc_until_it_is_given_one() -> None:
    schedule = cron("0 3 * * *")

    assert schedule.tz is None
    assert utc("2026-01-01 03:00") == schedule.next_after(utc("2026-01-01 00:00"))
    assert cron("0 3 * * *", tz=VIENNA) == schedule.in_timezone(VIENNA)
    bound = cron("0 3 * * *", tz="Asia/Tokyo")
    assert bound is bound.in_timezone(VIENNA)


def test_it_is_a_grid_that_is_counted_from_the_start() -> None:
    assert cron("0 3 * * *").on_grid
    assert "start" == cron("0 3 * * *").counts_from
