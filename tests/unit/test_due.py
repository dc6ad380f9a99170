"""When a job is due: the last run, the grid, misfires, requests. All by hand, in milliseconds."""

from __future__ import annotations

from typing import Any

import pytest

from jobrunner import Schedule, cron, every
from jobrunner.engine.due import LONG_AGO_MS, Due, due_again, overdue_since_ms
from jobrunner.job import FunctionJob, JobDefinition
from jobrunner.store.answers import OF_REQUEST, Known, Touched

#: 14 November 2023, 22:13:20 UTC; and the midnight before.
NOON = 1_700_000_000_000
MIDNIGHT = 1_699_920_000_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def defined(schedule: Schedule, **policies: Any) -> JobDefinition:
    return JobDefinition.of(FunctionJob(lambda ctx: None, schedule, name="a", **policies), "shop")


def known(last_ms: int | None, first_seen_ms: int | None = NOON, **more: Any) -> Known:
    return Known(last_ms, first_seen_ms, more.pop("running", None), 0, **more)


DAILY = cron("0 0 * * *")


class TestWithoutPolicies:
    def test_after_a_start_or_none(self) -> None:
        job = defined(every(minutes=1))

        assert Due(0, LONG_AGO_MS) == due_again(job, known(None), NOON)
        assert Due(NOON + MINUTE, NOON + MINUTE) == due_again(job, known(NOON), NOON)
        assert Due(0, LONG_AGO_MS, True) == due_again(job, known(NOON + MINUTE + 1), NOON)

    def test_a_cron_job_that_never_ran_counts_from_its_first_sight_else_from_now(self) -> None:
        job = defined(cron("* * * * *"))

        assert NOON + 40_000 == due_again(job, known(None), NOON + MINUTE).at_ms
        unseen = known(None, first_seen_ms=None)
        assert NOON + 100_000 == due_again(job, unseen, NOON + MINUTE).at_ms

    def test_what_was_reset_is_due_at_once(self) -> None:
        assert Due(0, LONG_AGO_MS) == due_again(defined(DAILY), known(None, LONG_AGO_MS), NOON)

    def test_a_clock_that_begins_at_zero_has_not_reset_anything(self) -> None:
        assert 60_000 == due_again(defined(cron("* * * * *")), known(None, 0), 0).at_ms

    def test_once_for_all_that_was_missed(self) -> None:
        due = due_again(defined(DAILY), known(MIDNIGHT), NOON + 3 * DAY)

        assert Due(MIDNIGHT + DAY, MIDNIGHT + DAY - 1) == due


class TestANewRule:
    def test_a_grid_counts_from_when_it_was_deployed(self) -> None:
        monthly_before = known(NOON - 10 * DAY)

        due = due_again(defined(DAILY), monthly_before, NOON, since_ms=NOON - HOUR)

        assert MIDNIGHT + DAY == due.at_ms

    def test_an_interval_counts_from_the_last_start_all_the_same(self) -> None:
        job = defined(every(minutes=1))

        assert NOON - 9 * MINUTE == due_again(job, known(NOON - 10 * MINUTE), NOON, NOON).at_ms


