"""Under gunicorn the loop lives in each worker, and in no other process."""

import signal
import time
from functools import partial
from typing import Any

import pytest

from tests.cluster.apps.hosted import BEAT_SECONDS
from tests.cluster.support.gunicorn import Gunicorn
from tests.cluster.support.hosted import STARTED
from tests.cluster.support.together import together
from tests.support.processes import is_alive

pytestmark = pytest.mark.cluster

PATCH = "from gevent import monkey\nmonkey.patch_all()\nprint('patched the master', flush=True)\n"


def serves_and_runs(redis_url: str, kind: str, preload: bool, configuration: str = "") -> None:
    # One run at a time in an instance, and more beats than that: every worker has to take part.
    settings = {"HOSTED_BEATS": "3", "JOBRUNNER_MAX_CONCURRENT_RUNS": "1"}
    options = ["--threads", "2"] if kind == "gthread" else []
    with Gunicorn(
        redis_url,
        *options,
        kind=kind,
        workers=2,
        preload=preload,
        configuration=configuration,
        **settings,
    ) as server:
        server.until(lambda: len(server.workers()) == 2, "runs in both workers")
        answered = {int(server.get()) for _ in range(10)}
        assert answered <= server.workers()
        runs = server.records("beat")
        assert 2 == len({run["instance"] for run in runs})
        assert 2 == len({(run["instance"], run["pid"]) for run in runs})
        assert {run["instance"] for run in runs} == server.instances()
        assert {kind == "gevent"} == {run["patched"] for run in runs}
        server.until(lambda: len(server.records("beat0")) > 8, f"a run every {BEAT_SECONDS} s")
        server.assert_one_run_per_due_time()
        server.assert_only_workers_ran_jobs()
        assert 2 == server.log().count(STARTED)
        assert bool(configuration) == ("patched the master" in server.log())
        assert "Traceback" not in server.log(), server.log()


def test_gevent_workers_run_jobs_and_the_master_none(redis_url: str) -> None:
    together(
        lambda: serves_and_runs(redis_url, "gevent", preload=False),
        lambda: serves_and_runs(redis_url, "gevent", preload=True),
    )


def test_gevent_workers_of_a_patched_master_run_jobs_and_the_master_none(redis_url: str) -> None:
    together(
        lambda: serves_and_runs(redis_url, "gevent", preload=False, configuration=PATCH),
        lambda: serves_and_runs(redis_url, "gevent", preload=True, configuration=PATCH),
    )


@pytest.mark.parametrize("kind", ["gthread", "sync"])
def test_workers_without_gevent_run_jobs_in_threads(redis_url: str, kind: str) -> None:
    together(
        lambda: serves_and_runs(redis_url, kind, preload=False),
        lambda: serves_and_runs(redis_url, kind, preload=True),
    )


def forks(redis_url: str, *options: str, **more: Any) -> None:
    with Gunicorn(redis_url, *options, **more) as server:
        server.until_recorded("beat0")
        child = int(server.get("/fork"))
        (ended,) = server.records("child ended")
        assert child == ended["pid"]
        server.until(
            lambda: any(run["at"] > ended["at"] for run in server.records("beat")),
            "runs in the worker",
        )
        assert child not in {run["pid"] for run in server.records("beat")}
        assert [] == server.records("child ticked")
        assert 1 == len(server.instances())
        assert 1 == server.log().count(STARTED)
        server.assert_one_run_per_due_time()


def test_a_process_that_a_worker_forks_runs_no_jobs(redis_url: str) -> None:
    together(
        partial(forks, redis_url),
        partial(forks, redis_url, preload=True),
        partial(forks, redis_url, preload=True, configuration=PATCH),
        partial(forks, redis_url, "--threads", "2", kind="gthread", preload=True),
        partial(forks, redis_url, kind="sync"),
        partial(forks, redis_url, kind="sync", preload=True),
    )


def execs_anew(redis_url: str, **more: Any) -> None:
    with Gunicorn(redis_url, **more) as server:
        old = server.until_recorded("beat0")[0]["pid"]
        server.tell(signal.SIGUSR2)
        server.until(lambda: len(server.workers()) > 1, "runs in a worker of the new master")
        masters = {run["parent"] for run in server.records()} - {server.pid}
        assert 1 == len(masters)
        assert 2 == len(server.instances())
        server.tell(signal.SIGTERM)
        assert 0 == server.wait()
        assert not is_alive(old)
        (new,) = server.workers() - {old}
        assert str(new) == server.get()
        ended_at = time.time()
        server.until(
            lambda: any(run["at"] > ended_at for run in server.records("beat")),
            "runs without the old master",
        )
        assert 1 == len(server.instances())
        assert masters.isdisjoint(server.workers())
        server.assert_one_run_per_due_time()


def test_usr2_brings_a_new_master_whose_workers_run_jobs(redis_url: str) -> None:
    together(
        partial(execs_anew, redis_url),
        partial(execs_anew, redis_url, preload=True),
    )
