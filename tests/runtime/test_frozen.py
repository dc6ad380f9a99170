"""A process that was frozen for longer than a lease: others went on, and it is told so."""

import os
import signal
import time
from collections.abc import Callable

import pytest

from jobrunner import JobContext, JobRunner, LeaseLostError, Outcome, every
from tests.runtime.actor import Stage
from tests.runtime.stage import Play
from tests.support.wait import wait_for

Observe = Callable[..., JobRunner]


def instance(stage: Stage, redis_url: str) -> None:
    runner = JobRunner(redis_url=redis_url, namespace="frozen", lease=1.0, check_interval=0.1)

    @runner.job(every(milliseconds=50))
    def work(ctx: JobContext) -> None:
        stage.say("started", run=ctx.run.id, token=ctx.run.token)
        try:
            while not stage.heard("end"):
                ctx.check()
                time.sleep(0.01)
        except LeaseLostError:
            stage.say("told", run=ctx.run.id)
            raise

    runner.start()
    stage.say("up")
    stage.wait_for("stop")
    runner.stop()


@pytest.mark.parametrize("patched", [True, False], ids=["greenlet", "thread"])
def test_the_run_of_a_frozen_process_is_replaced_and_told_when_it_wakes(
    redis_url: str, observe: Observe, patched: bool
) -> None:
    looking = observe(redis_url, "frozen", "work")
    with Play(instance, patched=patched, redis_url=redis_url) as frozen:
        old = frozen.wait_for("started")
        os.kill(frozen.pid, signal.SIGSTOP)
        with Play(instance, patched=patched, redis_url=redis_url) as other:
            new = other.wait_for("started")
            (entry,) = looking.history("work")
            assert (old["run"], Outcome.ABANDONED) == (entry.run_id, entry.outcome)
            assert new["token"] > old["token"]

            os.kill(frozen.pid, signal.SIGCONT)
            assert old["run"] == frozen.wait_for("told")["run"]
            # What really became of it takes the place of what was thought; the new run goes on.
            wait_for(lambda: looking.history("work")[0].outcome != Outcome.ABANDONED)
            (entry,), (status,) = looking.history("work"), looking.status()
            assert (old["run"], Outcome.LEASE_LOST) == (entry.run_id, entry.outcome)
            assert (new["run"], 0, 1) == (status.running, status.abandoned, status.lease_lost)
            for play in (frozen, other):
                play.say("end")
                play.say("stop")
                play.end()
