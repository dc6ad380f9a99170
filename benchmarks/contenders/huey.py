"""huey: a consumer with greenlets, which decides what is due and runs it; patched here, for its
own `-k greenlet` does not patch.

Its periodic tasks know whole minutes, and are looked at from the consumer's start. Each consumer
sends every job: two of them run everything twice.
"""

from __future__ import annotations

import time
from typing import Any

from .base import Command, Scenario, command, settle
from .recorder import Recorder

#: Greenlets: runs at once.
GREENLETS = 100


def commands(scenario: Scenario) -> list[Command]:
    return [command("huey")]


def main() -> None:
    from gevent import monkey

    monkey.patch_all()
    consumer = _application(Scenario.here()).create_consumer(
        workers=GREENLETS, worker_type="greenlet"
    )
    settle()
    consumer.run()


def _application(scenario: Scenario) -> Any:
    from huey import RedisHuey, crontab

    recorder = Recorder(scenario.record, scenario.recording)
    # Each greenlet waits on a connection of its own; redis-py's pool has a hundred by default.
    url = f"{scenario.redis}?max_connections={2 * GREENLETS}"
    huey = RedisHuey("benchmark", url=url, results=False)
    due = crontab() if scenario.kind == "burst" else crontab(**_fields(scenario.interval))
    for name in scenario.names:
        huey.periodic_task(due, name=name)(_job(scenario, recorder, name))
    return huey


def _job(scenario: Scenario, recorder: Recorder, name: str) -> Any:
    def job() -> None:
        recorder.ran(name)
        if scenario.work:
            time.sleep(scenario.work)

    return job


def _fields(interval: float) -> dict[str, str]:
    minutes = int(interval // 60)
    if minutes * 60 != interval or not minutes or 60 % minutes:
        raise ValueError(f"huey has no interval of {interval:g} s")
    return {"minute": "0" if minutes == 60 else f"*/{minutes}"}


if __name__ == "__main__":
    main()
