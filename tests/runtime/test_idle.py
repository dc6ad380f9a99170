"""What an instance does while no job is due: one call a tick, and a look around."""

import time
from typing import Any

import pytest

from jobrunner import Job, JobContext, JobRunner
from tests.runtime.actor import Stage, instance_of
from tests.runtime.stage import Play
from tests.runtime.watch import Monitor, keys_of
from tests.support.servers import RedisServer
from tests.support.wait import wait_for


class Idle(Job):
    def __init__(self, stage: Stage, name: str, interval: float) -> None:
        self.stage = stage
        self.name = name
        self.interval = interval

    def run(self, ctx: JobContext) -> None:
        self.stage.say("started", job=self.name, started_at=ctx.run.started_at)


def idles(
    stage: Stage, redis_url: str, jobs: int, interval: float = 3600, **settings: float
) -> None:
    """Marks each tick of the loop with an ECHO, for who listens to Redis."""
    runner = JobRunner(
        jobs=[Idle(stage, f"job {number}", interval) for number in range(jobs)],
        redis_url=redis_url,
        namespace="idle",
        **settings,
    )
    runner.start()
    instance = instance_of(runner)
    tick, client = instance.scheduler.tick, instance.store._servers._source.client()

    def marked(**arguments: Any) -> Any:
        client.echo("tick")
        return tick(**arguments)

    instance.scheduler.tick = marked
    stage.wait_for("stop")
    runner.stop()


def ran_now(redis_server: RedisServer, redis_url: str, jobs: int) -> None:
    """All of the jobs have just been run by somebody."""
    with redis_server.client(int(redis_url.rpartition("/")[2])) as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(jobs):
            pipeline.set(keys_of("idle", f"job {number}").sync_key, int(time.time()))
        pipeline.execute()


@pytest.mark.parametrize(
    ("jobs", "patched"), [(100, True), (1_000, True), (10_000, True), (1_000, False)]
)
def test_a_tick_sends_one_command_however_many_jobs_are_registered(
    redis_server: RedisServer, redis_url: str, jobs: int, patched: bool
) -> None:
    ran_now(redis_server, redis_url, jobs)
    with (
        Monitor(redis_server, redis_url) as monitor,
        Play(idles, patched=patched, redis_url=redis_url, jobs=jobs, check_interval=0.05) as play,
    ):

        def words() -> list[str]:
            return [heard["command"].split()[0] for heard in monitor.commands()]

        wait_for(lambda: words().count("ECHO") > 20, message=lambda: f"20 ticks: {words()[-9:]}")
        play.say("stop")
        play.end()
        seen = words()
    # The loop's first ticks write down the jobs and look at all of them.
    first = seen.index("ECHO", seen.index("ECHO") + 1)
    loop = seen[first : first + 2 * 15]
    assert ["ECHO", "EVALSHA"] * 15 == loop
    assert [] == play.events("started")


def test_a_key_that_an_operator_deletes_is_noticed_by_the_rolling_look(
    redis_server: RedisServer, redis_url: str
) -> None:
    ran_now(redis_server, redis_url, 20)
    keys = keys_of("idle", "job 7")
    settings = {"jobs": 20, "check_interval": 0.1, "resync_interval": 0.5}
    with (
        redis_server.client(int(redis_url.rpartition("/")[2])) as client,
        Play(idles, patched=True, redis_url=redis_url, **settings) as play,
    ):
        wait_for(lambda: client.hexists(keys.state, "first_seen_ms"), message="the first look")
        client.delete(keys.sync_key)
        play.wait_for("started")
        play.say("stop")
        play.end()
    assert ["job 7"] == [event["job"] for event in play.events("started")]


def test_a_job_that_another_service_runs_meanwhile_is_not_due_here(
    redis_server: RedisServer, redis_url: str
) -> None:
    ran_now(redis_server, redis_url, 1)
    keys = keys_of("idle", "job 0")
    settings = {"jobs": 1, "interval": 2.2, "check_interval": 0.1, "resync_interval": 60}
    with (
        redis_server.client(int(redis_url.rpartition("/")[2])) as client,
        Play(idles, patched=True, redis_url=redis_url, **settings) as play,
    ):
        wait_for(lambda: client.hexists(keys.state, "first_seen_ms"), message="the first look")
        # Another service runs it as often as it is due, and knows nothing but its key.
        end = time.monotonic() + 3.5
        while time.monotonic() < end:
            second = client.time()[0]
            client.set(keys.sync_key, second)
            wait_for(lambda second=second: client.time()[0] > second)
        assert [] == play.events("started")
        started = play.wait_for("started")
        play.say("stop")
        play.end()
    # A start of which only the second is known counts as the end of it.
    assert started["started_at"] > second + 0.999 + 2.2
