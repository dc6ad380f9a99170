"""An instance runs no more at once than it may, keeps no job waiting for ever, and shares."""

import threading
import time
from collections import Counter

import pytest

from jobrunner import Job, JobContext, JobRunner
from tests.runtime.actor import Stage
from tests.runtime.stage import Play
from tests.support.wait import wait_for

JOBS, SLOTS = 12, 3


class Brief(Job):
    """Always due, and done in a moment."""

    interval = 0.05
    lock = threading.Lock()
    running = 0
    most = 0

    def __init__(self, stage: Stage, name: str) -> None:
        self.stage = stage
        self.name = name

    def run(self, ctx: JobContext) -> None:
        self.count(+1)
        self.stage.say("started", job=self.name)
        self.work()
        self.count(-1)

    def work(self) -> None:
        time.sleep(0.02)

    @classmethod
    def count(cls, more: int) -> None:
        with Brief.lock:
            Brief.running += more
            Brief.most = max(Brief.most, Brief.running)


class Slow(Brief):
    """Takes as long as the test."""

    def work(self) -> None:
        self.stage.wait_for("stop")


def crowd(stage: Stage, redis_url: str, slow: list[str], brief: list[str]) -> int:
    """Returns the most runs that there were at once."""
    runner = JobRunner(
        jobs=[Slow(stage, name) for name in slow] + [Brief(stage, name) for name in brief],
        redis_url=redis_url,
        namespace="slots",
        check_interval=0.2,
        max_concurrent_runs=SLOTS,
    )
    runner.start()
    stage.say("up")
    stage.wait_for("stop")
    runner.stop()
    return Brief.most


@pytest.mark.parametrize("patched", [True, False], ids=["greenlet", "thread"])
def test_waiting_jobs_take_turns_in_the_slots_that_a_slow_one_leaves(
    redis_url: str, patched: bool
) -> None:
    names = [f"brief {number}" for number in range(JOBS)]
    with Play(crowd, patched=patched, redis_url=redis_url, slow=["slow"], brief=names) as play:

        def runs() -> Counter[str]:
            return Counter(event["job"] for event in play.events("started"))

        wait_for(lambda: all(runs()[name] >= 5 for name in names), message=lambda: str(runs()))
        seen = runs()
        play.say("stop")
        assert SLOTS == play.end()
    assert 1 == seen["slow"]
    # First come, first served: nobody runs again before all others had their turn.
    assert max(seen[name] for name in names) <= min(seen[name] for name in names) + 2


def test_what_finds_no_slot_is_run_by_an_instance_that_has_one(redis_url: str) -> None:
    names = [f"slow {number}" for number in range(2 * SLOTS)]

    def instance() -> Play:
        return Play(crowd, patched=True, redis_url=redis_url, slow=names, brief=[])

    with instance() as one:
        one.wait_for("started", count=SLOTS)
        with instance() as other:
            other.wait_for("started", count=SLOTS)
            for play in (one, other):
                play.say("stop")
                assert SLOTS == play.end()
            first = {event["job"] for event in one.events("started")[:SLOTS]}
            assert set(names) - first == {e["job"] for e in other.events("started")[:SLOTS]}
