"""gunicorn's configuration of the fleet, with a bare timer in each worker to compare with."""

import json
import time
from pathlib import Path
from typing import Any

SETUP = json.loads(Path("fleet.json").read_text())

if SETUP["patch_early"]:
    from gevent import monkey

    monkey.patch_all()

# Not on the command line: releases before 25 do not know the option, and ignore it here.
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    if SETUP["timer"]:
        import gevent

        gevent.spawn(_time, SETUP["timer"])


def _time(interval: float) -> None:
    """Record how late a timer of this hub comes when nothing of the library is in its way."""
    import gevent

    from tests.cluster.records import Records

    records = Records(SETUP["records"])
    while True:
        asked_at = time.monotonic()
        gevent.sleep(interval)
        records.timer_was_late(time.monotonic() - asked_at - interval)
