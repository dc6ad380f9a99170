"""What importing a program takes beyond the packages that it stands on: time and memory.

Each in a fresh process: first what a gevent-served Flask application with a Redis client has
imported already (for ours also what a service with jobs on a database has), then the program.
"""

from __future__ import annotations

from typing import NamedTuple

from .fresh import told


class Program(NamedTuple):
    """What is imported."""

    #: As the contenders are called.
    name: str
    #: What it stands on, and the program itself, as far as a process that runs jobs needs it.
    base: str
    own: str
    ours: bool = False


_BASE = "flask, gevent, redis"
PROGRAMS = (
    Program("library", f"{_BASE}, sqlalchemy, sqlalchemy.orm, blinker, cronsim", "jobrunner", True),
    Program(
        "apscheduler, memory", _BASE, "apscheduler.schedulers.gevent, apscheduler.jobstores.redis"
    ),
    Program("huey", _BASE, "huey, huey.consumer"),
    Program("rq", _BASE, "rq, rq.cron, rq.worker"),
    Program("celery", _BASE, "celery, celery.beat, celery.worker.worker, redbeat"),
    Program("dramatiq", _BASE, "dramatiq, dramatiq.brokers.redis, periodiq"),
)

_CODE = """
from gevent import monkey
monkey.patch_all()
import json, time
import {base}
with open("/proc/self/smaps_rollup") as file:
    before = next(int(line.split()[1]) for line in file if line.startswith("Rss:"))
began, cpu = time.perf_counter(), time.process_time()
import {own}
seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
with open("/proc/self/smaps_rollup") as file:
    after = next(int(line.split()[1]) for line in file if line.startswith("Rss:"))
print(json.dumps([seconds * 1000, cpu * 1000, (after - before) / 1024]))
"""


class Taken(NamedTuple):
    """What an import took."""

    ms: float
    #: Of these the processor's own: what is more was spent on waiting for it, or for a disk.
    cpu_ms: float
    mib: float


def imported(program: Program) -> Taken:
    return Taken(*told("-c", _CODE.format(base=program.base, own=program.own), ours=program.ours))
