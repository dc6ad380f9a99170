"""`run_jobs()`: a process that does nothing else, without Flask, until TERM or INT."""

import os
import signal
import threading
from collections.abc import Callable

import pytest

from jobrunner import JobContext, JobRunner, Outcome, every
from tests.runtime.actor import Stage
from tests.runtime.stage import Play

Observe = Callable[..., JobRunner]


def serves(stage: Stage, redis_url: str) -> str:
    runner = JobRunner(redis_url=redis_url, namespace="process", check_interval=0.05)

    @runner.job(every(hours=1))
    def long(ctx: JobContext) -> None:
        stage.say("started")
        stage.wait_for("end")

    @runner.job(every(milliseconds=20))
    def brief(ctx: JobContext) -> None:
        stage.say("brief", started_at=ctx.run.started_at)

    runner.run_jobs()
    assert threading.current_thread() is threading.main_thread()
    return "returned"


@pytest.mark.parametrize("patched", [True, False], ids=["greenlet", "thread"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_it_runs_jobs_until_the_signal_and_returns_after_a_drain(
    redis_url: str, observe: Observe, patched: bool, number: signal.Signals
) -> None:
    with Play(serves, patched=patched, redis_url=redis_url) as process:
        process.wait_for("started")
        process.wait_for("brief", count=3)
        os.kill(process.pid, number)
        stopping = process.wait_for_log("Stopping")
        process.say("end")
        assert "returned" == process.end()
    assert max(event["started_at"] for event in process.events("brief")) <= stopping["wall"]
    (entry,) = observe(redis_url, "process", "long").history("long")
    assert Outcome.SUCCEEDED == entry.outcome
