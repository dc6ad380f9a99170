"""`every(..., align=True)`: on the clock, counted from midnight."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobrunner import InvalidScheduleError, every

from .clocks import following, utc


@pytest.mark.parametrize(
    ("parts", "tz", "start", "expected"),
    [
        ({"minutes": 5}, None, "2026-01-01 10:02", ["2026-01-01 10:05", "2026-01-01 10:10"]),
        ({"minutes": 5}, None, "2026-01-01 10:05", ["2026-01-01 10:10", "2026-01-01 10:15"]),
        ({"hours": 6}, None, "2026-01-01 19:00", ["2026-01-02 00:00", "2026-01-02 06:00"]),
        # 00:00 in Kathmandu is 18:15 UTC; in Vienna, in summer, 22:00 UTC.
        ({"hours": 1}, "Asia/Kathmandu", "2026-01-01", ["2026-01-01 00:15", "2026-01-01 01:15"]),
        ({"hours": 8}, "Europe/Vienna", "2026-07-01", ["2026-07-01 06:00", "2026-07-01 14:00"]),
        ({"days": 1}, "Europe/Vienna", "2026-07-01", ["2026-07-01 22:00", "2026-07-02 22:00"]),
        # 1 January 2026 is a Thursday.
        ({"weeks": 1}, None, "2026-01-01", ["2026-01-05 00:00", "2026-01-12 00:00"]),
        # Every other day from 5 January 1970: 5 January 2026 is the 20,454th after it.
        ({"days": 2}, None, "2026-01-04 12:00", ["2026-01-05 00:00", "2026-01-07 00:00"]),
        ({"seconds": 90}, None, "2026-01-01", ["2026-01-01 00:01:30", "2026-01-01 00:03"]),
    ],
)
def test_the_grid(parts: dict[str, float], tz: str | None, start: str, expected: list[str]) -> None:
    assert expected == following(every(**parts, align=True, tz=tz), start, 2)


def test_it_does_not_drift_to_the_millisecond() -> None:
    schedule = every(milliseconds=250, align=True)
    moment = int(utc("2026-01-01") * 1000)

    assert moment + 250 == schedule.next_due_ms(moment)
    assert moment + 250 == schedule.next_due_ms(moment + 249)
    assert moment + 500 == schedule.next_due_ms(moment + 250)
    assert moment + 249 == schedule.early_until_ms(moment + 250)


@settings(derandomize=True, database=None, deadline=None, max_examples=300)
@given(
    st.sampled_from([1, 10, 100, 250, 1000, 90_000, 3_600_000]),
    st.floats(utc("2024-01-01"), utc("2028-01-01")),
)
def test_the_next_time_is_later_also_as_a_float(interval_ms: int, moment: float) -> None:
    schedule = every(milliseconds=interval_ms, align=True, tz="Europe/Vienna")

    due = schedule.next_after(moment)

    assert moment < due <= moment + interval_ms / 1000 + 1e-6
    assert due < schedule.next_after(due)


def test_what_a_float_rounds_is_neither_repeated_nor_passed_over() -> None:
    schedule = every(milliseconds=1, align=True)

    # 1.001 * 1000 is a little below 1001, and what is below 0.117 comes to 117 all the same.
    assert 1.002 == schedule.next_after(1.001)
    assert 0.117 == schedule.next_after(math.nextafter(0.117, 0))


def test_a_job_that_never_ran_waits_for_the_first_time_after_it_was_first_seen() -> None:
    schedule = every(minutes=5, align=True)

    assert schedule.on_grid
    assert "start" == schedule.counts_from
    assert int(utc("2026-01-01 10:05") * 1000) == schedule.first_due_ms(
        int(utc("2026-01-01 10:02") * 1000)
    )


def test_it_says_what_it_is_and_takes_a_timezone() -> None:
    schedule = every(minutes=5, align=True)

    assert "every 5 minutes on the clock" == str(schedule)
    assert "every 5 minutes, on the clock" == schedule.explain()
    bound = schedule.in_timezone("Europe/Vienna")
    assert every(minutes=5, align=True, tz="Europe/Vienna") == bound == bound.in_timezone("UTC")
    assert "every 5 minutes, on the clock in Europe/Vienna" == bound.explain()


@pytest.mark.parametrize(
    ("parts", "mend"),
    [
        ({"minutes": 7}, "7 minutes cannot be aligned"),
        ({"minutes": 7}, "6 minutes or 8 minutes would do"),
        ({"hours": 5}, "4 hours or 6 hours would do"),
        ({"hours": 36}, "1 day or 2 days would do"),
        ({"seconds": 0.7}, "675 milliseconds or 720 milliseconds would do"),
        ({"milliseconds": 43_200_001}, "12 hours or 1 day would do"),
        ({"minutes": 5, "tz": "Mars"}, "tz='Mars'): no such timezone"),
        ({"minutes": 5, "tz": 1}, "tz=1): no such timezone"),
    ],
)
def test_what_has_no_grid_is_refused(parts: dict[str, Any], mend: str) -> None:
    with pytest.raises(InvalidScheduleError) as caught:
        every(**parts, align=True)

    assert mend in str(caught.value)
