"""celery: a beat that keeps its schedule in Redis (RedBeat), and a gevent worker.

Two beats do not run beside one another: the second waits for the lock of the first. Options:
`lock`: `default` (a beat that dies keeps its lock for 25 minutes, and the other one looks every
five) or `short` (5 s, looked for every second: RedBeat's own rule of five loops, with the shortest
loop that a crontab needs).
"""

from __future__ import annotations

import functools
import os
import sys
import time
from typing import Any

from .base import Command, Scenario, command, settle
from .recorder import Recorder

#: Greenlets of a worker: runs at once.
GREENLETS = 100

#: Seconds: the longest sleep of a beat with `lock=short`, and the life of its lock.
SHORT_LOOP, SHORT_LOCK = 1, 5


def commands(scenario: Scenario) -> list[Command]:
    """One beat and one worker."""
    return [
        command("celery_redbeat", "beat", role="scheduler"),
        command("celery_redbeat", "worker", role="worker"),
    ]


def application(scenario: Scenario) -> Any:
    """The celery application of a scenario."""
    from celery import Celery
    from celery.schedules import crontab, schedule

    app = Celery("benchmark", broker=scenario.redis)
    # An interval first falls due one interval after the start; a crontab for all at once.
    timing = crontab() if scenario.kind == "burst" else schedule(scenario.interval)
    app.conf.update(
        task_ignore_result=True,
        worker_hijack_root_logger=False,
        beat_scheduler="redbeat.RedBeatScheduler",
        redbeat_redis_url=scenario.redis,
        beat_schedule={
            name: {"task": "job", "schedule": timing, "args": [name]} for name in scenario.names
        },
    )
    if scenario.options.get("lock") == "short":
        app.conf.update(beat_max_loop_interval=SHORT_LOOP, redbeat_lock_timeout=SHORT_LOCK)

    @functools.cache
    def recorder() -> Recorder:
        return Recorder(scenario.record, scenario.recording)

    @app.task(name="job")  # type: ignore[untyped-decorator]
    def job(name: str) -> None:
        recorder().ran(name)
        if scenario.work:
            time.sleep(scenario.work)

    return app


def main() -> None:
    role = sys.argv[1]
    if role == "worker":
        from gevent import monkey

        monkey.patch_all()
    app = application(Scenario.here())
    if role == "beat":
        app.Beat(schedule="", loglevel="WARNING").run()
    else:
        from celery.signals import worker_ready

        worker_ready.connect(lambda **_: settle(), weak=False)
        # Gossip, mingle and events serve monitors; without them the worker has less to do.
        app.worker_main(
            [
                *("worker", "--pool=gevent", f"--concurrency={GREENLETS}", "--loglevel=WARNING"),
                *("--without-gossip", "--without-mingle", f"--hostname=worker-{os.getpid()}@here"),
            ]
        )


if __name__ == "__main__":
    main()
