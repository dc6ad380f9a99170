"""An error stays where it happened: the other jobs go on, and the log names the one."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import fakeredis
import gevent
import pytest
from flask import Flask

from jobrunner import Job, JobContext, JobRunner, Outcome, Schedule, cron, every

NOON = 1_700_000_000.0


@pytest.fixture
def redis() -> Any:
    return fakeredis.FakeRedis(decode_responses=True)


@pytest.fixture
def runner(redis: Any, caplog: pytest.LogCaptureFixture) -> JobRunner:
    caplog.set_level(logging.INFO, "jobrunner")
    return JobRunner(redis=redis, namespace="shop", clock=lambda: NOON)


@pytest.fixture
def ran(runner: JobRunner) -> list[str]:
    """What has run of two sound jobs, registered before the one that a test adds."""
    ran: list[str] = []
    for name in ("before", "zebra"):
        runner.job(every(minutes=5), name=name)(lambda ctx: ran.append(ctx.run.job))
    return ran


def at(runner: JobRunner, now: float) -> None:
    """One check of every job at that moment, until what it started has ended."""
    runner.clock = lambda: now
    runner.tick(wait=True)


def by_check(ran: list[str]) -> list[str]:
    """What ran, two in each check: which of them begins is left to the hub."""
    return sorted(ran[:2]) + sorted(ran[2:])


def lines(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= level]


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class TestAJobThatRaises:
    @pytest.mark.parametrize(
        ("error", "text"),
        [
            (ValueError("no such table"), "ValueError: no such table"),
            (gevent.GreenletExit(), "GreenletExit"),
            (SystemExit(1), "SystemExit: 1"),
            (gevent.Timeout(5), "Timeout: 5 seconds"),
            (KeyboardInterrupt(), "KeyboardInterrupt"),
            (GeneratorExit(), "GeneratorExit"),
            (BaseException("rare"), "BaseException: rare"),
            (StopIteration(), "StopIteration"),
            (Unprintable(), "Unprintable: (its text cannot be made)"),
            (ValueError("lone \ud800 surrogate"), "ValueError: lone ? surrogate"),
            (ValueError("x" * 10_000), "ValueError: " + "x" * 487 + "…"),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_it_failed_and_nothing_else_did(
        self,
        runner: JobRunner,
        ran: list[str],
        caplog: pytest.LogCaptureFixture,
        error: BaseException,
        text: str,
    ) -> None:
        def broken(ctx: JobContext) -> None:
            raise error

        runner.job(every(minutes=5))(broken)

        at(runner, NOON)
        at(runner, NOON + 301)

        assert ["before", "zebra"] * 2 == by_check(ran)
        first, second = runner.history("broken")
        assert (
            (Outcome.FAILED, text)
            == (first.outcome, first.error)
            == (
                second.outcome,
                second.error,
            )
        )
        (status,) = [status for status in runner.status() if status.name == "broken"]
        assert (2, 2, None, text) == (
            status.runs,
            status.failed,
            status.running,
            status.last_error,
        )
        assert [f"Job broken finished with error: {text}"] * 2 == lines(caplog, logging.WARNING)
        errors = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert [error, error] == [record.exc_info and record.exc_info[1] for record in errors]

    def test_a_job_that_cannot_be_copied(self, runner: JobRunner, ran: list[str]) -> None:
        class Single(Job):
            name = "single"
            interval = 300

            def __copy__(self) -> Job:
                raise TypeError("there is one of me")

            def run(self, ctx: JobContext) -> None: ...

        runner.register(Single())

        at(runner, NOON)

        assert ["before", "zebra"] == ran
        (entry,) = runner.history("single")
        assert (Outcome.FAILED, "TypeError: there is one of me") == (entry.outcome, entry.error)

    def test_an_application_whose_teardown_raises(self, redis: Any) -> None:
        app = Flask("shop")

        @app.teardown_appcontext
        def fail(error: BaseException | None) -> None:
            raise ValueError("teardown")

        runner = JobRunner(app, redis=redis, clock=lambda: NOON)
        runner.job(every(minutes=5), name="a")(lambda ctx: None)
        runner.job(every(minutes=5), name="b")(lambda ctx: None)

        runner.tick(wait=True)

        for name in ("a", "b"):
            assert ["ValueError: teardown"] == [e.error for e in runner.history(name)]


def test_each_line_of_a_run_carries_job_run_and_token(
    runner: JobRunner, caplog: pytest.LogCaptureFixture
) -> None:
    runs = []
    runner.job(every(minutes=5), name="purge")(lambda ctx: runs.append(ctx.run))

    at(runner, NOON)

    (run,) = runs
    found = {
        record.getMessage(): (record.job, record.run_id, record.token)  # type: ignore[attr-defined]
        for record in caplog.records
    }
    of_the_run = ("purge", run.id, run.token)
    assert found == {
        "Starting job purge": of_the_run,
        "Job purge finished successfully": of_the_run,
    }


class TestACorruptKey:
    def test_that_job_alone_is_not_run_and_the_error_names_it(
        self, redis: Any, runner: JobRunner, ran: list[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        runner.job(every(minutes=5), name="broken")(lambda ctx: ran.append("broken"))
        redis.set("{shop}:job:broken", "yesterday")

        at(runner, NOON)
        at(runner, NOON + 301)

        assert ["before", "zebra"] * 2 == by_check(ran)
        assert "yesterday" == redis.get("{shop}:job:broken")
        errors = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert errors
        for record in errors:
            assert logging.ERROR == record.levelno
            assert "broken" == record.job  # type: ignore[attr-defined]
            for quoted in ("Job broken is not run", "'{shop}:job:broken'", "yesterday"):
                assert quoted in record.getMessage()

    @pytest.mark.parametrize("kind", ["", ":state"])
    def test_of_a_wrong_type_too(
        self,
        redis: Any,
        runner: JobRunner,
        ran: list[str],
        caplog: pytest.LogCaptureFixture,
        kind: str,
    ) -> None:
        runner.job(every(minutes=5), name="broken")(lambda ctx: ran.append("broken"))
        redis.rpush(f"{{shop}}:job:broken{kind}", "not", "mine")

        at(runner, NOON)

        assert ["before", "zebra"] == ran
        (line,) = lines(caplog, logging.WARNING)
        assert line.startswith("Job broken is not run: ")
        assert "WRONGTYPE" in line

    @pytest.mark.parametrize("kind", ["", ":state", ":lease", ":history"])
    def test_the_advice_is_about_the_key_that_is_wrong_and_mends_it(
        self,
        redis: Any,
        runner: JobRunner,
        ran: list[str],
        caplog: pytest.LogCaptureFixture,
        kind: str,
    ) -> None:
        runner.job(every(minutes=5), name="broken")(lambda ctx: ran.append("broken"))
        key = f"{{shop}}:job:broken{kind}"
        if kind in (":lease", ":history"):  # which are read when somebody runs it, or ran it
            redis.hset("{shop}:job:broken:state", "run", "somebody")
        redis.rpush(key, "not", "mine")
        at(runner, NOON)
        (line,) = [line for line in lines(caplog, logging.WARNING) if "is not run" in line]

        ((_, action, named),) = re.findall(r"; ((delete|delete or set) '(.*?)') in Redis", line)
        redis.delete(named)
        at(runner, NOON + 1)

        assert ("delete" if kind else "delete or set", key) == (action, named)
        assert "broken" in ran

    @pytest.mark.parametrize(
        "value", ["yesterday", "", "1_700_000_000", " 7", "7\n", "\u0661", "9" * 21, "1.5"]
    )
    def test_the_status_says_so_as_well(self, redis: Any, runner: JobRunner, value: str) -> None:
        runner.job(every(minutes=5), name="broken")(lambda ctx: None)
        redis.set("{shop}:job:broken", value)

        at(runner, NOON)

        (status,) = runner.status()
        assert 0 == status.runs
        assert repr(value) in str(status.problem)
        assert (None, None) == (status.last_run, status.next_due)

    def test_mended_it_runs_again(self, redis: Any, runner: JobRunner, ran: list[str]) -> None:
        runner.job(every(minutes=5), name="broken")(lambda ctx: ran.append("broken"))
        redis.set("{shop}:job:broken", "yesterday")
        at(runner, NOON)
        redis.delete("{shop}:job:broken")

        at(runner, NOON + 1)

        assert "broken" in ran


class TestALastRunInTheFuture:
    @pytest.mark.parametrize(
        ("schedule", "seconds"), [(every(minutes=5), 301), (cron("* * * * *"), 3601)]
    )
    def test_too_far_ahead_it_runs_now_with_a_warning_that_names_it(
        self,
        redis: Any,
        runner: JobRunner,
        caplog: pytest.LogCaptureFixture,
        schedule: Schedule,
        seconds: int,
    ) -> None:
        starts: list[tuple[float, float]] = []
        runner.job(schedule, name="purge")(
            lambda ctx: starts.append((ctx.run.due_at, ctx.run.started_at))
        )
        redis.set("{shop}:job:purge", int(NOON) + seconds)

        at(runner, NOON)

        assert [(NOON, NOON)] == starts
        assert str(int(NOON)) == redis.get("{shop}:job:purge")
        (line,) = lines(caplog, logging.WARNING)
        assert "Job purge had a last run further in the future" in line
        at(runner, NOON + 1)
        assert 1 == len(starts)

    @pytest.mark.parametrize(
        ("schedule", "seconds"), [(every(minutes=5), 299), (cron("* * * * *"), 3599)]
    )
    def test_a_little_ahead_it_is_simply_not_due_yet(
        self,
        redis: Any,
        runner: JobRunner,
        caplog: pytest.LogCaptureFixture,
        schedule: Schedule,
        seconds: int,
    ) -> None:
        starts: list[float] = []
        runner.job(schedule, name="purge")(lambda ctx: starts.append(ctx.run.started_at))
        redis.set("{shop}:job:purge", int(NOON) + seconds)

        at(runner, NOON)
        at(runner, NOON + seconds)

        assert [] == starts
        assert [] == lines(caplog, logging.WARNING)

    def test_beyond_any_calendar_it_runs_too(self, redis: Any, runner: JobRunner) -> None:
        starts: list[float] = []
        for name, schedule in (("a", every(minutes=5)), ("b", cron("* * * * *"))):
            runner.job(schedule, name=name)(lambda ctx: starts.append(ctx.run.started_at))
            redis.set(f"{{shop}}:job:{name}", "9" * 20)

        at(runner, NOON)

        assert [NOON, NOON] == starts


class TestAScheduleThatGivesNoDueTime:
    @pytest.mark.parametrize(
        "next_after",
        [
            lambda now: 1 / 0,
            lambda now: float("inf"),
            lambda now: float("nan"),
            lambda now: None,
            lambda now: "soon",
            lambda now: 1e308,
            lambda now: [][0],
        ],
    )
    def test_that_job_is_not_run_and_the_error_names_it(
        self,
        runner: JobRunner,
        ran: list[str],
        caplog: pytest.LogCaptureFixture,
        next_after: Callable[[float], Any],
    ) -> None:
        class Broken(Schedule):
            def next_after(self, unix_seconds: float) -> Any:
                return next_after(unix_seconds)

            def __str__(self) -> str:
                return "a broken schedule"

        runner.job(Broken(), name="broken")(lambda ctx: ran.append("broken"))

        at(runner, NOON)
        at(runner, NOON + 301)

        assert ["before", "zebra"] * 2 == by_check(ran)
        found = lines(caplog, logging.WARNING)
        assert found
        for line in found:
            assert "Job broken: its schedule a broken schedule gave no due time" in line
        (status,) = [status for status in runner.status() if status.name == "broken"]
        assert (0, None) == (status.runs, status.next_due)

    def test_a_cron_job_with_a_last_run_before_any_calendar(
        self, redis: Any, runner: JobRunner, ran: list[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        runner.job(cron("* * * * *"), name="broken")(lambda ctx: ran.append("broken"))
        redis.set("{shop}:job:broken", "-99999999999")

        at(runner, NOON)

        # Its times count from when the fleet first saw its schedule: just now.
        assert ["before", "zebra"] == ran
        assert [] == lines(caplog, logging.ERROR)
        at(runner, NOON + 60)
        assert "broken" in ran

    def test_an_interval_with_a_last_run_before_any_calendar_is_due(
        self, redis: Any, runner: JobRunner, ran: list[str]
    ) -> None:
        redis.set("{shop}:job:before", "-" + "9" * 19)

        at(runner, NOON)

        assert ["before", "zebra"] == sorted(ran)
