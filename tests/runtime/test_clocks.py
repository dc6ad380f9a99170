"""What decides when: Redis's clock, and the due time itself; no other clock, no other interval."""

import time
from itertools import pairwise

import pytest

from jobrunner import Job, JobContext, JobRunner
from tests.runtime.actor import Stage
from tests.runtime.stage import Play
from tests.runtime.watch import keys_of
from tests.support.servers import RedisServer

RUNS = 10


class Says(Job):
    def __init__(self, stage: Stage, name: str, interval: float) -> None:
        self.stage = stage
        self.name = name
        self.interval = interval

    def run(self, ctx: JobContext) -> None:
        self.stage.say("started", job=self.name, started_at=ctx.run.started_at)


def often(stage: Stage, redis_url: str) -> None:
    runner = JobRunner(
        jobs=[Says(stage, "often", 0.2)], redis_url=redis_url, namespace="clocks", check_interval=30
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


def wrong_clock(stage: Stage, redis_url: str, ahead: float) -> None:
    """An instance whose own clock is `ahead` seconds wrong."""
    right = time.time
    time.time = lambda: right() + ahead
    runner = JobRunner(
        jobs=[
            Says(stage, "hourly, run 50 minutes ago", 3600),
            Says(stage, "hourly, run 70 minutes ago", 3600),
            Says(stage, "often", 0.2),
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
