"""rq: its cron scheduler, and a worker that runs jobs in its own process, one after the other.

The worker that rq starts by default forks for each job and is several times slower. Each
scheduler enqueues every job: two of them run everything twice.
"""

from __future__ import annotations

import functools
import sys
import time

from .base import Command, Scenario, command, settle
from .recorder import Recorder

QUEUE = "benchmark"


def commands(scenario: Scenario) -> list[Command]:
    """One scheduler and one worker."""
    return [
        command("rq_cron", "scheduler", role="scheduler"),
        command("rq_cron", "worker", role="worker"),
    ]


@functools.cache
def _scenario() -> Scenario:
    return Scenario.here()


@functools.cache
def _recorder() -> Recorder:
    return Recorder(_scenario().record, _scenario().recording)


def job(name: str) -> None:
    """The job, which rq finds by its name."""
    _recorder().ran(name)
    if _scenario().work:
        time.sleep(_scenario().work)


def _schedule(scenario: Scenario) -> None:
    from redis import Redis
    from rq.cron import CronScheduler

    scheduler = CronScheduler(Redis.from_url(scenario.redis), logging_level="WARNING")
    # Not as `__main__`: the worker imports it.
    from benchmarks.contenders import rq_cron

    for name in scenario.names:
        # What has never run is due at once, so a burst needs no crontab.
        scheduler.register(
            rq_cron.job,
            QUEUE,
            args=(name,),
            interval=int(scenario.interval),
            result_ttl=0,  # nothing is kept of a run that succeeded
            name=name,
        )
    scheduler.start()


def _work(scenario: Scenario) -> None:
    from redis import Redis
    from rq import SimpleWorker

    worker = SimpleWorker([QUEUE], connection=Redis.from_url(scenario.redis))
    settle()
    worker.work(logging_level="WARNING")


def main() -> None:
    scenario = Scenario.here()
    if sys.argv[1] == "scheduler":
        _schedule(scenario)
    else:
        _work(scenario)


if __name__ == "__main__":
    main()
