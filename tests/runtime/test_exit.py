"""A script that just ends, without a word to the runner, drains all the same."""

import time
from collections.abc import Callable

import pytest

from jobrunner import JobContext, JobRunner, Outcome, every
from tests.runtime.actor import Stage
from tests.runtime.stage import Play

Observe = Callable[..., JobRunner]

both_ways = pytest.mark.parametrize("patched", [True, False], ids=["greenlet", "thread"])


def script(stage: Stage, redis_url: str, timeout: float) -> None:
    runner = JobRunner(redis_url=redis_url, namespace="exit", drain_timeout=timeout)

    @runner.job(every(hours=1))
    def work(ctx: JobContext) -> None:
        stage.say("started")
        while not stage.heard("end"):
            ctx.check()
            time.sleep(0.005)

    runner.start()
    stage.wait_for("leave")


@both_ways
def test_its_runs_may_finish(redis_url: str, observe: Observe, patched: bool) -> None:
    with Play(script, patched=patched, redis_url=redis_url, timeout=60) as playing:
        playing.wait_for("started")
        playing.say("leave")
        playing.wait_for_log("Stopping")  # the main thread has nothing more to do
        playing.say("end")
        playing.end()
    (entry,) = observe(redis_url, "exit", "work").history("work")
    assert Outcome.SUCCEEDED == entry.outcome


@both_ways
def test_what_outlives_the_drain_timeout_is_interrupted(
    redis_url: str, observe: Observe, patched: bool
) -> None:
    with Play(script, patched=patched, redis_url=redis_url, timeout=0.1) as playing:
        playing.wait_for("started")
        playing.say("leave")
        playing.end()
    (entry,) = observe(redis_url, "exit", "work").history("work")
    assert Outcome.INTERRUPTED == entry.outcome
