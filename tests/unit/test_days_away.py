"""What becomes of the due times of a daily job while nobody was there, for a fleet that comes back
all at once.
"""

from __future__ import annotations

from typing import Any

import pytest

from jobrunner import cron, every
from jobrunner.run import Skip

from .clocks import shown, utc
from .days import DAY, HOUR, MINUTE, Code, Days, days, job

__all__ = ["days"]

VIENNA = "Europe/Vienna"

#: The due times of 03:00 in Vienna in January, in UTC.
SECOND, THIRD, FOURTH, FIFTH = (f"2026-01-{day} 02:00" for day in (11, 12, 13, 14))


def daily(**policies: Any) -> Code:
    return {"report": job(cron("0 3 * * *", tz=VIENNA), **policies)}


def away_for_two_days(days: Days, code: Code) -> None:
    """It runs on the 11th; nobody is there on the 12th and the 13th at 02:00; three come back."""
    days.start(code)
    days.go_to("2026-01-11 12:00")
    days.stop()
    days.sleep_until("2026-01-13 12:00")
    days.start(code, number=3)


def come_and_go(days: Days, code: Code, until: str) -> None:
    days.go_to(until, looks_every=HOUR)
    days.deploy(code, number=3)


def test_once_runs_once_for_all_that_was_missed(days: Days) -> None:
    away_for_two_days(days, daily())

    come_and_go(days, daily(), "2026-01-14 12:00")

    assert [SECOND, THIRD, FIFTH] == days.due_times("report")
    assert [SECOND, "2026-01-13 12:00", FIFTH] == days.starts("report")
    assert [] == days.skips


def test_skip_waits_for_the_next_and_tells_each_time_once(days: Days) -> None:
    code = daily(misfire="skip")
    away_for_two_days(days, code)

    come_and_go(days, code, "2026-01-14 12:00")

    assert [SECOND, FIFTH] == days.due_times("report") == days.starts("report")
    assert [("report", Skip.MISFIRED, THIRD), ("report", Skip.MISFIRED, FOURTH)] == days.skips
    status = days.status("report")
    assert {Skip.MISFIRED: 2} == status.skips
    assert (Skip.MISFIRED, FOURTH) == (status.last_skip, shown(status.last_skip_due or 0))


def test_skip_before_the_next_due_time_tells_when_that_is(days: Days) -> None:
    away_for_two_days(days, daily(misfire="skip"))

    assert utc(FIFTH) == days.status("report").next_due


def test_all_runs_for_each_in_order(days: Days) -> None:
    code = daily(misfire="all")
    away_for_two_days(days, code)
    days.look()

    come_and_go(days, code, "2026-01-14 12:00")

    assert [SECOND, THIRD, FOURTH, FIFTH] == days.due_times("report")
    assert ["2026-01-13 12:00"] * 2 == days.starts("report")[1:3]
    assert [] == days.skips


@pytest.mark.parametrize("number", [1, 2, 3])
def test_all_makes_good_within_a_few_looks(days: Days, number: int) -> None:
    """Whoever looks, and in the same millisecond: each due time has one run."""
    code = {"report": job(cron("0 * * * *"), misfire="all")}
    days.start(code)
    days.go_to("2026-01-10 13:00")
    days.stop()
    days.sleep_until("2026-01-10 20:30")

    days.start(code, number)
    for _ in range(8):
        days.look()

    assert [f"2026-01-10 {hour}:00" for hour in range(13, 21)] == days.due_times("report")


def test_all_tells_when_it_is_due_next(days: Days) -> None:
    """The command line must not say tomorrow while a missed day is still to be made good."""
    code = daily(misfire="all")
    days.start(code)
    days.go_to("2026-01-11 12:00")
    days.stop()
    days.sleep_until("2026-01-13 12:00")
    runner = days.instance(code)
    days.instances.append(runner)

    runner.tick(wait=True)

    assert [SECOND, THIRD] == days.due_times("report")
    assert utc(FOURTH) == days.status("report").next_due


def test_all_has_a_cap_and_gives_up_the_oldest(days: Days) -> None:
    code = {"report": job(cron("0 * * * *"), misfire="all", max_catch_up=3)}
    days.start(code)
    days.go_to("2026-01-10 13:00")
    days.stop()
    days.sleep_until("2026-01-10 20:30")

    days.start(code, number=3)
    for _ in range(4):
        days.look()

    ran = ["13:00", "18:00", "19:00", "20:00"]
    assert [f"2026-01-10 {time}" for time in ran] == days.due_times("report")
    given_up = [f"2026-01-10 {hour}:00" for hour in (14, 15, 16, 17)]
    assert [("report", Skip.MISFIRED, time) for time in given_up] == days.skips
    assert {Skip.MISFIRED: 4} == days.status("report").skips


