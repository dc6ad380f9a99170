"""`except_on`: never due on some dates."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest

from jobrunner import InvalidScheduleError, any_of, cron, every, except_on

from .clocks import following, utc

EVE = date(2026, 12, 24)
VIENNA = "Europe/Vienna"


def ms(text: str) -> int:
    return int(utc(text) * 1000)


def weekend(day: date) -> bool:
    return day.weekday() >= 5


def test_a_grid_goes_on_after_the_date() -> None:
    schedule = except_on(cron("0 */8 * * *"), [EVE, date(2026, 12, 25)])

    expected = ["2026-12-23 16:00", "2026-12-26 00:00", "2026-12-26 08:00"]
    assert expected == following(schedule, "2026-12-23 09:00", 3)
    assert schedule.on_grid
    assert ms("2026-12-26 00:00") == schedule.next_due_ms(ms("2026-12-23 16:00"))
    assert ms("2026-12-26 00:00") == schedule.first_due_ms(ms("2026-12-24 09:00"))
    assert 9 == schedule.early_until_ms(10)


def test_a_function_says_which_dates() -> None:
    # 2 January 2026 is a Friday.
    schedule = except_on(cron("0 9 * * *"), weekend)

    assert ["2026-01-02 09:00", "2026-01-05 09:00"] == following(schedule, "2026-01-02", 2)


def test_the_dates_are_those_of_the_schedule_s_timezone() -> None:
    # 00:30 on the 25th in Vienna is 23:30 on the 24th in UTC.
    nightly = cron("30 0 * * *", tz=VIENNA)

    assert ["2026-12-22 23:30", "2026-12-24 23:30"] == following(
        except_on(nightly, [EVE]), "2026-12-22", 2
    )
    # In dates of UTC the one at 23:30 on the 24th is left out.
    assert ["2026-12-23 23:30", "2026-12-25 23:30"] == following(
        except_on(nightly, [EVE], tz="UTC"), "2026-12-23", 2
    )


def test_an_open_timezone_is_filled_in_for_times_and_dates() -> None:
    open_one = except_on(cron("30 0 * * *"), [EVE])

    assert except_on(cron("30 0 * * *", tz=VIENNA), [EVE], tz=VIENNA) == open_one.in_timezone(
        VIENNA
    )
    interval = except_on(every(hours=1), [EVE]).in_timezone(VIENNA)
    # The 24th in Vienna is over at 23:00 UTC.
    assert ms("2026-12-24 23:00") == interval.next_due_ms(ms("2026-12-24 10:00"))


class TestAnInterval:
    schedule = except_on(every(hours=5), [EVE])

    def test_what_ends_on_the_date_ends_with_it(self) -> None:
        assert ms("2026-12-23 15:00") == self.schedule.next_due_ms(ms("2026-12-23 10:00"))
        assert ms("2026-12-25 00:00") == self.schedule.next_due_ms(ms("2026-12-23 20:00"))
        assert utc("2026-12-25 00:00") == self.schedule.next_after(utc("2026-12-24 10:00"))
        assert utc("2026-12-25 03:00") == self.schedule.next_after(utc("2026-12-24 22:00"))

    def test_at_once_is_not_on_the_date(self) -> None:
        assert 0 == self.schedule.first_due_ms(ms("2026-12-23 10:00"))
        assert ms("2026-12-25 00:00") == self.schedule.first_due_ms(ms("2026-12-24 10:00"))

    def test_it_stays_what_it_is(self) -> None:
        assert not self.schedule.on_grid
        assert 5 * 3_600_000 == self.schedule.future_tolerance_ms
        assert 10 == self.schedule.early_until_ms(10)
        assert "finish" == except_on(every(hours=5, after="finish"), [EVE]).counts_from


def test_of_several_schedules_each_is_left_out() -> None:
    schedule = except_on(any_of(every(hours=5), cron("0 12 * * *")), [EVE])

    # From the interval the end of the date, from the grid its next time: the date ends first.
    assert ms("2026-12-25 00:00") == schedule.next_due_ms(ms("2026-12-23 20:00"))
    assert ms("2026-12-25 12:00") == schedule.next_due_ms(ms("2026-12-25 10:00"))


def test_a_date_whose_midnight_is_missing_begins_when_the_clock_has_jumped() -> None:
    # In Cairo 24 April 2026 begins at 01:00, 22:00 UTC.
    schedule = except_on(every(hours=1), [date(2026, 4, 23)], tz="Africa/Cairo")

    assert ms("2026-04-23 22:00") == schedule.next_due_ms(ms("2026-04-23 10:00"))


def test_it_says_what_it_is() -> None:
    nightly = cron("0 3 * * *", tz=VIENNA)
    dates = [date(2026, 12, day) for day in (26, 25, 24)]

    assert "cron '0 3 * * *' in Europe/Vienna except on 2026-12-24" == str(
        except_on(nightly, [EVE])
    )
    assert "at 03:00 every day in Europe/Vienna, except on 2026-12-24, 2026-12-25, 2026-12-26" == (
        except_on(nightly, dates).explain()
    )
    assert "every hour except on 3 dates" == str(except_on(every(hours=1), dates))
    assert "every hour except on the dates of weekend()" == str(except_on(every(hours=1), weekend))


def test_a_function_that_excludes_everything_is_an_error_and_ends() -> None:
    for schedule in (cron("* * * * *"), cron("0 0 29 2 *"), every(hours=1)):
        never = except_on(schedule, lambda day: True)
        with pytest.raises(InvalidScheduleError, match="exclude less"):
            never.next_due_ms(ms("2026-01-01"))
        with pytest.raises(InvalidScheduleError, match="exclude less"):
            never.next_after(utc("2026-01-01"))


def test_a_function_that_raises_is_quoted() -> None:
    def holidays(day: date) -> bool:
        raise LookupError("no calendar for 2026")

    with pytest.raises(InvalidScheduleError) as caught:
        except_on(cron("0 3 * * *"), holidays).next_due_ms(ms("2026-01-01"))

    assert "holidays(datetime.date(2026, 1, 1)) raised LookupError" in str(caught.value)
    assert isinstance(caught.value.__cause__, LookupError)


@pytest.mark.parametrize(
    ("schedule", "dates", "options", "mend"),
    [
        ("@daily", [EVE], {}, "except_on('@daily', …): that is no schedule"),
        (every(hours=1), "2026-12-24", {}, "except_on(…, '2026-12-24'): give it dates"),
        (every(hours=1), EVE, {}, "give it dates, such as [date(2026, 12, 24)]"),
        (every(hours=1), ["2026-12-24"], {}, "'2026-12-24' is no datetime.date"),
        (every(hours=1), [datetime(2026, 12, 24)], {}, "is no datetime.date"),
        (every(hours=1), [EVE], {"tz": "Mars"}, "tz='Mars'): no such timezone"),
        (
            any_of(cron("0 3 * * *", tz=VIENNA), cron("0 5 * * *", tz="Asia/Tokyo")),
            [EVE],
            {},
            "several timezones (Asia/Tokyo, Europe/Vienna)",
        ),
        (any_of(cron("@daily"), cron("0 5 * * *", tz=VIENNA)), [EVE], {}, "give tz= for the dates"),
    ],
)
def test_what_cannot_be_is_quoted(schedule: Any, dates: Any, options: Any, mend: str) -> None:
    with pytest.raises(InvalidScheduleError) as caught:
        except_on(schedule, dates, **options)

    assert mend in str(caught.value)
