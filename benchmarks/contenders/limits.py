"""What nobody gets below: gevent alone, and Redis alone.

Option `limit`: `timers` (each job sleeps until its next due time, and runs), `spawn` (a greenlet
for each run and nothing else), `calls` (an EVALSHA for each run, that claims it, and nothing
else). `limit_loop` has what a runner needs of all of them.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from .alone import run_alone
from .base import Command, Scenario, command, settle
from .recorder import Recorder

if TYPE_CHECKING:
    from flask import Flask


def commands(scenario: Scenario) -> list[Command]:
    return [command("limits", ours=True)]


def main() -> None:
    run_alone(embed, _burst)


def _burst(scenario: Scenario) -> float:
    return {"spawn": _spawn, "calls": _calls}[scenario.options["limit"]](scenario)


def embed(scenario: Scenario, app: Flask | None) -> None:
    """Bare timers, in this process, a web worker or not."""
    import gevent

    recorder = Recorder(scenario.record, scenario.recording)

    def job(name: str) -> None:
        due = (math.floor(time.time() / scenario.interval) + 1) * scenario.interval
        while True:
            gevent.sleep(max(0.0, due - time.time()))
            recorder.ran(name)
            if scenario.work:
                gevent.sleep(scenario.work)
            due += scenario.interval

    for name in scenario.names:
        gevent.spawn(job, name)


def _spawn(scenario: Scenario) -> float:
    import gevent

    done = 0

    def nothing(name: str) -> None:
        nonlocal done
        done += 1

    names = scenario.names
    settle()
    before = time.perf_counter()
    for name in names:
        gevent.spawn(nothing, name)
    while done < len(names):
        gevent.sleep(0)
    return time.perf_counter() - before


def _calls(scenario: Scenario) -> float:
    from .limit_loop import Protocol

    protocol = Protocol(scenario)
    settle()
    before = time.perf_counter()
    for number in range(scenario.jobs):
        protocol.claim(number, number + 1)
    return time.perf_counter() - before


if __name__ == "__main__":
    main()
