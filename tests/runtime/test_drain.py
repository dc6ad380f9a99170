"""A stopping instance lets its runs finish, interrupts the rest, and holds leases to the end."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from jobrunner import Job, JobContext, JobRunner, Outcome, RunInterruptedError, every
from tests.runtime.actor import Stage, instance_of
from tests.runtime.stage import Play
from tests.runtime.watch import LeaseWatch
from tests.support.wait import wait_for

Observe = Callable[..., JobRunner]

both_ways = pytest.mark.parametrize("patched", [True, False], ids=["greenlet", "thread"])


class Work(Job):
    """Due all the time, so that another instance starts it as soon as it is free."""

    name = "work"
    interval = 0.05

    def __init__(self, stage: Stage, way: str) -> None:
        self.stage = stage
        self.way = way

    def run(self, ctx: JobContext) -> None:
        self.stage.say("started", run=ctx.run.id)
        try:
            getattr(self, self.way)(ctx)
        except RunInterruptedError:
            self.stage.say("interrupted")
            raise
        finally:
            self.stage.say("cleaned up")

    def waits(self, ctx: JobContext) -> None:
        self.stage.wait_for("end")

    def sleeps(self, ctx: JobContext) -> None:
        while True:
            try:
                time.sleep(120)
            except Exception:
                self.stage.say("swallowed")

    def checks(self, ctx: JobContext) -> None:
        while True:
            try:
                ctx.check()
                time.sleep(0.005)
            except Exception:
                self.stage.say("swallowed")

    def ignores(self, ctx: JobContext) -> None:
        while not self.stage.heard("end"):
            try:
                time.sleep(0.01)
            except BaseException:
                self.stage.say("ignored")


def drains(stage: Stage, redis_url: str, way: str, lease: float, timeout: float) -> bool:
    runner = JobRunner(
        jobs=[Work(stage, way)],
        redis_url=redis_url,
        namespace="drain",
        lease=lease,
        check_interval=0.05,
        drain_timeout=timeout,
    )

    @runner.job(every(milliseconds=20))
    def ticker(ctx: JobContext) -> None:
        stage.say("ticked", started_at=ctx.run.started_at)

    runner.start()
    stage.say("up")
    stage.wait_for("stop")
    stage.say("stopping")
    by_themselves = runner.stop()
    stage.say("stopped")
    stage.wait_for("go")
    return by_themselves


@both_ways
def test_a_run_may_finish_and_keeps_its_lease_to_its_very_end(
    redis_url: str, observe: Observe, patched: bool
) -> None:
    def instance(way: str) -> Play:
        return Play(drains, patched=patched, redis_url=redis_url, way=way, lease=0.5, timeout=60.0)

    with LeaseWatch(redis_url, "drain", "work") as watch, instance("waits") as one:
        started = one.wait_for("started")
        one.wait_for("ticked")
        with instance("waits") as other:
            other.wait_for("up")
            one.say("stop")
            stopping = one.wait_for("stopping")
            wait_for(lambda: time.monotonic() > stopping["at"] + 1.5)  # three leases
            one.say("end")
            ended = one.wait_for("cleaned up")
            one.wait_for("stopped")
            one.say("go")
            assert one.end() is True
            elsewhere = other.wait_for("started")

    assert {started["run"]} == set(watch.holders(after=started["at"], before=ended["at"]))
    assert elsewhere["at"] > ended["at"]
    claimed = [event["started_at"] for event in one.events("ticked")]
    assert max(claimed) <= stopping["wall"] + 0.01  # told right before it stops
    history = observe(redis_url, "drain", "work").history("work")
    assert (started["run"], Outcome.SUCCEEDED) == (history[-1].run_id, history[-1].outcome)


@pytest.mark.parametrize(("way", "patched"), [("sleeps", True), ("checks", False)])
def test_what_outlives_the_drain_timeout_is_interrupted_recorded_and_free_at_once(
    redis_url: str, observe: Observe, way: str, patched: bool
) -> None:
    with Play(
        drains, patched=patched, redis_url=redis_url, way=way, lease=60.0, timeout=0.3
    ) as one:
        run = one.wait_for("started")["run"]
        one.say("stop")
        one.wait_for("stopped")
        looking = observe(redis_url, "drain", "work")
        (entry,), (status,) = looking.history("work"), looking.status()
        assert (run, Outcome.INTERRUPTED) == (entry.run_id, entry.outcome)
        assert (None, None, 1) == (status.running, status.lease_left, status.interrupted)
        one.say("go")
        assert one.end() is False
    assert [1, 1, 0] == [
        len(one.events(name)) for name in ("interrupted", "cleaned up", "swallowed")
    ]


@both_ways
def test_a_run_is_cancelled_also_while_its_instance_drains(
    redis_url: str, observe: Observe, patched: bool
) -> None:
    way = "sleeps" if patched else "checks"
    with Play(
        drains, patched=patched, redis_url=redis_url, way=way, lease=60.0, timeout=60.0
    ) as one:
        one.wait_for("started")
        one.say("stop")
        one.wait_for("stopping")
        looking = observe(redis_url, "drain", "work")
        looking.cancel("work")
        one.wait_for("stopped")
        (entry,) = looking.history("work")
        assert Outcome.CANCELLED == entry.outcome
        one.say("go")
        assert one.end() is True


@both_ways
def test_what_ignores_the_interrupt_keeps_its_lease(
    redis_url: str, observe: Observe, patched: bool
) -> None:
    with Play(
        drains, patched=patched, redis_url=redis_url, way="ignores", lease=60.0, timeout=0.1
    ) as one:
        run = one.wait_for("started")["run"]
        one.say("stop")
        one.wait_for("stopped")
        looking = observe(redis_url, "drain", "work")
        (status,) = looking.status()
        assert run == status.running
        assert status.lease_left is not None
        assert [] == looking.history("work")
        # It may even end later, in a process that goes on.
        one.say("end")
        one.wait_for("cleaned up")
        one.say("go")
        assert one.end() is False
        assert any("ignores its interruption" in line for line in one.log("ERROR"))


def claims_while_stopping(stage: Stage, redis_url: str) -> bool:
    """Stops while the answer to a claim is on its way."""
    runner = JobRunner(
        jobs=[Work(stage, "waits")], redis_url=redis_url, namespace="drain", check_interval=0.05
    )
    runner.start()
    instance = instance_of(runner)
    stopping = threading.Event()
    claim = instance.store.claim

    def late(asks: Any, **how: Any) -> Any:
        answers = claim(asks, **how)
        if any(answer.status == "claimed" for answer in answers):
            stage.say("claimed")
            stopping.wait()
        return answers

    instance.store.claim = late
    wait_for(lambda: stage.heard("stop"))
    instance.executor.stop_starting()
    stopping.set()
    return runner.stop()


def test_a_run_that_was_claimed_and_not_begun_is_given_back(
    redis_url: str, observe: Observe
) -> None:
    with Play(claims_while_stopping, patched=True, redis_url=redis_url) as one:
        one.wait_for("claimed")
        one.say("stop")
        assert one.end() is True
        assert [] == one.events("started")
    looking = observe(redis_url, "drain", "work")
    (status,) = looking.status()
    assert (None, None, None, 0) == (
        status.last_run,
        status.running,
        status.lease_left,
        status.runs,
    )
    assert [] == looking.history("work")
