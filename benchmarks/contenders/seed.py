"""The algorithm that the library began with: every second, of each job, GET its last run, and
where more than the interval has passed SET it to now and run. Nothing is atomic.

Its times have fractions here: with whole seconds a job of one second runs every other one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .alone import run_alone
from .base import Command, Scenario, command, settle
from .recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

CHECK_INTERVAL = 1.0


def commands(scenario: Scenario) -> list[Command]:
    return [command("seed", ours=True)]


def main() -> None:
    run_alone(embed, _burst)


def embed(scenario: Scenario, app: Flask | None) -> None:
    """Run the jobs of a scenario in this process, a web worker or not."""
    import gevent

    recorder = Recorder(scenario.record, scenario.recording)

    def job(name: str) -> None:
        recorder.ran(name)
        if scenario.work:
            time.sleep(scenario.work)

    def loop() -> None:
        check = _checker(scenario, job)
        while True:
            check()
            gevent.sleep(CHECK_INTERVAL)

    gevent.spawn(loop)


def _checker(scenario: Scenario, job: Callable[[str], None]) -> Callable[[], None]:
    import gevent
    import redis

    client = redis.Redis.from_url(scenario.redis)
    keys = {f"{name.upper()}_LAST_RUN": name for name in scenario.names}

    def check() -> None:
        for key, name in keys.items():
            last_run, now = client.get(key), time.time()
            if last_run is None or now > float(last_run) + scenario.interval:
                client.set(key, now)
                gevent.spawn(job, name)

    return check


def _burst(scenario: Scenario) -> float:
    """Seconds for one run of each job, none of which has run yet."""
    import gevent

    done = 0

    def count(name: str) -> None:
        nonlocal done
        done += 1

    check = _checker(scenario, count)
    settle()
    before = time.perf_counter()
    check()
    while done < scenario.jobs:
        gevent.sleep(0.001)
    return time.perf_counter() - before


if __name__ == "__main__":
    main()
