"""`every()` and `interval`: from start to start, to the millisecond."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jobrunner import InvalidScheduleError, every
from jobrunner.schedules import every_interval

DAY = 24 * 3600


@pytest.mark.parametrize(
    ("parts", "seconds", "words"),
    [
        ({"weeks": 2}, 14 * DAY, "every 2 weeks"),
        ({"weeks": 1}, 7 * DAY, "every week"),
        ({"days": 3}, 3 * DAY, "every 3 days"),
        ({"days": 7}, 7 * DAY, "every week"),
        ({"hours": 12}, DAY / 2, "every 12 hours"),
        ({"hours": 1, "minutes": 30}, 5400, "every 90 minutes"),
        ({"minutes": 5}, 300, "every 5 minutes"),
        ({"minutes": 0.5}, 30, "every 30 seconds"),
        ({"minutes": 1, "seconds": 30}, 90, "every 90 seconds"),
        ({"seconds": 1}, 1, "every second"),
        ({"seconds": 1.5}, 1.5, "every 1.5 seconds"),
        ({"seconds": 3661.25}, 3661.25, "every 3661.25 seconds"),
        ({"seconds": 1_234_567}, 1_234_567, "every 1234567 seconds"),
        ({"minutes": 1_000_001}, 60_000_060, "every 1000001 minutes"),
        ({"seconds": 90, "milliseconds": 1}, 90.001, "every 90.001 seconds"),
        ({"milliseconds": 250}, 0.25, "every 250 milliseconds"),
        ({"milliseconds": 1}, 0.001, "every millisecond"),
        ({"weeks": 1, "days": 1, "hours": 1, "minutes": 1, "seconds": 1}, 694_861, None),
        ({"hours": 1, "minutes": -30}, 1800, "every 30 minutes"),
    ],
)
def test_an_interval_in_any_unit(
    parts: dict[str, float], seconds: float, words: str | None
) -> None:
    schedule = every(**parts)

    assert seconds == schedule.interval_ms / 1000
    assert 1000.0 + seconds == schedule.next_after(1000.0)
    assert words in (None, str(schedule))


def test_without_a_last_start_it_is_due_at_once() -> None:
    assert 0 == every(weeks=1).first_due_ms(1_700_000_000_000)


def test_it_is_early_until_more_than_the_interval_has_passed() -> None:
    schedule = every(seconds=5)

    due_ms = schedule.next_due_ms(1_700_000_000_123)

    assert 1_700_000_005_123 == due_ms
    assert due_ms == schedule.early_until_ms(due_ms)


def test_a_last_start_up_to_an_interval_ahead_is_tolerated() -> None:
    assert 5000 == every(seconds=5).future_tolerance_ms


def test_equal_intervals_are_equal_schedules() -> None:
    assert every(minutes=1) == every(seconds=60)
    assert 1 == len({every(minutes=1), every(seconds=60)})


@pytest.mark.parametrize(
    ("parts", "quoted", "allowed"),
    [
        ({}, "every()", "at least one millisecond"),
        ({"seconds": 0}, "every()", "at least one millisecond"),
        ({"seconds": -5}, "every(seconds=-5)", "at least one millisecond"),
        ({"minutes": 1, "seconds": -60}, "every(minutes=1, seconds=-60)", "at least"),
        ({"milliseconds": 0.4}, "every(milliseconds=0.4)", "at least one millisecond"),
        ({"seconds": float("-inf")}, "every(seconds=-inf)", "at least one millisecond"),
        ({"seconds": float("nan")}, "every(seconds=nan)", "a hundred years"),
        ({"seconds": float("inf")}, "every(seconds=inf)", "a hundred years"),
        ({"weeks": 5300}, "every(weeks=5300)", "a hundred years"),
        pytest.param({"seconds": 10**400}, "every(seconds=1000", "a hundred years", id="huge"),
        ({"minutes": "5"}, "every(minutes='5')", "minutes is '5'; it must be a number"),
        ({"minutes": None}, "every(minutes=None)", "minutes is None; it must be a number"),
        ({"hours": True}, "every(hours=True)", "hours is True; it must be a number"),
        ({"hours": timedelta(hours=1)}, "timedelta", "it must be a number, such as hours=5"),
    ],
)
def test_an_interval_that_is_none_is_quoted(
    parts: dict[str, Any], quoted: str, allowed: str
) -> None:
    with pytest.raises(InvalidScheduleError) as caught:
        every(**parts)

    assert quoted in str(caught.value)
    assert allowed in str(caught.value)


def test_an_unknown_unit_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="second"):
        every(second=5)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("interval", "milliseconds"),
    [
        (timedelta(minutes=5), 300_000),
        (timedelta(milliseconds=1), 1),
        (timedelta(days=1, microseconds=400), 86_400_000),
        (300, 300_000),
        (0.25, 250),
    ],
)
def test_an_interval_is_a_timedelta_or_seconds(interval: Any, milliseconds: int) -> None:
    assert milliseconds == every_interval(interval).interval_ms


@pytest.mark.parametrize(
    ("interval", "allowed"),
    [
        (timedelta(0), "at least one millisecond"),
        (timedelta(seconds=-1), "at least one millisecond"),
        (0, "at least one millisecond"),
        (-300, "at least one millisecond"),
        (timedelta.max, "a hundred years"),
        (float("nan"), "a hundred years"),
        pytest.param(10**400, "a hundred years", id="huge"),
        ("300", "a timedelta or a number of seconds"),
        (True, "a timedelta or a number of seconds"),
    ],
)
def test_an_interval_that_cannot_be_is_quoted(interval: Any, allowed: str) -> None:
    with pytest.raises(InvalidScheduleError) as caught:
        every_interval(interval)

    assert f"interval = {interval!r}" in str(caught.value)
    assert allowed in str(caught.value)


class TestAfterTheFinish:
    def test_it_is_counted_from_the_last_finish(self) -> None:
        schedule = every(minutes=5, after="finish")

        assert "finish" == schedule.counts_from
        assert 1_000_300_000 == schedule.next_due_ms(1_000_000_000)
        assert 1_000_300_000 == schedule.early_until_ms(1_000_300_000)
        assert 0 == schedule.first_due_ms(1_000_000_000)
        assert 300_000 == schedule.future_tolerance_ms
        assert not schedule.on_grid

    def test_the_start_is_what_counts_where_nothing_is_said(self) -> None:
        assert every(minutes=5) == every(minutes=5, after="start")
        assert every(minutes=5) != every(minutes=5, after="finish")
        assert "start" == every(minutes=5).counts_from

    def test_it_says_so(self) -> None:
        assert "5 minutes after the last finish" == str(every(minutes=5, after="finish"))
        explained = "every 5 minutes, counted from the last finish"
        assert explained == every(minutes=5, after="finish").explain()
        assert "every hour, counted from the last start" == every(hours=1).explain()


@pytest.mark.parametrize(
    ("options", "mend"),
    [
        ({"after": "end"}, "after is 'end'; it must be 'start' or 'finish'"),
        ({"after": True}, "after is True; it must be"),
        ({"align": "yes"}, "align is 'yes'; it must be True or False"),
        ({"align": True, "after": "finish"}, "keep one of after= and align="),
        ({"align": True, "after": "start"}, "keep one of after= and align="),
        ({"tz": "UTC"}, "add align=True, or leave tz= out"),
    ],
)
def test_options_that_do_not_go_together_are_quoted(options: dict[str, Any], mend: str) -> None:
    with pytest.raises(InvalidScheduleError) as caught:
        every(minutes=5, **options)

    assert "every(minutes=5, " in str(caught.value)
    assert mend in str(caught.value)
