"""A small application for commands that are typed into a terminal. Redis says when its job ends."""

import os
import time

import gevent
import redis
from flask import Flask

from jobrunner import JobContext, JobRunner, every

runner = JobRunner(check_interval=0.5, lease=5, progress_interval=0.05)


@runner.job(every(hours=1))
def slow(ctx: JobContext) -> dict[str, int]:
    """Two fifths are done at once; the rest when `go on` stands in Redis."""
    ctx.progress(2, 5, "[red]two of five[/red]")
    with redis.Redis.from_url(os.environ["JOBRUNNER_REDIS_URL"]) as client:
        while not client.exists("go on"):
            gevent.sleep(0.05)
    return {"rows": 5}


@runner.job(every(hours=1))
def blocks(ctx: JobContext) -> None:
    """Never lets the hub go on."""
    for second in range(600):
        ctx.progress(second, 600)
        time.sleep(1)


@runner.job(every(minutes=5))
def purge(ctx: JobContext) -> None: ...


def create_app() -> Flask:
    app = Flask("typed")
    runner.init_app(app)
    runner.start()
    return app
