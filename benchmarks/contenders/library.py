"""The library, as a Flask application has it: a fresh context a run, INFO logging to a handler
that drops it, history and lease, the library's defaults.

Option `schedule`: `interval` (counted from the last start), `aligned` or `cron` (on the clock).
Options `lease` and `check_interval`, in seconds: those settings. Option `recover`: `yes`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .base import Command, Scenario, command, settle
from .burst import tell
from .recorder import Recorder

if TYPE_CHECKING:
    from flask import Flask

    from jobrunner import JobRunner
    from jobrunner.schedules import Schedule

#: The library's own default, where the jobs are fewer.
SLOTS = 100


def commands(scenario: Scenario) -> list[Command]:
    return [command("library", ours=True)]


def main() -> None:
    from gevent import monkey

    monkey.patch_all()
    import gevent
    from flask import Flask

    log_to_nobody()
    scenario, app = Scenario.here(), Flask("benchmark")
    if scenario.kind == "burst":
        tell(scenario.record, _burst(scenario, app))
        return
    runner = runner_of(scenario)
    register(runner, scenario)
    runner.init_app(app)
    gevent.spawn_later(0.5, settle)
    runner.run_jobs(app)


def embed(scenario: Scenario, app: Flask) -> None:
    """Run the jobs of a scenario in the web worker that loads `app`."""
    log_to_nobody()
    runner = runner_of(scenario)
    register(runner, scenario)
    runner.init_app(app)
    runner.start(app)


def runner_of(scenario: Scenario, **settings: Any) -> JobRunner:
    from jobrunner import JobRunner

    given = {
        name: float(scenario.options[name])
        for name in ("lease", "check_interval")
        if name in scenario.options
    }
    slots = max(SLOTS, scenario.jobs)
    return JobRunner(redis_url=scenario.redis, max_concurrent_runs=slots, **given, **settings)


def log_to_nobody() -> None:
    import logging

    logging.basicConfig(level=logging.INFO, handlers=[logging.NullHandler()])


def register(runner: JobRunner, scenario: Scenario) -> None:
    recorder = Recorder(scenario.record, scenario.recording)
    work = scenario.work

    def job(ctx: Any) -> None:
        recorder.ran(ctx.run.job)
        if work:
            time.sleep(work)

    schedule, recover = _schedule(scenario), scenario.options.get("recover") == "yes"
    for name in scenario.names:
        runner.job(schedule, name=name, recover=recover)(job)


def _schedule(scenario: Scenario) -> Schedule:
    from jobrunner import cron, every

    kind = scenario.options.get("schedule", "interval")
    if kind != "cron":
        return every(seconds=scenario.interval, align=kind == "aligned")
    seconds = int(scenario.interval)
    if seconds != scenario.interval or 60 % seconds:
        raise ValueError(f"no cron expression for every {scenario.interval:g} s")
    return cron(f"*/{seconds} * * * * *")


def _burst(scenario: Scenario, app: Flask) -> float:
    """Seconds for one run of each job that come due at once."""
    import gevent

    from jobrunner import every

    started, shift, done = time.time(), 0.0, 0
    runner = runner_of(scenario, mode="greenlet")
    runner.clock = lambda: started + shift

    def nothing(ctx: object) -> None:
        nonlocal done
        done += 1

    for name in scenario.names:
        runner.job(every(hours=1), name=name)(nothing)
    runner.init_app(app)
    runner.start(app)
    instance = app.extensions["jobrunner"].instance()

    def all_recorded(rounds: int) -> bool:
        return done == rounds * scenario.jobs and not instance.executor.active()

    # The first round is not measured: it announces the jobs and learns about each.
    while not all_recorded(1):
        gevent.sleep(0.01)
    settle()
    before = time.perf_counter()
    shift = 3601.0
    instance.look_at(scenario.names[0])  # wakes the loop
    while not all_recorded(2):
        gevent.sleep(0.001)
    seconds = time.perf_counter() - before
    runner.stop(app=app)
    return seconds


if __name__ == "__main__":
    main()
