"""`runner.tick()`: one check now, beside the loop or without one."""

import threading
import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest
import redis

from jobrunner import JobContext, JobRunner, LeaseLostError, Outcome, every
from tests.runtime.actor import Stage, instance_of
from tests.runtime.stage import Play, play
from tests.runtime.watch import LeaseWatch, keys_of
from tests.support.servers import RedisServer
from tests.support.wait import wait_for

Observe = Callable[..., JobRunner]

both_ways = pytest.mark.parametrize("patched", [True, False], ids=["greenlet", "thread"])


def waits(stage: Stage, redis_url: str, started: bool) -> list[int]:
    """How many runs had ended after each of some ticks, before each of which the job was due."""
    runner = JobRunner(redis_url=redis_url, namespace="tick", check_interval=60)
    ended = []

    @runner.job(every(hours=1))
    def work(ctx: JobContext) -> None:
        time.sleep(0.05)
        ended.append(ctx.run.id)

    counts = []
    if started:
        runner.start()
        wait_for(lambda: runner.history("work"))
    else:
        runner.tick(wait=True)
    with redis.Redis.from_url(redis_url) as client:
        for _ in range(3):
            client.delete(keys_of("tick", "work").sync_key)
            runner.tick(wait=True)
            counts.append(len(ended))
            runner.tick(wait=True)  # it is not due
    runner.stop()
    return counts


@both_ways
@pytest.mark.parametrize("started", [True, False], ids=["started", "not-started"])
def test_with_wait_it_returns_when_the_runs_that_it_started_have_ended(
    redis_url: str, patched: bool, started: bool
) -> None:
    assert [2, 3, 4] == play(waits, patched=patched, redis_url=redis_url, started=started)


def ticks_from_everywhere(stage: Stage, redis_url: str) -> dict[str, Any]:
    runner = JobRunner(redis_url=redis_url, namespace="tick", check_interval=0.01)
    runner.job(every(milliseconds=20), name="busy")(lambda ctx: None)
    runner.start()
    instance = instance_of(runner)
    claim, inside, overlaps, threads = instance.store.claim, [], [], set()

    def watched(asks: Any, **how: Any) -> Any:
        threads.add(threading.current_thread().name)
        overlaps.extend(inside)
        inside.append("a tick")
        gevent.sleep(0.002)  # lets others in, if they may
        try:
            return claim(asks, **how)
        finally:
            inside.pop()

    instance.store.claim = watched
    callers = [threading.Thread(target=lambda: [runner.tick() for _ in range(10)]) for _ in "abcd"]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    runner.stop()
    return {"overlaps": overlaps, "threads": sorted(threads)}


@both_ways
def test_ticks_of_one_instance_never_overlap(redis_url: str, patched: bool) -> None:
    seen = play(ticks_from_everywhere, patched=patched, redis_url=redis_url)
    assert [] == seen["overlaps"]
    if not patched:
        assert ["jobrunner"] == seen["threads"]


def hogging_tick(stage: Stage, redis_url: str) -> None:
    runner = JobRunner(redis_url=redis_url, namespace="tick", lease=0.5)

    @runner.job(every(hours=1))
    def work(ctx: JobContext) -> None:
        stage.say("started", run=ctx.run.id)
        until = time.monotonic() + 2.0  # four leases, in which the hub gets no turn
        while time.monotonic() < until:
            pass
        stage.say("ended")

    runner.tick(wait=True)
    runner.tick(wait=True)  # the keeper can begin again
    runner.stop()


@both_ways
def test_while_it_waits_without_a_loop_a_job_that_blocks_the_hub_keeps_its_lease(
    redis_url: str, patched: bool, observe: Observe
) -> None:
    with (
        LeaseWatch(redis_url, "tick", "work") as watch,
        Play(hogging_tick, patched=patched, redis_url=redis_url) as script,
    ):
        started = script.wait_for("started")
        ended = script.wait_for("ended")
        script.end()
    assert {started["run"]} == set(watch.holders(after=started["at"], before=ended["at"]))
    (entry,) = observe(redis_url, "tick", "work").history("work")
    assert (started["run"], Outcome.SUCCEEDED) == (entry.run_id, entry.outcome)


def long_tick(stage: Stage, redis_url: str) -> None:
    runner = JobRunner(redis_url=redis_url, namespace="tick", lease=0.5)

    @runner.job(every(hours=1))
    def work(ctx: JobContext) -> None:
        stage.say("started", run=ctx.run.id)
        try:
            stage.wait_for("end")
        except LeaseLostError:
            stage.say("told")
            raise
        stage.say("ended")

    runner.tick(wait=True)
    runner.stop()


def test_while_it_waits_without_a_loop_it_renews_the_leases_of_its_runs(
    redis_url: str, observe: Observe
) -> None:
    with (
        LeaseWatch(redis_url, "tick", "work") as watch,
        Play(long_tick, patched=True, redis_url=redis_url) as script,
    ):
        started = script.wait_for("started")
        wait_for(lambda: time.monotonic() > started["at"] + 2.0)  # four leases
        script.say("end")
        ended = script.wait_for("ended")
        script.end()
    assert {started["run"]} == set(watch.holders(after=started["at"], before=ended["at"]))
    (entry,) = observe(redis_url, "tick", "work").history("work")
    assert (started["run"], Outcome.SUCCEEDED) == (entry.run_id, entry.outcome)


def test_while_it_waits_without_a_loop_its_runs_are_told_of_a_lost_lease(
    own_redis: RedisServer,
) -> None:
    with Play(long_tick, patched=True, redis_url=own_redis.url) as script:
        script.wait_for("started")
        own_redis.stop()
        script.wait_for("told")
        script.end()
