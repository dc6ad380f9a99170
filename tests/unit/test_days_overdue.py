"""`expect`: a job without a success for too long says so, once in the whole fleet."""

from __future__ import annotations

import pytest

from jobrunner import cron, every

from .clocks import shown
from .days import DAY, HOUR, Code, Days, days, job

__all__ = ["days"]

CODE: Code = {"report": job(cron("0 3 * * *", tz="Europe/Vienna"), expect=1.5 * DAY)}


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if "is overdue" in r.getMessage()]


def test_failures_make_it_overdue_and_a_success_ends_that(
    days: Days, caplog: pytest.LogCaptureFixture
) -> None:
    days.start(CODE, number=3)
    days.go_to("2026-01-11 12:00", looks_every=HOUR)
    assert days.status("report").overdue_since is None
    days.error = ValueError("no")

    days.go_to("2026-01-12 13:00", looks_every=HOUR)
    assert [] == days.overdue
    days.go_to("2026-01-12 14:00", looks_every=HOUR)

    # At 14:00 the success of the 11th at 02:00 was a day and a half ago.
    since = "2026-01-11 02:00"
    assert [("report", since)] == days.overdue
    assert 1 == len(lines(caplog))
    assert "no success for 129600 s" in lines(caplog)[0]
    assert "2026-01-12 14:00" == shown(days.status("report").overdue_since or 0)

    for day in (13, 14):  # deploys forget nothing, and say it not again
        days.deploy(CODE, number=3)
        days.go_to(f"2026-01-{day} 01:00", looks_every=HOUR)
    assert [("report", since)] == days.overdue
    assert days.status("report").overdue_since is not None

    days.error = None
    days.go_to("2026-01-14 02:00", looks_every=HOUR)
    assert days.status("report").overdue_since is None
    days.go_to("2026-01-15 01:00", looks_every=HOUR)
    assert [("report", since)] == days.overdue

    days.error = ValueError("no")
    days.go_to("2026-01-16 12:00", looks_every=HOUR)
    assert [("report", since), ("report", "2026-01-14 02:00")] == days.overdue
    assert 2 == len(lines(caplog))


def test_downtime_makes_it_overdue_and_the_run_that_follows_ends_that(
    days: Days, caplog: pytest.LogCaptureFixture
) -> None:
    days.start(CODE)
    days.go_to("2026-01-11 12:00", looks_every=HOUR)
    days.stop()
    days.sleep_until("2026-01-13 12:00")

    days.start(CODE, number=3)
    days.look()

    assert ["2026-01-11 02:00", "2026-01-12 02:00"] == days.due_times("report")
    assert [("report", "2026-01-11 02:00")] == days.overdue
    assert 1 == len(lines(caplog))
    assert days.status("report").overdue_since is None


def test_one_that_never_succeeded_counts_from_its_first_sight(days: Days) -> None:
    code: Code = {"report": job(every(hours=5), expect=DAY)}
    days.error = ValueError("no")
    days.start(code, number=3)

    days.go_to("2026-01-11 14:00", looks_every=HOUR)

    assert [("report", "2026-01-10 12:00")] == days.overdue


def test_a_job_that_nobody_runs_is_overdue_all_the_same(days: Days) -> None:
    """Paused, or with a condition that says no: it is the success that is expected."""
    code: Code = {
        "paused": job(every(hours=1), expect=3 * HOUR),
        "unwilling": job(every(hours=1), expect=3 * HOUR, when=lambda: False),
    }
    days.start(code, number=2)
    days.instances[0].pause("paused")
    days.look()

    days.go_to("2026-01-10 16:00", looks_every=HOUR)

    assert ["paused", "unwilling"] == sorted(name for name, _ in days.overdue)
