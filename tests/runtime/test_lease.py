"""A lease is kept for as long as its run takes, whatever the process is busy with."""

import time

import pytest

from jobrunner import Job, JobContext, JobRunner
from tests.runtime.actor import Stage
from tests.runtime.stage import Play
from tests.runtime.watch import LeaseWatch

LEASE = 0.5


class Hog(Job):
    """Due all the time, so that another instance starts it as soon as its lease is gone."""

    name = "hog"
    interval = 0.05

    def __init__(self, stage: Stage, computes: bool) -> None:
        self.stage = stage
        self.work = [self.compute] if computes else []  # of its first run

    def run(self, ctx: JobContext) -> None:
        self.stage.say("started", run=ctx.run.id)
        if self.work:
            self.work.pop()()
        self.stage.say("ended", run=ctx.run.id)

    def compute(self) -> None:
        """Nothing here yields to a hub."""
        while not self.stage.heard("the other is up"):
            sum(range(1000))
        end = time.monotonic() + 4 * LEASE
        while time.monotonic() < end:
            sum(range(1000))


def hogs(stage: Stage, redis_url: str, computes: bool) -> None:
    runner = JobRunner(
        jobs=[Hog(stage, computes)],
        redis_url=redis_url,
        namespace="lease",
        lease=LEASE,
        check_interval=0.05,
    )
    runner.start()
    stage.say("up")
    stage.wait_for("stop")
    runner.stop()


@pytest.mark.parametrize("patched", [True, False], ids=["greenlet", "thread"])
def test_a_job_that_computes_four_leases_long_keeps_its_lease_and_is_not_started_elsewhere(
    redis_url: str, patched: bool
) -> None:
    with (
        LeaseWatch(redis_url, "lease", "hog") as watch,
        Play(hogs, patched=patched, redis_url=redis_url, computes=True) as hog,
    ):
        started = hog.wait_for("started")
        with Play(hogs, patched=patched, redis_url=redis_url, computes=False) as other:
            other.wait_for("up")
            hog.say("the other is up")
            ended = hog.wait_for("ended")
            hog.say("stop")
            hog.end()
            first_elsewhere = other.wait_for("started")
            other.say("stop")
            other.end()

    holders = watch.holders(after=started["at"], before=ended["at"])
    assert len(holders) > 20
    assert {started["run"]} == set(holders)
    assert first_elsewhere["at"] > ended["at"]
