"""The application of the fleet tests: jobs that record their runs, and a page without Redis."""

import json
import logging
import os
import time
from pathlib import Path

import gevent
from flask import Flask

from jobrunner import Job, JobContext, JobRunner
from tests.cluster.records import Records


class RecordedJob(Job):
    """Works for so many seconds, waiting or computing, and records that it did."""

    def __init__(
        self, records: Records, name: str, interval: float, seconds: float, computes: bool
    ) -> None:
        self.name = name
        self.interval = interval
        self._records = records
        self._seconds = seconds
        self._computes = computes

    def run(self, ctx: JobContext) -> None:
        self._records.begun(ctx.run, os.getpid())
        ending = "returned"
        try:
            self._work()
        except BaseException as error:
            ending = type(error).__name__
            raise
        finally:
            self._records.ended(ctx.run, ending)

    def _work(self) -> None:
        if not self._computes:
            gevent.sleep(self._seconds)
            return
        until = time.monotonic() + self._seconds
        while time.monotonic() < until:
            sum(range(1000))


def create_app() -> Flask:
    """What `fleet.json` in the working directory describes."""
    setup = json.loads(Path("fleet.json").read_text())
    logging.basicConfig(format="%(process)d %(levelname)s %(message)s", level=logging.INFO)
    records = Records(setup["records"])
    app = Flask("fleet")
    app.config.from_mapping(setup["config"])

    @app.get("/")
    def index() -> str:
        return "served"

    runner = JobRunner(app, jobs=[RecordedJob(records, **job) for job in setup["jobs"]])
    runner.start()
    return app
