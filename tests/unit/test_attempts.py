"""The attempts of a run: retries, timeouts, cancellation, results and what is told of them."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import fakeredis
import gevent
import pytest
from flask import Flask, g

from jobrunner import (
    Job,
    JobContext,
    JobRunner,
    LeaseLostError,
    Outcome,
    Retry,
    RunCancelledError,
    RunTimedOutError,
    StaleRunError,
    every,
)
from jobrunner.clock import trust_seconds
from jobrunner.engine.stops import Stops
from jobrunner.run import HistoryEntry
from jobrunner.signals import job_failed, job_retrying, job_started, job_succeeded
from tests.support.wait import wait_for

NOON = 1_700_000_000.0

#: Three attempts, one after the other.
AT_ONCE = Retry(attempts=3, base=0)


@pytest.fixture
def runner(caplog: pytest.LogCaptureFixture) -> Iterator[JobRunner]:
    caplog.set_level(logging.INFO, "jobrunner")
    runner = JobRunner(redis=fakeredis.FakeRedis(), namespace="shop", clock=lambda: NOON)
    yield runner
    runner.stop(timeout=0)


def ran(runner: JobRunner, function: Callable[[JobContext], object], **policies: Any) -> Any:
    """The history's entry of one run of that function as a job."""
    runner.job(every(hours=1), name="work", **policies)(function)
    runner.tick(wait=True)
    (entry,) = runner.history("work")
    return entry


@contextmanager
def begun(
    runner: JobRunner, function: Callable[[JobContext], object], **policies: Any
) -> Iterator[Any]:
    """The executor, while a run of that function is at work."""
    started: list[object] = []
    runner.job(every(hours=1), name="work", **policies)(
        lambda ctx: (started.append(ctx), function(ctx))
    )
    runner.tick()
    awaited(lambda: started)
    yield executor_of(runner)


def executor_of(runner: JobRunner) -> Any:
    return runner._state(None).instance().executor


def awaited(condition: Callable[[], Any]) -> Any:
    """The condition's true answer, while the greenlets of this hub go on."""

    def answer() -> Any:
        gevent.sleep(0)
        return condition()

    return wait_for(answer, every=0.001)


def ended(runner: JobRunner) -> HistoryEntry:
    return awaited(lambda: runner.history("work"))[0]  # type: ignore[no-any-return]


