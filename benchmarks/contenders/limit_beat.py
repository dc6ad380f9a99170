"""The limit loop at a beat: a round at each multiple of the interval, its jobs recorded as those
of the others are.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from .base import Command, Scenario, command, settle
from .limit_loop import Claimed, Loop
from .recorder import Recorder

if TYPE_CHECKING:
    from flask import Flask


def commands(scenario: Scenario) -> list[Command]:
    return [command("limit_beat", ours=True)]


def main() -> None:
    from gevent import monkey

    monkey.patch_all()
    import gevent

    embed(Scenario.here(), None)
    gevent.spawn_later(0.5, settle)
    gevent.get_hub().join()


def embed(scenario: Scenario, app: Flask | None) -> None:
    """Run the jobs of a scenario in this process, a web worker or not."""
    import gevent

    gevent.spawn(_beat, Beat(scenario), scenario.interval)


class Beat(Loop):
    """Whose jobs tell the recorder."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self._ran = Recorder(scenario.record, scenario.recording).ran
        self._names = scenario.names

    def _run(self, claimed: Claimed) -> None:
        self._ran(self._names[claimed.job])
        super()._run(claimed)


def _beat(loop: Loop, interval: float) -> None:
    import gevent

    due = (math.floor(time.time() / interval) + 1) * interval
    while True:
        gevent.sleep(max(0.0, due - time.time()))
        loop.round()
        due += interval


if __name__ == "__main__":
    main()
