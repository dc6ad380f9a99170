"""A small application for every kind of hosting: its jobs write down where and when they ran.

The environment configures it: `JOBRUNNER_…` the library; `HOSTED_BEATS` how many jobs are due
every `BEAT_SECONDS`, `HOSTED_LONG` a JSON object of jobs that run once, at the start, and how
many seconds each takes. What they write down is a list in Redis, `records:NAMESPACE`.
"""

import json
import logging
import multiprocessing
import os
import time
from datetime import timedelta
from functools import cache
from typing import Any

import click
import gevent
import redis
from flask import Flask, request
from flask.cli import AppGroup
from gevent import monkey

from jobrunner import Job, JobContext, JobRunner
from jobrunner.engine.scheduler import Scheduler

#: Seconds from one run of a beat to the next.
BEAT_SECONDS = 0.25


class Beat(Job):
    """A short job that is due again and again."""

    interval = timedelta(seconds=BEAT_SECONDS)

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, ctx: JobContext) -> None:
        write_down(self.name, ctx)
        _pause(0.05)


class Long(Job):
    """A job that runs once, and says how it went."""

    interval = timedelta(hours=1)

    def __init__(self, name: str, seconds: float) -> None:
        self.name = name
        self.seconds = seconds
        #: A native thread can only be told; who never asks does not hear it.
        self.listens = name != "deaf"

    def run(self, ctx: JobContext) -> None:
        write_down(f"{self.name} began", ctx)
        try:
            until = time.monotonic() + self.seconds
            while time.monotonic() < until:
                _pause(0.05)
                if self.listens:
                    ctx.check()
            write_down(f"{self.name} finished", ctx)
        finally:
            write_down(f"{self.name} left", ctx)


def _pause(seconds: float) -> None:
    # A greenlet of a process that is not patched has to say so itself.
    sleep = gevent.sleep if os.environ.get("JOBRUNNER_MODE") == "greenlet" else time.sleep
    sleep(seconds)


def create_app(**config: Any) -> Flask:
    """The application, with its runner started: what a server is pointed at."""
    logging.basicConfig(level=logging.INFO, format="%(process)d %(name)s: %(message)s")
    app = Flask("hosted")
    app.config.update(config)
    _add_pages(app)
    _add_commands(app)
    beats = [Beat(f"beat{number}") for number in range(int(os.environ.get("HOSTED_BEATS", "1")))]
    long = json.loads(os.environ.get("HOSTED_LONG", "{}"))
    JobRunner(app, jobs=[*beats, *(Long(*item) for item in long.items())]).start()
    return app


def write_down(what: str, ctx: JobContext | None = None) -> None:
    record: dict[str, Any] = {
        "what": what,
        "pid": os.getpid(),
        "parent": os.getppid(),
        "patched": monkey.is_module_patched("socket"),
        "at": time.time(),
    }
    if ctx is not None:
        record |= {"instance": ctx.run.instance, "started_at": ctx.run.started_at}
    _redis().rpush(f"records:{os.environ['JOBRUNNER_NAMESPACE']}", json.dumps(record))


@cache
def _redis() -> redis.Redis:
    # Made when it is used: in the process that runs jobs, and after monkey patching.
    return redis.Redis.from_url(os.environ["JOBRUNNER_REDIS_URL"])


def _add_pages(app: Flask) -> None:
    @app.get("/")
    def index() -> str:
        return str(os.getpid())

    @app.get("/slow")
    def slow() -> str:
        write_down("slow began")
        time.sleep(float(request.args["seconds"]))
        write_down("slow ended")
        return str(os.getpid())

    @app.get("/fork")
    def fork() -> str:
        child = multiprocessing.get_context("fork").Process(target=_be_a_child)
        child.start()
        child.join()
        return str(child.pid)


def _be_a_child() -> None:
    # The fork copied the greenlets of the worker, and the sleep lets them run: a loop that goes
    # on would tick. Short of a second: then gunicorn's own copy ends the process.
    Scheduler.tick = lambda *_, **__: write_down("child ticked")  # type: ignore[method-assign,assignment]
    write_down("child began")
    create_app()  # as a task of multiprocessing that imports the application would
    time.sleep(3 * BEAT_SECONDS)
    write_down("child ended")


def _add_commands(app: Flask) -> None:
    """Commands of every name that could be mistaken for one that serves."""
    app.cli.command("custom")(linger)
    app.cli.command("serve")(linger)
    tools, run = AppGroup("tools"), AppGroup("run")
    for name in ("run", "serve"):
        tools.command(name)(linger)
    run.command("custom")(linger)
    own = AppGroup("own")
    own.add_command(run)
    app.cli.add_command(tools)
    app.cli.add_command(own)


def linger() -> None:
    """What each command does: last long enough for a job to run."""
    time.sleep(2 * BEAT_SECONDS)
    click.echo("lingered")
