"""APScheduler 3: the GeventScheduler, with its jobs in memory or in Redis.

Option `store`: `memory` or `redis`. Without a limit on how late a run may be (by default it is
1 s, and what is later is dropped) and with missed runs made up for by one, as the library does.
"""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .alone import run_alone
from .base import Command, Scenario, command, settle
from .recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

#: Its Redis store keeps a job's function by name.
JOB = "benchmarks.contenders.apscheduler:job"

_ran: Callable[[str], None]
_work = 0.0


def commands(scenario: Scenario) -> list[Command]:
    return [command("apscheduler")]


def job(name: str) -> None:
    _ran(name)
    if _work:
        time.sleep(_work)


def main() -> None:
    run_alone(embed, _burst)


def embed(scenario: Scenario, app: Flask | None) -> None:
    """Run the jobs of a scenario in this process, a web worker or not."""
    _set_up(Recorder(scenario.record, scenario.recording).ran, scenario.work)
    scheduler = _scheduler(scenario)
    # On a grid that whoever else has these jobs has too.
    first = (math.floor(time.time() / scenario.interval) + 1) * scenario.interval
    for name in scenario.names:
        scheduler.add_job(
            JOB,
            "interval",
            seconds=scenario.interval,
            start_date=datetime.fromtimestamp(first, UTC),
            args=[name],
            id=name,
            replace_existing=True,
        )
    scheduler.start()


def _set_up(ran: Callable[[str], None], work: float) -> None:
    global _ran, _work
    _ran, _work = ran, work


def _scheduler(scenario: Scenario) -> Any:
    from apscheduler.jobstores.memory import MemoryJobStore
    from apscheduler.jobstores.redis import RedisJobStore
    from apscheduler.schedulers.gevent import GeventScheduler

    url = urlsplit(scenario.redis)
    store = MemoryJobStore()
    if scenario.options.get("store") == "redis":
        store = RedisJobStore(host=url.hostname, port=url.port)
    return GeventScheduler(
        timezone=UTC,
        jobstores={"default": store},
        job_defaults={
            "misfire_grace_time": None,
            "coalesce": True,
            "max_instances": 1 + math.ceil(scenario.work / scenario.interval),
        },
    )


def _burst(scenario: Scenario) -> float:
    """Seconds for one run of each job that come due at once: until all have run, and the next
    due time of each is stored.
    """
    import gevent

    done = 0

    def count(name: str) -> None:
        nonlocal done
        done += 1

    _set_up(count, 0.0)
    scheduler = _scheduler(scenario)
    scheduler.start(paused=True)
    due = datetime.now(UTC)
    for name in scenario.names:
        scheduler.add_job(JOB, "interval", hours=1, next_run_time=due, args=[name], id=name)
    settle()
    before = time.perf_counter()
    scheduler.resume()
    store = scheduler._lookup_jobstore("default")
    while done < scenario.jobs:
        gevent.sleep(0.001)
    while store.get_due_jobs(datetime.now(UTC)):
        gevent.sleep(0.001)
    return time.perf_counter() - before


if __name__ == "__main__":
    from benchmarks.contenders import apscheduler

    apscheduler.main()  # the module that JOB names, and not `__main__`