class TestMisfires:
    def test_skip_waits_for_the_next_and_tells_what_it_gave_up(self) -> None:
        job = defined(DAILY, misfire="skip")

        due = due_again(job, known(MIDNIGHT), NOON + 2 * DAY)

        assert MIDNIGHT + 3 * DAY == due.at_ms
        assert (MIDNIGHT + DAY, MIDNIGHT + 2 * DAY) == due.misfired

    def test_skip_allows_for_a_minute(self) -> None:
        job = defined(DAILY, misfire="skip")
        due_ms = MIDNIGHT + DAY

        assert due_ms == due_again(job, known(MIDNIGHT), due_ms + MINUTE).at_ms
        assert due_ms + DAY == due_again(job, known(MIDNIGHT), due_ms + MINUTE + 1).at_ms

    def test_once_with_a_grace_runs_for_the_first_that_is_not_too_old(self) -> None:
        job = defined(DAILY, grace=DAY / 1000)

        due = due_again(job, known(MIDNIGHT), MIDNIGHT + 3 * DAY + HOUR)

        assert MIDNIGHT + 3 * DAY == due.at_ms
        assert (MIDNIGHT + DAY, MIDNIGHT + 2 * DAY) == due.misfired

    def test_an_interval_keeps_its_row(self) -> None:
        job = defined(every(minutes=10), misfire="skip")

        due = due_again(job, known(NOON), NOON + 35 * MINUTE)

        assert NOON + 40 * MINUTE == due.at_ms
        assert tuple(NOON + n * MINUTE for n in (10, 20, 30)) == due.misfired

    def test_all_runs_for_each_that_no_run_has_served(self) -> None:
        job = defined(DAILY, misfire="all")
        now_ms = NOON + 2 * DAY

        assert MIDNIGHT + DAY == due_again(job, known(MIDNIGHT, served_ms=MIDNIGHT), now_ms).at_ms
        # It ran just now, for the first of them: the second one is next.
        second = known(now_ms, served_ms=MIDNIGHT + DAY)
        assert MIDNIGHT + 2 * DAY == due_again(job, second, now_ms).at_ms
        third = known(now_ms, served_ms=MIDNIGHT + 2 * DAY)
        assert MIDNIGHT + 3 * DAY == due_again(job, third, now_ms).at_ms

    def test_all_has_a_cap_and_gives_up_the_oldest(self) -> None:
        job = defined(cron("* * * * *"), misfire="all", max_catch_up=3)
        now_ms = MIDNIGHT + 60 * DAY

        due = due_again(job, known(MIDNIGHT, served_ms=MIDNIGHT), now_ms)

        assert now_ms - 2 * MINUTE == due.at_ms
        assert tuple(now_ms - n * MINUTE for n in range(12, 2, -1)) == due.misfired

    def test_all_with_a_grace_leaves_out_what_is_too_old(self) -> None:
        job = defined(DAILY, misfire="all", grace=DAY / 1000)

        due = due_again(job, known(MIDNIGHT, served_ms=MIDNIGHT), NOON + 3 * DAY)

        assert MIDNIGHT + 3 * DAY == due.at_ms
        assert (MIDNIGHT + DAY, MIDNIGHT + 2 * DAY) == due.misfired

    def test_however_long_ago_it_takes_few_steps(self) -> None:
        class Counting(type(DAILY)):  # type: ignore[misc]
            steps = 0

            def next_after(self, unix_seconds: float) -> float:
                Counting.steps += 1
                return float(super().next_after(unix_seconds))

        job = defined(Counting("* * * * *"), misfire="all", max_catch_up=10)

        due_again(job, known(MIDNIGHT, served_ms=MIDNIGHT), MIDNIGHT + 3650 * DAY)

        assert Counting.steps < 200


class TestOutOfTurn:
    def test_a_request_is_due_at_once_whatever_else_holds(self) -> None:
        touched = Touched("-", "request-1", "")
        asked = known(NOON, touched=touched, abandoned_due_ms=NOON - 5)

        due = due_again(defined(DAILY, misfire="skip", recover=True), asked, NOON)

        assert Due(OF_REQUEST, LONG_AGO_MS) == due

    def test_what_was_abandoned_is_due_at_once_where_the_job_recovers(self) -> None:
        mark = known(NOON, abandoned_due_ms=NOON - 5)

        assert Due(NOON - 5, LONG_AGO_MS) == due_again(defined(DAILY, recover=True), mark, NOON)
        assert MIDNIGHT + DAY == due_again(defined(DAILY), mark, NOON).at_ms


def test_from_when_a_success_is_expected() -> None:
    job = defined(DAILY, expect=60)

    assert overdue_since_ms(defined(DAILY), known(NOON)) is None
    assert NOON == overdue_since_ms(job, known(None))
    assert NOON + 1 == overdue_since_ms(job, known(None, succeeded_ms=NOON + 1))
    assert overdue_since_ms(job, known(None, LONG_AGO_MS)) is None


@pytest.mark.parametrize("from_ms", [NOON, NOON + 1, NOON + 10 * MINUTE, NOON + 10 * MINUTE + 1])
def test_the_row_of_an_interval(from_ms: int) -> None:
    found = every(minutes=10).next_due_from_ms(NOON, from_ms)

    assert NOON + (10 if from_ms <= NOON + 10 * MINUTE else 20) * MINUTE == found
