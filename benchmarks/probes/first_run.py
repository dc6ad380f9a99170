"""From `start()` to the first line of a job that is due at once:
`python -m benchmarks.probes.first_run jobrunner|apscheduler URL` tells it in milliseconds.
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import logging  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from datetime import datetime  # noqa: E402

import gevent.event  # noqa: E402


def jobrunner(url: str) -> float:
    from flask import Flask

    from jobrunner import JobRunner, every

    ran: gevent.event.AsyncResult[float] = gevent.event.AsyncResult()
    app = Flask("bench")
    runner = JobRunner(redis_url=url, mode="greenlet")
    runner.job(every(hours=1), name="job")(lambda ctx: ran.set(time.perf_counter()))
    runner.init_app(app)
    began = time.perf_counter()
    runner.start(app)
    ended = ran.get(timeout=30)
    runner.stop(app=app)
    return ended - began


def apscheduler(url: str) -> float:
    from apscheduler.schedulers.gevent import GeventScheduler

    ran: gevent.event.AsyncResult[float] = gevent.event.AsyncResult()
    scheduler = GeventScheduler(job_defaults={"misfire_grace_time": None})
    scheduler.add_job(
        lambda: ran.set(time.perf_counter()), "interval", hours=1, next_run_time=datetime.now()
    )
    began = time.perf_counter()
    scheduler.start()
    ended = ran.get(timeout=30)
    scheduler.shutdown()
    return ended - began


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, handlers=[logging.NullHandler()])
    print(
        json.dumps(
            {"jobrunner": jobrunner, "apscheduler": apscheduler}[sys.argv[1]](sys.argv[2]) * 1000
        )
    )
