"""Several instances of the library in one process: option `instances`. Each is an application with
a runner, connections and a keeper's thread of its own, as in a process of its own.
"""

from __future__ import annotations

from .base import Command, Scenario, command
from .library import log_to_nobody, register, runner_of


def commands(scenario: Scenario) -> list[Command]:
    return [command("library_fleet", ours=True)]


def main() -> None:
    from gevent import monkey

    monkey.patch_all()
    import gevent
    from flask import Flask

    log_to_nobody()
    scenario = Scenario.here()
    apps = []
    for _ in range(int(scenario.options.get("instances", "1"))):
        app = Flask("benchmark")  # one name: one namespace, one fleet
        runner = runner_of(scenario, mode="greenlet")
        register(runner, scenario)
        runner.init_app(app)
        runner.start(app)
        apps.append(app)
    gevent.get_hub().join()


if __name__ == "__main__":
    main()
