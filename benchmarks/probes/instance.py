"""A started instance with jobs none of which is due: `python -m benchmarks.probes.instance URL
JOBS KIND WATCH`.

KIND: every (one schedule for all jobs) or cron. WATCH: seconds to watch it idle for, first as it
is, then without its rolling look. Tells what it took to get there, how much memory it has beyond
the imported dependencies, and the CPU time of the watches. That no job is due is the caller's
work, see `benchmarks.rested`.
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import logging  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402

# What the library stands on is not counted as the library's.
import blinker  # noqa: E402, F401
import cronsim  # noqa: E402, F401
import gevent  # noqa: E402
import redis  # noqa: E402
import sqlalchemy.orm  # noqa: E402, F401
from flask import Flask  # noqa: E402

from benchmarks.rested import NAMESPACE  # noqa: E402

from .resident import resident  # noqa: E402


def main(url: str, jobs: int, kind: str, watch: float) -> None:
    dependencies = resident()
    logging.basicConfig(level=logging.INFO, handlers=[logging.NullHandler()])
    from jobrunner import JobRunner, cron, every

    app = Flask(NAMESPACE)
    began = time.perf_counter()
    runner = JobRunner(redis_url=url, resync_interval=600, mode="greenlet")
    for number in range(jobs):
        schedule = every(days=1) if kind == "every" else cron(f"{number % 60} 3 1 1 *")
        runner.job(schedule, name=f"job-{number}")(_nothing)
    runner.init_app(app)
    registered = time.perf_counter()
    runner.start(app)
    started = time.perf_counter()
    with redis.Redis.from_url(url) as client:
        # Looking at a job for the first time leaves a key beside its last start.
        while client.dbsize() < 2 * jobs:
            gevent.sleep(0.02)
    looked = time.perf_counter()
    gevent.sleep(1.5)  # until the last answers have been taken in, and a tick is over
    found = {
        "register": registered - began,
        "start": started - registered,
        "look": looked - started,
        "resident": resident() - dependencies,
    }
    if watch:
        found["idle"] = _cpu_share(watch)
        app.extensions["jobrunner"].instance().scheduler._look._resync_interval = float("inf")
        found["without_looks"] = _cpu_share(watch)
    runner.stop(app=app)
    print(json.dumps(found))


def _cpu_share(seconds: float) -> float:
    """The share of a core that this process takes while it does nothing but be there."""
    began, cpu = time.perf_counter(), time.process_time()
    gevent.sleep(seconds)
    return (time.process_time() - cpu) / (time.perf_counter() - began)


def _nothing(ctx: object) -> None: ...


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4]))
