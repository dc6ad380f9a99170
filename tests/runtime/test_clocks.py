"""What decides when: Redis's clock, and the due time itself; no other clock, no other interval."""

import time
from itertools import pairwise
from typing import Any

import pytest

from jobrunner import Job, JobContext, JobRunner, Schedule, every
from jobrunner.job import JobDefinition
from jobrunner.store.answers import Answer
from tests.runtime.actor import Stage, instance_of
from tests.runtime.stage import Play
from tests.runtime.watch import keys_of
from tests.support.servers import RedisServer

RUNS = 10


class Says(Job):
    def __init__(self, stage: Stage, name: str, schedule: Schedule) -> None:
        self.stage = stage
        self.name = name
        self.schedule = schedule

    def run(self, ctx: JobContext) -> None:
        self.stage.say("started", job=self.name, run=ctx.run.id, started_at=ctx.run.started_at)


def often(stage: Stage, redis_url: str) -> None:
    runner = JobRunner(
        jobs=[Says(stage, "often", every(seconds=0.2))],
        redis_url=redis_url,
        namespace="clocks",
        check_interval=30,
    )
    runner.start()
    stage.wait_for("stop")
    runner.stop()


@pytest.mark.parametrize("patched", [True, False], ids=["greenlet", "thread"])
def test_a_job_is_run_when_it_is_due_and_not_when_the_check_interval_ends(
    redis_url: str, patched: bool
) -> None:
    with Play(often, patched=patched, redis_url=redis_url) as play:
        play.wait_for("started", count=RUNS)
        play.say("stop")
        play.end()
    starts = [event["started_at"] for event in play.events("started")]
    assert all(later - earlier > 0.2 for earlier, later in pairwise(starts))
    assert starts[RUNS - 1] - starts[0] < 10  # one every check interval would take minutes


def on_a_grid(stage: Stage, redis_url: str) -> None:
    """Says, too, when each run was granted."""
    grid = every(seconds=0.5, align=True)
    jobs = [Says(stage, f"job {number}", grid) for number in range(20)]
    runner = JobRunner(jobs=jobs, redis_url=redis_url, namespace="clocks")
    runner.start()
    executor = instance_of(runner).executor
    start = executor.start

    def granted(definition: JobDefinition, answer: Answer, *how: Any) -> Any:
        stage.say("granted", run=answer.known.running)
        return start(definition, answer, *how)

    executor.start = granted
    stage.wait_for("stop")
    runner.stop()


@pytest.mark.parametrize("patched", [True, False], ids=["greenlet", "thread"])
def test_what_comes_due_is_claimed_a_moment_before_and_begins_at_its_time(
    redis_url: str, patched: bool
) -> None:
    with Play(on_a_grid, patched=patched, redis_url=redis_url) as play:
        play.wait_for("started", count=200)
        play.say("stop")
        play.end()
    granted_at = {event["run"]: event["wall"] for event in play.events("granted")}
    started = [event for event in play.events("started") if event["run"] in granted_at]

    # Redis is on this machine, and reads the same clock.
    assert all(event["started_at"] <= event["wall"] for event in started)
    before = [event for event in started if granted_at[event["run"]] < event["started_at"]]
    assert before, "none was claimed before its time"
    assert all(0 == event["started_at"] % 0.5 for event in before)


def wrong_clock(stage: Stage, redis_url: str, ahead: float) -> None:
    """An instance whose own clock is `ahead` seconds wrong."""
    right = time.time
    time.time = lambda: right() + ahead
    runner = JobRunner(
        jobs=[
            Says(stage, "hourly, run 50 minutes ago", every(hours=1)),
            Says(stage, "hourly, run 70 minutes ago", every(hours=1)),
            Says(stage, "often", every(seconds=0.2)),
        ],
        redis_url=redis_url,
        namespace="clocks",
        check_interval=0.1,
        resync_interval=0.5,
    )
    runner.start()
    stage.wait_for("stop")
    runner.stop()


@pytest.mark.parametrize("ahead", [3600, -3600], ids=["an hour ahead", "an hour behind"])
def test_an_instance_whose_clock_is_wrong_knows_by_redis_what_is_due(
    redis_server: RedisServer, redis_url: str, ahead: float
) -> None:
    with redis_server.client(int(redis_url.rpartition("/")[2])) as client:
        now = client.time()[0]
        for minutes in (50, 70):
            key = keys_of("clocks", f"hourly, run {minutes} minutes ago").sync_key
            client.set(key, now - minutes * 60)
        with Play(wrong_clock, patched=True, redis_url=redis_url, ahead=ahead) as play:
            play.wait_for("started", count=RUNS)
            play.say("stop")
            play.end()
        later = client.time()[0] + 1
    starts = play.events("started")
    hourly = [event["job"] for event in starts if event["job"] != "often"]
    often = [event["started_at"] for event in starts if event["job"] == "often"]
    assert ["hourly, run 70 minutes ago"] == hourly
    assert all(now <= event["started_at"] <= later for event in starts)
    assert all(after - before > 0.2 for before, after in pairwise(often))
