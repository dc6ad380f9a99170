"""The instance that the tests of failovers play, and what they ask of its runs."""

from __future__ import annotations

from itertools import pairwise

import gevent

from jobrunner import JobContext, JobRunner, every
from tests.runtime.actor import Stage
from tests.runtime.stage import Play

NAMESPACE = "forms"

#: Long enough to live through a failover.
LEASE = 12.0


def lives(stage: Stage, redis_url: str, keys: list[str | None], min_replicas: int = 0) -> None:
    """For each sync key (None: the default one) a run that lasts, and short ones all the time."""
    runner = JobRunner(
        redis_url=redis_url,
        namespace=NAMESPACE,
        lease=LEASE,
        check_interval=0.2,
        redis_timeout=1.0,
        min_replicas=min_replicas,
    )

    def last(ctx: JobContext) -> None:
        stage.say("lasting", run=ctx.run.id, job=ctx.run.job)
        while not stage.heard("end"):
            ctx.check()
            gevent.sleep(0.02)

    def pass_by(ctx: JobContext) -> None:
        stage.say("begins", job=ctx.run.job)
        gevent.sleep(0.01)
        stage.say("ends", job=ctx.run.job)

    for number, key in enumerate(keys):
        lasting, short = (None, None) if key is None else (f"{key}-lasting", f"{key}-short")
        runner.job(every(hours=1), name=f"lasting-{number}", sync_key=lasting)(last)
        runner.job(every(seconds=0.3), name=f"short-{number}", sync_key=short)(pass_by)
    runner.start()
    stage.wait_for("stop")
    runner.stop()


def lasting(plays: list[Play]) -> dict[str, str]:
    """The run of each lasting job; an error when there were two."""
    events = [event for play in plays for event in play.events("lasting")]
    runs = {event["job"]: event["run"] for event in events}
    assert len(events) == len(runs), f"a job was started twice: {events}"
    return runs


def short_runs(plays: list[Play], after: float = 0.0) -> dict[str, list[tuple[float, float]]]:
    """Begin and end of the short runs that began after a moment, by job."""
    runs: dict[str, list[tuple[float, float]]] = {}
    for play in plays:
        ends = {}
        for event in play.events("ends"):
            ends.setdefault(event["job"], []).append(event["at"])
        for event in play.events("begins"):
            end = next((at for at in ends.get(event["job"], []) if at >= event["at"]), None)
            if event["at"] > after and end is not None:
                runs.setdefault(event["job"], []).append((event["at"], end))
    return runs


def assert_no_overlap(plays: list[Play]) -> None:
    for job, runs in short_runs(plays).items():
        runs.sort()
        for (_, ended), (began, _) in pairwise(runs):
            assert ended <= began, f"two runs of {job} at once"
