"""What has to hold when a gunicorn worker stops while it runs jobs."""

import json
import signal
import time
from collections.abc import Callable
from typing import Any

from tests.cluster.support.gunicorn import Gunicorn
from tests.cluster.support.hosted import Hosted
from tests.support.processes import is_alive

#: How to end a worker; returns nothing, and the worker ends thereafter.
Ending = Callable[[Gunicorn], None]

#: Seconds that one job needs to finish, that a drain takes at most, and that the other needs.
LONG, DRAIN, ENDLESS = 3.0, 4.5, 300.0

#: Seconds within which the master has told its worker.
TOLD = 1.0


def by(how: signal.Signals) -> Ending:
    """A signal to the master, and to it alone."""
    return lambda server: server.tell(how)


def by_requests(server: Gunicorn) -> None:
    """Requests until the worker has answered as many as it may; see `LIMITED`."""
    for _ in range(3):
        server.get()


#: The option under which `by_requests` ends a worker.
LIMITED = ("--max-requests", "3")


def long_jobs(seconds: float, drain: float) -> dict[str, str]:
    """The environment with a job of `seconds` and one of `ENDLESS` seconds to run."""
    return {
        "HOSTED_LONG": json.dumps({"long": seconds, "endless": ENDLESS}),
        "JOBRUNNER_DRAIN_TIMEOUT": str(drain),
    }


def with_long_jobs(redis_url: str, *options: str, drain: float = DRAIN, **more: Any) -> Gunicorn:
    """A server whose one worker has a job of `LONG` and a job of `ENDLESS` seconds to run."""
    return Gunicorn(redis_url, *options, **long_jobs(LONG, drain), **more)


def assert_drains(server: Gunicorn, end: Ending, *, server_ends: bool) -> None:
    """`end` the worker while both jobs run: one finishes, the other is interrupted, both are
    recorded and released, and nothing is claimed meanwhile.
    """
    long, endless = server.until_recorded("long began", "endless began")
    server.until_recorded("beat0")
    worker, instance = long["pid"], long["instance"]
    assert (worker, instance) == (endless["pid"], endless["instance"])
    told_at = time.time()
    end(server)
    if server_ends:
        assert 0 == server.wait(), server.log()
    else:
        server.until(lambda: not is_alive(worker), f"the end of worker {worker}")
        another_goes_on(server, worker)
    assert not is_alive(worker)
    assert_both_ended_well(server)
    assert instance not in server.instances()
    late = [r for r in server.records("beat") if r["pid"] == worker and r["at"] > told_at + TOLD]
    assert [] == late
    server.assert_one_run_per_due_time()
    assert "Traceback" not in server.log(), server.log()
    assert "WORKER TIMEOUT" not in server.log()


def assert_both_ended_well(server: Hosted) -> None:
    """The one job finished, the other was interrupted and could clean up; both were released."""
    assert ["succeeded"] == server.outcomes("long"), server.log()
    assert 1 == len(server.records("long finished"))
    assert not server.has_lease("long")
    assert_interrupted(server, "endless")


def assert_interrupted(server: Hosted, job: str) -> None:
    """The job was interrupted, its `finally` ran, and its lease is gone."""
    assert ["interrupted"] == server.outcomes(job), server.log()
    assert 1 == len(server.records(f"{job} left"))
    assert not server.has_lease(job)


def another_goes_on(server: Gunicorn, worker: int) -> None:
    """Another worker of the same master serves and runs jobs."""
    server.until(
        lambda: any(run["pid"] != worker for run in server.records("beat")), "runs in a new worker"
    )
    assert worker != int(server.get())
    server.assert_only_workers_ran_jobs()
