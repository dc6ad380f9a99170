"""Attempts, timeouts and progress in a started runner, as greenlets and as threads."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from jobrunner import JobContext, JobRunner, Outcome, Retry, every
from jobrunner.run import HistoryEntry, Progress
from tests.runtime.actor import Stage
from tests.runtime.stage import Play
from tests.support.wait import wait_for

Observe = Callable[..., JobRunner]

both_ways = pytest.mark.parametrize("patched", [True, False], ids=["greenlet", "thread"])


def runner_on(redis_url: str, **settings: Any) -> JobRunner:
    return JobRunner(redis_url=redis_url, namespace="attempts", check_interval=0.05, **settings)


def entry(observe: Observe, redis_url: str) -> HistoryEntry:
    """The one run of the job, when it is recorded."""
    looking = observe(redis_url, "attempts", "work")
    (found,) = wait_for(lambda: looking.history("work"), message="the run's entry")
    return found


def sleeps(stage: Stage, redis_url: str) -> None:
    runner = runner_on(redis_url)

    @runner.job(every(hours=1), timeout=0.2)
    def work(ctx: JobContext) -> None:
        while True:
            try:
                time.sleep(120)
            except Exception:
                stage.say("swallowed")

    runner.start()
    stage.wait_for("stop")
    runner.stop()


def test_a_timeout_is_not_swallowed_by_a_loop_that_catches_exceptions(
    redis_url: str, observe: Observe
) -> None:
    with Play(sleeps, patched=True, redis_url=redis_url) as one:
        assert Outcome.TIMED_OUT == entry(observe, redis_url).outcome
        one.say("stop")
        one.end()
    assert [] == one.events("swallowed")


def ignores(stage: Stage, redis_url: str) -> None:
    runner = runner_on(redis_url, lease=0.5)

    @runner.job(every(hours=1), timeout=0.2)
    def work(ctx: JobContext) -> str:
        stage.say("started")
        while not stage.heard("end"):
            try:
                time.sleep(0.01)
            except BaseException as error:
                stage.say("ignored", kind=type(error).__name__)
        return "well done"

    runner.start()
    stage.wait_for("stop")
    runner.stop()


@both_ways
def test_what_ignores_its_timeout_is_reported_keeps_its_lease_and_has_timed_out(
    redis_url: str, observe: Observe, patched: bool
) -> None:
    with Play(ignores, patched=patched, redis_url=redis_url) as one:
        started = one.wait_for("started")
        looking = observe(redis_url, "attempts", "work")
        wait_for(lambda: time.monotonic() > started["at"] + 1.5)  # three leases
        wait_for(lambda: len([w for w in one.log("WARNING") if "told to stop" in w]) >= 3)
        (status,) = looking.status()
        assert status.lease_left is not None
        assert [] == looking.history("work")
        one.say("end")
        found = entry(observe, redis_url)
        one.say("stop")
        one.end()
    assert (Outcome.TIMED_OUT, None, 1) == (found.outcome, found.result, found.attempts)
    assert patched == bool(one.events("ignored"))  # a thread can only be told
    assert {"RunTimedOutError"} >= {event["kind"] for event in one.events("ignored")}


def checks(stage: Stage, redis_url: str) -> None:
    runner = runner_on(redis_url)

    @runner.job(every(hours=1), timeout=0.1, retry=Retry(attempts=2, base=0))
    def work(ctx: JobContext) -> None:
        stage.say("started", attempt=ctx.run.attempt)
        while True:
            ctx.check()
            time.sleep(0.005)

    runner.start()
    stage.wait_for("stop")
    runner.stop()


def test_a_thread_is_told_by_check_and_may_be_tried_again(redis_url: str, observe: Observe) -> None:
    with Play(checks, patched=False, redis_url=redis_url) as one:
        found = entry(observe, redis_url)
        one.say("stop")
        one.end()
    assert [1, 2] == [event["attempt"] for event in one.events("started")]
    assert (Outcome.TIMED_OUT, 2) == (found.outcome, found.attempts)


def fails(stage: Stage, redis_url: str) -> bool:
    runner = runner_on(redis_url, drain_timeout=300)

    @runner.job(every(hours=1), retry=Retry(base=3600, cap=3600, jitter=False))
    def work(ctx: JobContext) -> None:
        raise ValueError("no")

    runner.start()
    stage.wait_for("stop")
    return runner.stop()


@both_ways
def test_a_drain_ends_the_pause_between_two_attempts(
    redis_url: str, observe: Observe, patched: bool
) -> None:
    with Play(fails, patched=patched, redis_url=redis_url) as one:
        one.wait_for_log("is tried again in")
        assert [] == observe(redis_url, "attempts", "work").history("work")
        one.say("stop")
        assert one.end() is True
    found = entry(observe, redis_url)
    assert (Outcome.FAILED, 1, "ValueError: no") == (found.outcome, found.attempts, found.error)


def reports(stage: Stage, redis_url: str, started: bool) -> None:
    runner = runner_on(redis_url, progress_interval=0.05)

    @runner.job(every(hours=1))
    def work(ctx: JobContext) -> None:
        for number, word in enumerate(("more", "end"), 1):
            for done in range(100 * number):
                ctx.progress(done, 1000, f"row {done}")
            ctx.progress(100 * number, 1000)
            stage.wait_for(word)

    if started:
        runner.start()
        stage.wait_for("stop")
    else:
        runner.tick(wait=True)
    runner.stop()


@pytest.mark.parametrize(
    ("patched", "started"),
    [(True, True), (False, True), (True, False)],
    ids=["greenlet", "thread", "not started"],
)
def test_another_process_sees_how_far_a_run_is(
    redis_url: str, observe: Observe, patched: bool, started: bool
) -> None:
    looking = observe(redis_url, "attempts", "work")

    def seen(done: int) -> Progress | None:
        progress = looking.status()[0].progress
        return progress if progress is not None and progress.done == done else None

    with Play(reports, patched=patched, redis_url=redis_url, started=started) as one:
        first = wait_for(lambda: seen(100), message="the first progress")
        assert first is not None
        assert (1000, "") == (first.total, first.message)
        one.say("more")
        second = wait_for(lambda: seen(200), message="the second progress")
        assert second is not None
        assert second.at > first.at
        one.say("end")
        entry(observe, redis_url)
        assert looking.status()[0].progress is None
        one.say("stop")
        one.end()
