"""The end of a run reaches Redis once: later when Redis is away, together with others' ends."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from jobrunner import Job, JobContext, JobRunner, Outcome, StoreError
from tests.runtime.actor import Stage, instance_of
from tests.runtime.stage import Play
from tests.runtime.watch import LeaseWatch
from tests.support.servers import RedisServer
from tests.support.wait import wait_for

Observe = Callable[..., JobRunner]

RUNS = 200

both_ways = pytest.mark.parametrize("patched", [True, False], ids=["greenlet", "thread"])


class Waits(Job):
    """Ends when it may."""

    interval = 3600

    def __init__(self, stage: Stage, end: threading.Event, name: str = "waits") -> None:
        self.stage = stage
        self.end = end
        self.name = name

    def run(self, ctx: JobContext) -> None:
        self.stage.say("started", run=ctx.run.id)
        self.end.wait()
        self.stage.say("ended")


def waits(stage: Stage, redis_url: str, lease: float, deaf: bool = False) -> None:
    """One run. With `deaf`, Redis takes no finish before "finish again"."""
    end = threading.Event()
    runner = JobRunner(
        jobs=[Waits(stage, end)],
        redis_url=redis_url,
        namespace="finish",
        lease=lease,
        check_interval=0.1,
    )
    runner.start()
    if deaf:
        store = instance_of(runner).store
        finish = store.finish

        def refuse(endings: Any) -> Any:
            if not stage.heard("finish again"):
                raise StoreError("this Redis takes no finish")
            return finish(endings)

        store.finish = refuse
    stage.wait_for("end")
    end.set()
    stage.wait_for("stop")
    runner.stop()


@both_ways
def test_a_finish_that_redis_did_not_hear_is_recorded_later_and_once(
    own_redis: RedisServer, observe: Observe, patched: bool
) -> None:
    with Play(waits, patched=patched, redis_url=own_redis.url, lease=30.0) as run:
        run_id = run.wait_for("started")["run"]
        own_redis.stop()
        run.say("end")
        run.wait_for("ended")
        up = time.time()
        own_redis.start()

        looking = observe(own_redis.url, "finish", "waits")
        wait_for(lambda: looking.history("waits"), message="the record of the run")
        run.say("stop")
        run.end()
        (entry,) = looking.history("waits")
        (status,) = looking.status()
        assert (run_id, Outcome.SUCCEEDED) == (entry.run_id, entry.outcome)
        # When it ended, and not when that could be told; what is cut off of milliseconds adds up.
        assert entry.finished_at <= up + 0.003
        assert (1, None) == (status.succeeded, status.running)


@both_ways
def test_the_lease_is_renewed_until_the_finish_is_acknowledged(
    redis_url: str, observe: Observe, patched: bool
) -> None:
    lease = 0.5
    with (
        LeaseWatch(redis_url, "finish", "waits") as watch,
        Play(waits, patched=patched, redis_url=redis_url, lease=lease, deaf=True) as run,
    ):
        started = run.wait_for("started")
        run.say("end")
        ended = run.wait_for("ended")
        wait_for(lambda: time.monotonic() > ended["at"] + 3 * lease)
        refused = time.monotonic()
        run.say("finish again")
        looking = observe(redis_url, "finish", "waits")
        wait_for(lambda: looking.history("waits"), message="the record of the run")
        run.say("stop")
        run.end()

    assert {started["run"]} == set(watch.holders(after=ended["at"], before=refused))
    (entry,) = looking.history("waits")
    (status,) = looking.status()
    assert (started["run"], Outcome.SUCCEEDED) == (entry.run_id, entry.outcome)
    assert (1, 0, None) == (status.succeeded, status.abandoned, status.running)


def many_end_together(stage: Stage, redis_url: str, refusals: int) -> dict[str, int]:
    """Counts the calls of Redis between the first end and the last record. The first
    `refusals` finishes fail."""
    end = threading.Event()
    runner = JobRunner(
        jobs=[Waits(stage, end, f"job {number}") for number in range(RUNS)],
        redis_url=redis_url,
        namespace="many",
        check_interval=0.5,
        max_concurrent_runs=RUNS,
    )
    runner.start()
    wait_for(lambda: sum(1 for s in runner.status() if s.running) == RUNS)
    store = instance_of(runner).store
    finish, finishes = store.finish, []

    def count(endings: Any) -> Any:
        finishes.append(len(endings))
        if len(finishes) <= refusals:
            raise StoreError("this Redis did not hear")
        return finish(endings)

    store.finish = count
    stage.wait_for("end")
    end.set()
    wait_for(lambda: not instance_of(runner).executor.active())
    runner.stop()
    return {"calls": len(finishes), "sent": sum(finishes)}


# Native threads end one after the other, and a call blocks their loop: fewer come together.
@pytest.mark.parametrize(
    ("patched", "most"), [(True, RUNS / 10), (False, RUNS * 3 / 4)], ids=["greenlet", "thread"]
)
def test_many_runs_that_end_together_are_recorded_by_few_calls_and_none_is_lost(
    redis_server: RedisServer, redis_url: str, observe: Observe, patched: bool, most: float
) -> None:
    with Play(many_end_together, patched=patched, redis_url=redis_url, refusals=0) as run:
        run.wait_for("started", count=RUNS)
        with redis_server.client() as client:
            before = evalshas(client.info("commandstats"))
            run.say("end")
            told = run.end()
            sent = evalshas(client.info("commandstats")) - before
    assert RUNS == told["sent"]
    assert sent < most
    assert_all_recorded_once(observe(redis_url, "many", *(f"job {n}" for n in range(RUNS))))


def test_finishes_that_fail_once_are_all_recorded_later_and_once(
    redis_url: str, observe: Observe
) -> None:
    with Play(many_end_together, patched=True, redis_url=redis_url, refusals=2) as run:
        run.wait_for("started", count=RUNS)
        run.say("end")
        run.end()
    assert_all_recorded_once(observe(redis_url, "many", *(f"job {n}" for n in range(RUNS))))


def evalshas(commandstats: dict[str, Any]) -> int:
    return int(commandstats["cmdstat_evalsha"]["calls"])


def assert_all_recorded_once(looking: JobRunner) -> None:
    for status in looking.status():
        (entry,) = looking.history(status.name)
        assert Outcome.SUCCEEDED == entry.outcome
        assert (1, 1, None) == (status.runs, status.succeeded, status.running), status