def lines(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


class TestRetry:
    def test_a_later_attempt_succeeds_and_the_run_has(
        self, runner: JobRunner, caplog: pytest.LogCaptureFixture
    ) -> None:
        runs = []

        def work(ctx: JobContext) -> str:
            runs.append(ctx.run)
            if ctx.run.attempt < 3:
                raise ValueError(f"no {ctx.run.attempt}")
            return "done"

        entry = ran(runner, work, retry=AT_ONCE)

        assert (Outcome.SUCCEEDED, 3, None, '"done"') == (
            entry.outcome,
            entry.attempts,
            entry.error,
            entry.result,
        )
        assert [1, 2, 3] == [run.attempt for run in runs]
        assert 1 == len({(run.id, run.token, run.started_at) for run in runs})
        assert [
            "Job work failed in attempt 1 of 3, and is tried again in 0 s: ValueError: no 1",
            "Job work failed in attempt 2 of 3, and is tried again in 0 s: ValueError: no 2",
        ] == lines(caplog)
        (status,) = runner.status()
        assert (1, 1, 0) == (status.runs, status.succeeded, status.failed)

    def test_what_an_attempt_has_left_behind_keeps_its_number(self, runner: JobRunner) -> None:
        contexts: list[JobContext] = []

        def work(ctx: JobContext) -> None:
            contexts.append(ctx)
            if len(contexts) < 3:
                raise ValueError

        ran(runner, work, retry=AT_ONCE)

        assert [1, 2, 3] == [ctx.run.attempt for ctx in contexts]

    def test_after_the_last_attempt_it_has_failed_with_the_last_error(
        self, runner: JobRunner
    ) -> None:
        def work(ctx: JobContext) -> None:
            raise ValueError(f"no {ctx.run.attempt}")

        entry = ran(runner, work, retry=AT_ONCE)

        assert (Outcome.FAILED, 3, "ValueError: no 3") == (
            entry.outcome,
            entry.attempts,
            entry.error,
        )

    @pytest.mark.parametrize(
        ("error", "outcome"),
        [
            (SystemExit(1), Outcome.FAILED),
            (KeyError("given up on"), Outcome.FAILED),
            (LeaseLostError("gone"), Outcome.LEASE_LOST),
            (StaleRunError("old"), Outcome.STALE),
            (RunCancelledError("no"), Outcome.CANCELLED),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_what_is_not_tried_again(
        self, runner: JobRunner, error: BaseException, outcome: Outcome
    ) -> None:
        def work(ctx: JobContext) -> None:
            raise error

        entry = ran(runner, work, retry=Retry(attempts=3, base=0, give_up_on=(KeyError,)))

        assert (outcome, 1) == (entry.outcome, entry.attempts)

    def test_even_if_the_policy_names_all_exceptions(self, runner: JobRunner) -> None:
        def work(ctx: JobContext) -> None:
            raise StaleRunError("old")

        entry = ran(runner, work, retry=Retry(attempts=3, base=0, on=(BaseException,)))

        assert (Outcome.STALE, 1) == (entry.outcome, entry.attempts)

    def test_each_attempt_has_a_job_a_context_and_a_scope_of_its_own(self) -> None:
        app = Flask("shop")
        seen: list[tuple[Any, ...]] = []

        @app.teardown_appcontext
        def note(error: BaseException | None) -> None:
            seen.append(("teardown", type(error)))

        class Work(Job):
            name = "work"
            interval = 3600
            retry = AT_ONCE
            mine = 0

            def run(self, ctx: JobContext) -> None:
                seen.append((self.mine, hasattr(ctx, "mine"), "mine" in g))
                self.mine = ctx.mine = g.mine = 1  # type: ignore[attr-defined]
                raise ValueError("no")

        runner = JobRunner(app, jobs=[Work()], redis=fakeredis.FakeRedis(), clock=lambda: NOON)
        runner.tick(wait=True)

        fresh = (0, False, False)
        assert [fresh, fresh, fresh] == [one for one in seen if one[0] != "teardown"]
        assert 3 == len([one for one in seen if one[0] == "teardown"])

    def test_the_pause_is_the_policy_s_and_by_chance_of_the_instance(
        self, runner: JobRunner
    ) -> None:
        pauses: list[float] = []

        def listen(sender: object, pause: float, **_: object) -> None:
            pauses.append(pause)

        def work(ctx: JobContext) -> None:
            raise ValueError("no")

        retry = Retry(attempts=4, base=0.01, factor=2, cap=0.02)
        with job_retrying.connected_to(listen):
            ran(runner, work, retry=retry)

        instance = runner.history("work")[0].instance
        chance = random.Random(f"pauses of {instance}")
        assert [retry.pause(number, chance) for number in (1, 2, 3)] == pauses

    def test_a_stop_ends_the_pause_at_once_and_the_run_as_its_last_attempt_did(
        self, runner: JobRunner
    ) -> None:
        def work(ctx: JobContext) -> None:
            raise ValueError("no")

        with begun(runner, work, retry=Retry(base=3600, cap=3600, jitter=False)) as executor:
            awaited(lambda: executor.active()[0].pause)
            assert runner.stop(timeout=60)

        entry = ended(runner)
        assert (Outcome.FAILED, 1, "ValueError: no") == (
            entry.outcome,
            entry.attempts,
            entry.error,
        )

    def test_a_lost_lease_ends_the_pause_at_once(self, runner: JobRunner) -> None:
        def work(ctx: JobContext) -> None:
            raise ValueError("no")

        with begun(runner, work, retry=Retry(base=3600, cap=3600, jitter=False)) as executor:
            (active,) = awaited(executor.active)
            awaited(lambda: active.pause)
            executor.tell(active, "gone")

        assert (Outcome.LEASE_LOST, 1) == (ended(runner).outcome, ended(runner).attempts)

    def test_no_attempt_begins_without_trust_in_the_lease(self, runner: JobRunner) -> None:
        def work(ctx: JobContext) -> None:
            (active,) = executor_of(runner).active()
            active.trusted_until = 0.0
            raise ValueError("no")

        entry = ran(runner, work, retry=AT_ONCE)

        assert (Outcome.LEASE_LOST, 1) == (entry.outcome, entry.attempts)

    def test_an_attempt_that_fails_while_the_instance_drains_is_the_last(
        self, runner: JobRunner, caplog: pytest.LogCaptureFixture
    ) -> None:
        def work(ctx: JobContext) -> None:
            executor_of(runner).stop_starting()
            raise ValueError("no")

        entry = ran(runner, work, retry=AT_ONCE)

        assert (Outcome.FAILED, 1) == (entry.outcome, entry.attempts)
        assert [] == lines(caplog)  # which would say that it is tried again


class TestTimeout:
    def test_an_attempt_that_takes_longer_is_stopped_whatever_it_catches(
        self, runner: JobRunner, caplog: pytest.LogCaptureFixture
    ) -> None:
        left: list[str] = []

        def work(ctx: JobContext) -> None:
            while True:
                try:
                    gevent.sleep(3600)
                except Exception:
                    left.append("swallowed")
                finally:
                    left.append("cleaned up")

        entry = ran(runner, work, timeout=0.01)

        text = "RunTimedOutError: job 'work' took longer than its timeout of 0.01 s"
        assert (Outcome.TIMED_OUT, text) == (entry.outcome, entry.error)
        assert "gevent.sleep(3600)" in entry.traceback
        assert ["cleaned up"] == left
        assert [f"Job work timed out: {text}"] == lines(caplog, logging.ERROR)
        (status,) = runner.status()
        assert (1, 0, 0) == (status.timed_out, status.failed, status.succeeded)

    def test_one_that_ends_in_time_is_left_alone(self, runner: JobRunner) -> None:
        entry = ran(runner, lambda ctx: gevent.sleep(0), timeout=3600)

        assert Outcome.SUCCEEDED == entry.outcome

    def test_its_timer_ends_with_it(
        self, runner: JobRunner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        timers: list[Any] = []
        alarm = Stops.alarm

        def noting(self: Stops, active: Any, seconds: float) -> Any:
            timers.append(alarm(self, active, seconds))
            return timers[-1]

        def work(ctx: JobContext) -> None:
            assert timers[-1].active
            raise ValueError("no")

        monkeypatch.setattr(Stops, "alarm", noting)
        ran(runner, work, timeout=3600, retry=Retry(attempts=2, base=0))

        assert [False, False] == [timer.active for timer in timers]

    def test_without_a_timeout_there_is_none(
        self, runner: JobRunner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def alarm(self: Stops, active: Any, seconds: float) -> Any:
            raise AssertionError("a timer that nobody needs")

        monkeypatch.setattr(Stops, "alarm", alarm)

        assert Outcome.SUCCEEDED == ran(runner, lambda ctx: None).outcome

    def test_each_attempt_has_the_whole_time(self, runner: JobRunner) -> None:
        def work(ctx: JobContext) -> None:
            (active,) = executor_of(runner).active()
            left.append(active.deadline - trust_seconds())
            if ctx.run.attempt < 3:
                active.deadline = 0.0  # as if it had taken that long

        left: list[float] = []
        entry = ran(runner, work, timeout=3600, retry=AT_ONCE)

        assert (Outcome.SUCCEEDED, 3) == (entry.outcome, entry.attempts)
        assert all(3000 < seconds <= 3600 for seconds in left), left

    def test_one_that_swallows_it_and_returns_is_no_success(self, runner: JobRunner) -> None:
        def work(ctx: JobContext) -> str:
            try:
                gevent.sleep(3600)
            except BaseException:
                return "all done, it says"
            return "in time"

        entry = ran(runner, work, timeout=0.01)

        assert (Outcome.TIMED_OUT, None) == (entry.outcome, entry.result)

    def test_one_that_raises_something_else_tells_both(self, runner: JobRunner) -> None:
        def work(ctx: JobContext) -> None:
            try:
                gevent.sleep(3600)
            except BaseException:
                raise ValueError("while I cleaned up") from None

        entry = ran(runner, work, timeout=0.01)

        assert Outcome.TIMED_OUT == entry.outcome
        assert entry.error.endswith("and raised ValueError: while I cleaned up")
        assert "ValueError: while I cleaned up" in entry.traceback

    def test_one_that_never_yields_is_told_by_check(self, runner: JobRunner) -> None:
        def work(ctx: JobContext) -> None:
            while True:
                ctx.check()

        assert Outcome.TIMED_OUT == ran(runner, work, timeout=0.01).outcome

    def test_one_that_never_yields_and_returns_late_has_timed_out(self, runner: JobRunner) -> None:
        def work(ctx: JobContext) -> None:
            while not ctx.cancelled:
                pass

        assert Outcome.TIMED_OUT == ran(runner, work, timeout=0.01).outcome

    def test_it_is_tried_again_though_the_policy_does_not_name_it(self, runner: JobRunner) -> None:
        def work(ctx: JobContext) -> None:
            if ctx.run.attempt < 3:
                gevent.sleep(3600)

        entry = ran(runner, work, timeout=0.01, retry=Retry(base=0, on=(OSError,)))

        assert (Outcome.SUCCEEDED, 3) == (entry.outcome, entry.attempts)

    def test_unless_the_policy_gives_up_on_it(self, runner: JobRunner) -> None:
        retry = Retry(base=0, give_up_on=(RunTimedOutError,))

        entry = ran(runner, lambda ctx: gevent.sleep(3600), timeout=0.01, retry=retry)

        assert (Outcome.TIMED_OUT, 1) == (entry.outcome, entry.attempts)

    def test_one_that_ignores_it_is_reported_and_told_again_and_keeps_its_lease(
        self, runner: JobRunner, caplog: pytest.LogCaptureFixture
    ) -> None:
        told: list[BaseException] = []

        def work(ctx: JobContext) -> None:
            while len(told) < 3:
                try:
                    gevent.sleep(3600)
                except BaseException as error:
                    told.append(error)

        with begun(runner, work, timeout=0.01) as executor:
            (active,) = executor.active()
            for number in (1, 2):
                awaited(lambda number=number: len(told) == number)
                assert active.run.id == runner.status()[0].running
                active.told_at -= 1.0  # a check interval passes
                executor.remind()

        assert Outcome.TIMED_OUT == ended(runner).outcome
        assert [RunTimedOutError] * 3 == [type(error) for error in told]
        assert 2 == len([line for line in lines(caplog) if "after it was told to stop" in line])


class TestCancel:
    def test_a_cancelled_run_is_stopped_and_recorded_as_that(
        self, runner: JobRunner, caplog: pytest.LogCaptureFixture
    ) -> None:
        with begun(runner, lambda ctx: gevent.sleep(3600), retry=AT_ONCE) as executor:
            (active,) = executor.active()
            assert executor.cancel(active.run.id, "wrong day")
            assert executor.cancel(active.run.id, "again")

        entry = ended(runner)
        assert (Outcome.CANCELLED, 1) == (entry.outcome, entry.attempts)
        assert "RunCancelledError: job 'work' was cancelled: wrong day" == entry.error
        assert 1 == runner.status()[0].cancelled
        assert not executor.cancel(entry.run_id)
        assert 1 == len([line for line in lines(caplog) if "is being cancelled" in line])

    def test_one_that_returns_after_it_was_told_is_cancelled_too(self, runner: JobRunner) -> None:
        def work(ctx: JobContext) -> None:
            while not ctx.cancelled:
                gevent.sleep(0)

        with begun(runner, work) as executor:
            assert executor.cancel(executor.active()[0].run.id)

        assert Outcome.CANCELLED == ended(runner).outcome

    def test_in_the_pause_between_two_attempts(self, runner: JobRunner) -> None:
        def work(ctx: JobContext) -> None:
            raise ValueError("no")

        with begun(runner, work, retry=Retry(base=3600, cap=3600, jitter=False)) as executor:
            (active,) = executor.active()
            awaited(lambda: active.pause)
            executor.cancel(active.run.id)

        assert Outcome.CANCELLED == ended(runner).outcome

    def test_before_it_began_it_is_recorded_and_not_given_back(self, runner: JobRunner) -> None:
        begun: list[object] = []
        runner.job(every(hours=1), name="work")(begun.append)
        runner.tick()  # claimed; its greenlet has not run yet
        executor = executor_of(runner)
        assert executor.cancel(executor.active()[0].run.id)

        assert Outcome.CANCELLED == ended(runner).outcome
        assert [] == begun

    def test_a_run_that_is_not_here(self, runner: JobRunner) -> None:
        runner.job(every(hours=1), name="work")(lambda ctx: None)
        runner.tick(wait=True)

        assert not executor_of(runner).cancel("nobody")


class TestResult:
    def test_of_the_last_success_it_stands_in_the_status(self, runner: JobRunner) -> None:
        entry = ran(runner, lambda ctx: {"rows": 7, "naïve": [None, True, 1.5]})

        expected = '{"rows": 7, "naïve": [null, true, 1.5]}'
        (status,) = runner.status()
        assert (expected, expected, NOON) == (
            entry.result,
            status.last_result,
            status.last_success,
        )

    @pytest.mark.parametrize(
        ("value", "why"),
        [
            (object(), "it is not JSON: TypeError"),
            (float("nan"), "it is not JSON: ValueError"),
            ("x" * 4000, "larger than 4000 bytes (JOBRUNNER_MAX_RESULT)"),
            ("ä" * 2500, "larger than 4000 bytes"),
            ("\ud800", "it is not JSON: UnicodeEncodeError"),
        ],
        ids=["object", "nan", "large", "many bytes", "surrogate"],
    )
    def test_what_cannot_be_kept_is_a_warning_and_the_run_a_success(
        self, runner: JobRunner, caplog: pytest.LogCaptureFixture, value: object, why: str
    ) -> None:
        entry = ran(runner, lambda ctx: value)

        assert (Outcome.SUCCEEDED, None) == (entry.outcome, entry.result)
        (line,) = lines(caplog)
        assert line.startswith("Job work: what it returned is not kept: ")
        assert why in line

    def test_nothing_is_nothing(self, runner: JobRunner, caplog: pytest.LogCaptureFixture) -> None:
        assert ran(runner, lambda ctx: None).result is None
        assert [] == lines(caplog)


class TestSignals:
    @pytest.fixture
    def heard(self) -> Iterator[list[tuple[str, Any]]]:
        heard: list[tuple[str, Any]] = []

        def note(name: str) -> Callable[..., None]:
            return lambda sender, **arguments: heard.append((name, arguments))

        notes = {
            signal: note(signal.name)
            for signal in (job_started, job_retrying, job_succeeded, job_failed)
        }
        for signal, receiver in notes.items():
            signal.connect(receiver)
        yield heard
        for signal, receiver in notes.items():
            signal.disconnect(receiver)

    def test_each_attempt_the_retry_and_the_success(
        self, runner: JobRunner, heard: list[tuple[str, Any]]
    ) -> None:
        def work(ctx: JobContext) -> object:
            if ctx.run.attempt == 1:
                raise ValueError("no")
            return heard

        ran(runner, work, retry=AT_ONCE)

        assert ["job-started", "job-retrying", "job-started", "job-succeeded"] == [
            name for name, _ in heard
        ]
        assert [1, 1, 2, 2] == [arguments["run"].attempt for _, arguments in heard]
        assert "ValueError('no')" == repr(heard[1][1]["error"])
        assert heard is heard[3][1]["result"]

    def test_a_failure_with_its_outcome(
        self, runner: JobRunner, heard: list[tuple[str, Any]]
    ) -> None:
        ran(runner, lambda ctx: gevent.sleep(3600), timeout=0.01)

        name, arguments = heard[-1]
        assert ("job-failed", Outcome.TIMED_OUT) == (name, arguments["outcome"])
        assert isinstance(arguments["error"], RunTimedOutError)

    @pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1)])
    def test_a_receiver_that_raises_hurts_no_run(
        self, runner: JobRunner, error: BaseException
    ) -> None:
        def broken(sender: object, **_: object) -> None:
            raise error

        with job_started.connected_to(broken), job_succeeded.connected_to(broken):
            assert Outcome.SUCCEEDED == ran(runner, lambda ctx: None).outcome
        assert [] == executor_of(runner).active()
