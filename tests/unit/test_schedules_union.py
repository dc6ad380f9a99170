"""`any_of`: due when any of its parts is."""

from __future__ import annotations

from typing import Any

import pytest

from jobrunner import InvalidScheduleError, any_of, cron, every

from .clocks import following, utc

NOON_MS = int(utc("2026-01-01 12:00") * 1000)
HOUR_MS = 3_600_000


def test_the_times_of_all_parts_in_order_and_common_ones_once() -> None:
    schedule = any_of(cron("0 */6 * * *"), cron("30 9 * * *"), every(hours=12, align=True))

    expected = ["2026-01-01 06:00", "2026-01-01 09:30", "2026-01-01 12:00", "2026-01-01 18:00"]
    assert expected == following(schedule, "2026-01-01 00:00", 4)
    assert schedule.on_grid
    assert NOON_MS + 6 * HOUR_MS - 1 == schedule.early_until_ms(NOON_MS + 6 * HOUR_MS)
    assert NOON_MS + 6 * HOUR_MS == schedule.first_due_ms(NOON_MS)
    assert HOUR_MS == schedule.future_tolerance_ms


class TestWithAnInterval:
    schedule = any_of(every(hours=8), cron("0 18 * * *"))

    def test_whichever_comes_first_after_the_last_start(self) -> None:
        assert NOON_MS + 6 * HOUR_MS == self.schedule.next_due_ms(NOON_MS)
        assert NOON_MS + 14 * HOUR_MS == self.schedule.next_due_ms(NOON_MS + 6 * HOUR_MS)

    def test_it_is_due_at_once_and_on_no_grid(self) -> None:
        assert 0 == self.schedule.first_due_ms(NOON_MS)
        assert not self.schedule.on_grid

    def test_only_the_interval_must_have_passed_by_more_than_itself(self) -> None:
        grid_ms, interval_ms = NOON_MS + 6 * HOUR_MS, NOON_MS + 14 * HOUR_MS
        assert grid_ms - 1 == self.schedule.early_until_ms(grid_ms)
        assert interval_ms == self.schedule.early_until_ms(interval_ms)

    def test_the_shorter_tolerance_rules(self) -> None:
        assert 5000 == any_of(every(seconds=5), cron("0 18 * * *")).future_tolerance_ms

    def test_a_grid_beside_an_interval_from_the_finish(self) -> None:
        schedule = any_of(every(hours=8, after="finish"), cron("0 18 * * *"))
        assert "finish" == schedule.counts_from


def test_parts_are_flat_and_each_once() -> None:
    hourly, nightly = cron("@hourly"), cron("0 3 * * *")

    assert any_of(hourly, nightly) == any_of(any_of(hourly, nightly), nightly)
    assert hourly == any_of(hourly) == any_of(hourly, hourly)


def test_it_says_what_it_is_and_fills_in_timezones() -> None:
    schedule = any_of(every(hours=1), cron("0 3 * * *"), cron("0 5 * * *", tz="Asia/Tokyo"))

    bound = schedule.in_timezone("Europe/Vienna")

    assert (
        "every hour or cron '0 3 * * *' in Europe/Vienna or cron '0 5 * * *' in Asia/Tokyo"
    ) == str(bound)
    assert (
        "every hour, counted from the last start, or at 03:00 every day in Europe/Vienna, "
        "or at 05:00 every day in Asia/Tokyo"
    ) == bound.explain()


@pytest.mark.parametrize(
    ("parts", "mend"),
    [
        ((), "any_of(): give it schedules"),
        (("@daily",), "'@daily' is no schedule"),
        ((every(hours=1), 300), "300 is no schedule"),
        ((every(hours=1), every(hours=2, after="finish")), "count all of them from one"),
    ],
)
def test_what_cannot_be_joined_is_quoted(parts: tuple[Any, ...], mend: str) -> None:
    with pytest.raises(InvalidScheduleError) as caught:
        any_of(*parts)

    assert mend in str(caught.value)
