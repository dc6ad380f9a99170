"""dramatiq: a worker of one process with a hundred greenlets, and periodiq, which sends what is
due.

periodiq knows whole minutes, and sends everything once at its start, in the middle of a minute,
too. Each periodiq sends every job: two of them run everything twice.
"""

from __future__ import annotations

import functools
import logging
import sys
import time
from typing import Any

from .base import Command, Scenario, command, settle
from .recorder import Recorder

#: Makes the broker, for the programs of both.
BROKER = "benchmarks.contenders.dramatiq_periodiq:broker"

#: Greenlets of a worker: runs at once.
GREENLETS = 100


def commands(scenario: Scenario) -> list[Command]:
    """One periodiq and one worker."""
    return [
        command("dramatiq_periodiq", "scheduler", role="scheduler"),
        command("dramatiq_periodiq", "worker", role="worker"),
    ]


def broker() -> None:
    """Make the broker of this process's scenario the one that dramatiq uses, with its actors."""
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker
    from periodiq import PeriodiqMiddleware, cron

    scenario = Scenario.here()
    logging.getLogger("periodiq").setLevel(logging.WARNING)  # else two lines for each run
    made = RedisBroker(url=scenario.redis)
    made.add_middleware(PeriodiqMiddleware())
    dramatiq.set_broker(made)
    for name in scenario.names:
        dramatiq.actor(
            _job(scenario, name),
            actor_name=name,
            max_retries=0,
            periodic=cron(_crontab(scenario)),
        )
    settle()


def _crontab(scenario: Scenario) -> str:
    if scenario.kind == "burst":
        return "* * * * *"
    minutes, rest = divmod(scenario.interval, 60)
    if rest or minutes < 1 or 60 % minutes:
        raise ValueError(f"periodiq has no interval of {scenario.interval:g} s")
    return "0 * * * *" if minutes == 60 else f"*/{minutes:g} * * * *"


@functools.cache
def _recorder(url: str, recording: str) -> Recorder:
    return Recorder(url, recording)


def _job(scenario: Scenario, name: str) -> Any:
    def job() -> None:
        _recorder(scenario.record, scenario.recording).ran(name)
        if scenario.work:
            time.sleep(scenario.work)

    return job


def main() -> None:
    role = sys.argv[1]
    if role == "scheduler":
        import periodiq

        sys.exit(periodiq.main(periodiq.make_argument_parser().parse_args([BROKER])))
    # As `dramatiq-gevent` does it: patched before anything of dramatiq is imported.
    from gevent import monkey

    monkey.patch_all()
    from dramatiq.cli import main as dramatiq

    sys.argv = ["dramatiq", BROKER, "--processes", "1", "--threads", str(GREENLETS)]
    sys.exit(dramatiq())


if __name__ == "__main__":
    main()
