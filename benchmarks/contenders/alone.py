"""A contender that runs inside a process of the application, in a process that has nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .base import Scenario, settle
from .burst import tell

if TYPE_CHECKING:
    from flask import Flask


def run_alone(
    embed: Callable[[Scenario, Flask | None], None], burst: Callable[[Scenario], float]
) -> None:
    """Do what the scenario of this process says: tell how long a `burst` took, or `embed` the jobs
    until somebody ends the process. Patches it first.
    """
    from gevent import monkey

    monkey.patch_all()
    import gevent

    scenario = Scenario.here()
    if scenario.kind == "burst":
        tell(scenario.record, burst(scenario))
        return
    embed(scenario, None)
    gevent.spawn_later(0.5, settle)
    gevent.get_hub().join()
