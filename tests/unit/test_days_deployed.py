"""Daily jobs in a fleet that is deployed every ten minutes, through days and clock changes."""

from __future__ import annotations

import pytest

from jobrunner import cron, every

from .clocks import utc
from .days import HOUR, MINUTE, Code, Days, days, job

__all__ = ["days"]

VIENNA = "Europe/Vienna"

DAILY: Code = {
    "cron": job(cron("0 3 * * *", tz=VIENNA)),
    "aligned": job(every(days=1, align=True, tz=VIENNA)),
    "plain": job(every(days=1)),
}


def deploy_until(days: Days, moment: str, *versions: Code) -> None:
    """A deploy every ten minutes, of these versions in turns, with a look before each."""
    turn = 0
    while days.now < utc(moment):
        days.now += 10 * MINUTE - 1
        days.look()
        days.now += 1
        days.deploy(versions[turn % len(versions)])
        turn += 1


def test_a_daily_job_runs_once_a_day_however_often_it_is_deployed(days: Days) -> None:
    """No instance lives for longer than ten minutes, and none has seen the day before."""
    days.start(DAILY)

    deploy_until(days, "2026-01-13 12:00", DAILY)

    three_days = [f"2026-01-{day} 02:00" for day in (11, 12, 13)]  # winter: an hour ahead of UTC
    assert three_days == days.due_times("cron")
    assert three_days == days.starts("cron")
    midnights = [f"2026-01-{day} 23:00" for day in (10, 11, 12)]
    assert midnights == days.due_times("aligned")
    assert midnights == days.starts("aligned")
    # At its first sight, and then when *more* than a day has passed: at the look after that. So
    # three days have three starts, and the fourth is due when they are over.
    assert [
        "2026-01-10 12:00",
        "2026-01-11 12:09:59",
        "2026-01-12 12:10",
    ] == days.starts("plain")
    assert [] == days.skips


def test_two_expressions_deployed_in_turns_are_each_due_at_their_own_time(days: Days) -> None:
    """A deploy that is rolled back, and forward again: each version runs what it has due while
    it lives, and nobody runs for a time that another version has served.
    """
    old: Code = {"report": job(cron("0 3 * * *", tz=VIENNA))}
    new: Code = {"report": job(cron("5 3 * * *", tz=VIENNA))}
    days.start(old)

    deploy_until(days, "2026-01-12 12:00", new, old)

    # At 02:00 a new old version comes; the new one that comes at 02:10 finds its 02:05 not served.
    both = ["02:00", "02:05"]
    assert [f"2026-01-{day} {time}" for day in (11, 12) for time in both] == days.due_times(
        "report"
    )
    assert ["2026-01-11 02:00", "2026-01-11 02:10"] == days.starts("report")[:2]


GAP, OVERLAP = "2026-03-28 21:00", "2026-10-24 21:00"


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        # 02:30 is skipped: due when the clock has jumped from 02:00 to 03:00, at 01:00 UTC.
        pytest.param(
            GAP,
            "2026-03-29 05:00",
            ["2026-03-29 01:00"],
            id="gap",
        ),
        # 02:30 comes twice, at 00:30 and at 01:30 UTC: due the first time.
        pytest.param(
            OVERLAP,
            "2026-10-25 05:00",
            ["2026-10-25 00:30"],
            id="overlap",
        ),
    ],
)
def test_in_the_night_of_the_clock_change_it_runs_once(
    days: Days, start: str, end: str, expected: list[str]
) -> None:
    days.now = utc(start)
    code: Code = {"report": job(cron("30 2 * * *", tz=VIENNA))}
    days.start(code)

    deploy_until(days, end, code)

    assert expected == days.due_times("report")
    assert expected == days.starts("report")


@pytest.mark.parametrize("policies", [{"jitter": 1800}, {"spread": True}, {"spread": 7200}])
def test_moved_due_times_are_the_same_in_every_instance(
    days: Days, policies: dict[str, float]
) -> None:
    code: Code = {"report": job(cron("0 3 * * *", tz=VIENNA), **policies)}
    days.start(code, number=3)
    told = []
    while days.now < utc("2026-01-13 12:00"):
        statuses = [status for one in days.instances for status in one.status()]
        assert 1 == len({status.next_due for status in statuses})
        if statuses[0].next_due not in told:
            told.append(statuses[0].next_due)
        days.now += HOUR / 2
        days.deploy(code, number=3)

    assert told[:3] == [run.due_at for run in days.runs]
    for day, run in zip((11, 12, 13), days.runs, strict=True):
        window = 7200 if policies == {"spread": 7200} else 1800 if "jitter" in policies else 3600
        assert utc(f"2026-01-{day} 02:00") <= run.due_at < utc(f"2026-01-{day} 02:00") + window
        assert run.due_at <= run.started_at < run.due_at + HOUR / 2