def test_a_grace_lets_the_young_run_and_gives_up_the_old(days: Days) -> None:
    code = daily(grace=12 * HOUR)
    away_for_two_days(days, code)

    days.go_to("2026-01-14 12:00", looks_every=HOUR)

    assert [SECOND, FOURTH, FIFTH] == days.due_times("report")
    assert [("report", Skip.MISFIRED, THIRD)] == days.skips
    assert {Skip.MISFIRED: 1} == days.status("report").skips


def test_all_with_a_grace_runs_for_each_that_is_young_enough(days: Days) -> None:
    code = {"report": job(cron("0 * * * *"), misfire="all", grace=2 * HOUR)}
    days.start(code)
    days.go_to("2026-01-10 13:00")
    days.stop()
    days.sleep_until("2026-01-10 17:30")

    days.start(code, number=3)
    for _ in range(4):
        days.look()

    ran = ["13:00", "16:00", "17:00"]
    assert [f"2026-01-10 {time}" for time in ran] == days.due_times("report")
    given_up = [f"2026-01-10 {hour}:00" for hour in (14, 15)]
    assert [("report", Skip.MISFIRED, time) for time in given_up] == days.skips


@pytest.mark.parametrize("misfire", ["once", "skip", "all"])
def test_moved_due_times_are_missed_as_others_are(days: Days, misfire: str) -> None:
    code = daily(
        misfire=misfire, jitter=30 * MINUTE, **({"grace": HOUR} if misfire == "skip" else {})
    )
    days.start(code)
    days.go_to("2026-01-11 12:00")
    (first,) = days.runs
    days.stop()
    days.sleep_until("2026-01-13 12:00")
    days.start(code, number=3)
    days.look()
    days.look()

    later, missed = days.runs[1:], [utc(due_at) for _, _, due_at in days.skips]
    days_of = {"once": [12], "all": [12, 13], "skip": []}[misfire]
    assert days_of == [int(shown(run.due_at)[8:10]) for run in later]
    assert ([12, 13] if misfire == "skip" else []) == [int(shown(at)[8:10]) for at in missed]
    for due_at in (*(run.due_at for run in later), *missed):
        assert utc(THIRD) <= due_at < utc(FOURTH) + 30 * MINUTE
        assert 0 <= (due_at - utc(SECOND)) % DAY < 30 * MINUTE
    moved = {(run.due_at - utc(SECOND)) % DAY for run in (first, *later)}
    assert len(moved) == 1 + len(later), "each day by another amount"


def test_a_changed_expression_does_not_fire_for_times_before_its_deploy(days: Days) -> None:
    days.start(daily())
    days.go_to("2026-01-11 12:00", looks_every=HOUR)

    # 10:30 in Vienna has passed today when this version comes, and a run for it would surprise.
    code: Code = {"report": job(cron("30 10 * * *", tz=VIENNA))}
    days.deploy(code, number=3)
    assert utc("2026-01-12 09:30") == days.status("report").next_due
    days.go_to("2026-01-12 12:00", looks_every=HOUR / 2)

    assert [SECOND, "2026-01-12 09:30"] == days.due_times("report")
    assert [] == days.skips
    assert utc("2026-01-13 09:30") == days.status("report").next_due


def test_a_changed_expression_after_downtime_does_not_either(days: Days) -> None:
    days.start(daily())
    days.go_to("2026-01-11 12:00", looks_every=HOUR)
    days.stop()
    days.sleep_until("2026-01-13 12:00")

    days.start({"report": job(cron("30 10 * * *", tz=VIENNA), misfire="all")}, number=3)
    days.go_to("2026-01-14 12:00", looks_every=HOUR / 2)

    assert [SECOND, "2026-01-14 09:30"] == days.due_times("report")
    assert [] == days.skips


def test_a_shortened_interval_is_due_at_once(days: Days) -> None:
    days.start({"report": job(every(days=1))})
    days.go_to("2026-01-10 18:00", looks_every=HOUR)

    code: Code = {"report": job(every(hours=4))}
    days.deploy(code, number=3)

    assert ["2026-01-10 12:00", "2026-01-10 18:00"] == days.starts("report")
    assert "2026-01-10 16:00" == days.due_times("report")[1]


def test_a_lengthened_interval_waits(days: Days) -> None:
    days.start({"report": job(every(hours=4))})
    days.go_to("2026-01-10 15:00", looks_every=HOUR)

    days.deploy({"report": job(every(days=1))}, number=3)
    days.go_to("2026-01-11 13:00", looks_every=HOUR)

    assert ["2026-01-10 12:00", "2026-01-11 13:00"] == days.starts("report")
