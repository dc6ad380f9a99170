"""Two instances in one process, on one Redis: they share the work and never a run."""

import threading
import time
from itertools import pairwise
from typing import Any

import pytest
from flask import Flask

from jobrunner import Job, JobContext, JobRunner
from tests.runtime.actor import Stage
from tests.runtime.stage import Play
from tests.support.wait import wait_for

#: They differ in all that may differ within a namespace.
SETTINGS: list[dict[str, Any]] = [
    {"lease": 1.0, "check_interval": 0.02, "resync_interval": 1.0, "max_concurrent_runs": 2},
    {"lease": 5.0, "check_interval": 0.05, "resync_interval": 9.0, "max_concurrent_runs": 9},
]

INTERVAL = 0.03


class Shared(Job):
    """Says whether somebody else is in here."""

    interval = INTERVAL

    def __init__(self, stage: Stage, name: str, seconds: float) -> None:
        self.stage = stage
        self.name = name
        self.seconds = seconds
        self.inside = threading.Lock()

    def run(self, ctx: JobContext) -> None:
        alone = self.inside.acquire(blocking=False)
        self.stage.say(
            self.name, alone=alone, instance=ctx.run.instance, started_at=ctx.run.started_at
        )
        time.sleep(self.seconds)
        if alone:
            self.inside.release()


def two(stage: Stage, redis_url: str, mode: str) -> None:
    jobs = [Shared(stage, "brief", INTERVAL / 5), Shared(stage, "overlong", INTERVAL * 2)]
    runners = []
    for number, settings in enumerate(SETTINGS):
        app = Flask(f"service {number}")
        options = {"namespace": "shared", "redis_url": redis_url, "mode": mode, **settings}
        runners.append(JobRunner(app, jobs=jobs, **options).start())
    stage.wait_for("stop")
    for runner in runners:
        runner.stop()


@pytest.mark.parametrize(("patched", "mode"), [(True, "greenlet"), (False, "thread")])
def test_two_instances_of_one_namespace_never_run_a_job_at_once(
    redis_url: str, patched: bool, mode: str
) -> None:
    with Play(two, patched=patched, redis_url=redis_url, mode=mode) as play:
        for name in ("brief", "overlong"):
            play.wait_for(name, count=30)
        wait_for(lambda: len({run["instance"] for run in play.events("brief")}) == 2)
        play.say("stop")
        play.end()
    for name in ("brief", "overlong"):
        runs = play.events(name)
        assert {True} == {run["alone"] for run in runs}
        starts = sorted(run["started_at"] for run in runs)
        assert all(later - earlier > INTERVAL for earlier, later in pairwise(starts))
