"""The application of the tests of controls: jobs that run when a person asks, and the beats that
its `fleet.json` names.
"""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent
from flask import Flask
from gevent.monkey import get_original

from jobrunner import JobContext, JobRunner, cron
from tests.cluster.apps.fleet import RecordedJob
from tests.cluster.records import OPEN, Records

#: Due once a year: in a test when somebody asks for it.
SELDOM = cron("0 0 1 1 *")


def create_app() -> Flask:
    """What `fleet.json` in the working directory describes."""
    setup = json.loads(Path("fleet.json").read_text())
    logging.basicConfig(format="%(process)d %(levelname)s %(message)s", level=logging.INFO)
    app = Flask("fleet")
    app.config.from_mapping(setup["config"])

    @app.get("/")
    def index() -> str:
        return "served"

    runner = JobRunner(app)
    records = Records(setup["records"])
    _define(runner, records)
    for job in setup["jobs"]:
        runner.register(RecordedJob(records, **job))
    runner.start()
    return app


def _define(runner: JobRunner, records: Records) -> None:
    @runner.job(SELDOM)
    def quick(ctx: JobContext) -> dict[str, int]:
        with _recorded(records, ctx):
            return {"pid": os.getpid()}

    @runner.job(SELDOM)
    def slow(ctx: JobContext) -> None:
        with _recorded(records, ctx):
            gevent.sleep(0.1)

    @runner.job(SELDOM)
    def gate(ctx: JobContext) -> None:
        """Goes on until the test opens it."""
        with _recorded(records, ctx):
            while not records.client.exists(OPEN):
                gevent.sleep(0.05)

    @runner.job(SELDOM)
    def endless(ctx: JobContext) -> None:
        with _recorded(records, ctx):
            gevent.sleep(600)

    @runner.job(SELDOM, run_in="thread")
    def native(ctx: JobContext) -> None:
        sleep = get_original("time", "sleep")
        # A client of this thread's own: the other one's sockets belong to the hub.
        with Records(records.url) as own, _recorded(own, ctx):
            while True:
                ctx.check()
                sleep(0.02)


@contextmanager
def _recorded(records: Records, ctx: JobContext) -> Iterator[None]:
    records.begun(ctx.run, os.getpid())
    ending = "returned"
    try:
        yield
    except BaseException as error:
        ending = type(error).__name__
        raise
    finally:
        records.ended(ctx.run, ending)
