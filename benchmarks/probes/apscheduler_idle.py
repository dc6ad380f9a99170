"""The same for APScheduler's scheduler in memory, whose jobs stand in no Redis:
`python -m benchmarks.probes.apscheduler_idle JOBS WATCH`.
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import logging  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402

import flask  # noqa: E402, F401
import gevent  # noqa: E402
import redis  # noqa: E402, F401

from .resident import resident  # noqa: E402


def main(jobs: int, watch: float) -> None:
    dependencies = resident()
    logging.basicConfig(level=logging.INFO, handlers=[logging.NullHandler()])
    from apscheduler.schedulers.gevent import GeventScheduler

    scheduler = GeventScheduler(job_defaults={"misfire_grace_time": None})
    began = time.perf_counter()
    for number in range(jobs):
        scheduler.add_job(_nothing, "interval", days=1, id=f"job-{number}")
    registered = time.perf_counter()
    scheduler.start()
    started = time.perf_counter()
    gevent.sleep(1.5)
    found = {
        "register": registered - began,
        "start": started - registered,
        "resident": resident() - dependencies,
    }
    if watch:
        before, cpu = time.perf_counter(), time.process_time()
        gevent.sleep(watch)
        found["idle"] = (time.process_time() - cpu) / (time.perf_counter() - before)
    scheduler.shutdown()
    print(json.dumps(found))


def _nothing() -> None: ...


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
