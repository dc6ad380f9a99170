"""However a gunicorn worker is ended, its runs finish or are interrupted, and are recorded."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from tests.cluster.support.endings import (
    LIMITED,
    Ending,
    assert_drains,
    assert_interrupted,
    by,
    by_requests,
    with_long_jobs,
)
from tests.cluster.support.gunicorn import Gunicorn
from tests.cluster.support.hosted import Hosted, flask
from tests.cluster.support.together import together

pytestmark = pytest.mark.cluster


def drains(
    redis_url: str, end: Ending, *options: str, server_ends: bool = True, **more: Any
) -> None:
    with with_long_jobs(redis_url, *options, **more) as server:
        assert_drains(server, end, server_ends=server_ends)


@pytest.mark.parametrize("preload", [False, True], ids=["plain", "preload"])
def test_jobs_of_a_gevent_worker_survive_every_ending(redis_url: str, preload: bool) -> None:
    together(
        partial(drains, redis_url, by(signal.SIGTERM), preload=preload),
        partial(drains, redis_url, by(signal.SIGINT), preload=preload),
        partial(drains, redis_url, by(signal.SIGQUIT), preload=preload),
        partial(drains, redis_url, by(signal.SIGHUP), preload=preload, server_ends=False),
        partial(drains, redis_url, by_requests, *LIMITED, preload=preload, server_ends=False),
    )


def test_jobs_in_threads_survive_endings(redis_url: str) -> None:
    together(
        partial(drains, redis_url, by(signal.SIGTERM), kind="sync"),
        partial(drains, redis_url, by(signal.SIGTERM), "--threads", "2", kind="gthread"),
        partial(drains, redis_url, by(signal.SIGQUIT), kind="sync"),
        partial(drains, redis_url, by(signal.SIGQUIT), "--threads", "2", kind="gthread"),
        partial(drains, redis_url, by(signal.SIGHUP), kind="sync", server_ends=False),
    )


def by_ctrl_c(server: Gunicorn) -> None:
    """INT to the whole process group, as a terminal does; the master sends QUIT besides."""
    os.killpg(server.pid, signal.SIGINT)


def test_ctrl_c_in_a_terminal_drains_too(redis_url: str) -> None:
    together(
        partial(drains, redis_url, by_ctrl_c),
        partial(drains, redis_url, by_ctrl_c, preload=True),
        partial(drains, redis_url, by_ctrl_c, kind="sync"),
        partial(drains, redis_url, by_ctrl_c, "--threads", "2", kind="gthread"),
    )


def interrupts(redis_url: str, end: Ending, *options: str, drain: float, **more: Any) -> None:
    with with_long_jobs(redis_url, *options, drain=drain, **more) as server:
        server.until_recorded("long began", "endless began")
        end(server)
        assert 0 == server.wait(), server.log()
        assert_interrupted(server, "long")
        assert_interrupted(server, "endless")


def test_what_outlives_the_drain_timeout_is_interrupted_and_released_at_once(
    redis_url: str,
) -> None:
    together(
        partial(interrupts, redis_url, by(signal.SIGTERM), drain=1),
        partial(interrupts, redis_url, by(signal.SIGTERM), drain=1, preload=True),
        partial(interrupts, redis_url, by(signal.SIGQUIT), drain=0),
        partial(interrupts, redis_url, by(signal.SIGTERM), drain=1, kind="sync"),
    )


def leaves_the_deaf(server: Hosted) -> None:
    with server:
        server.until_recorded("deaf began")
        server.tell(signal.SIGTERM)
        assert 0 == server.wait(), server.log()
        assert "Job deaf ignores its interruption" in server.log()
        assert server.has_lease("deaf")
        assert [] == server.outcomes("deaf")
        assert set() == server.instances()


def test_a_thread_that_ignores_its_interruption_keeps_its_lease_and_does_not_keep_the_process(
    redis_url: str,
) -> None:
    env = {"HOSTED_LONG": '{"deaf": 300}', "JOBRUNNER_DRAIN_TIMEOUT": "0.5"}
    together(
        partial(leaves_the_deaf, Gunicorn(redis_url, kind="sync", **env)),
        partial(leaves_the_deaf, Gunicorn(redis_url, "--threads", "2", kind="gthread", **env)),
        partial(leaves_the_deaf, Hosted(redis_url, flask("jobs", "serve"), **env)),
    )


def test_a_drain_is_over_before_the_master_kills(redis_url: str) -> None:
    limit = ("--graceful-timeout", "4")  # of which the drain leaves two seconds
    together(
        partial(interrupts, redis_url, by(signal.SIGTERM), *limit, drain=25),
        partial(interrupts, redis_url, by(signal.SIGQUIT), *limit, drain=25),
        partial(interrupts, redis_url, by(signal.SIGTERM), *limit, drain=25, kind="sync"),
        partial(interrupts, redis_url, by(signal.SIGQUIT), *limit, drain=25, kind="sync"),
    )


def test_a_worker_that_drains_is_not_taken_for_one_that_hangs(redis_url: str) -> None:
    # The drain takes longer than a worker may be silent, and the master looks on: after a HUP
    # the newest gunicorn does not.
    silent = (*LIMITED, "--timeout", "3")
    together(
        partial(drains, redis_url, by_requests, *silent, server_ends=False),
        partial(drains, redis_url, by_requests, *silent, server_ends=False, kind="sync"),
    )


def test_jobs_drain_while_the_worker_still_answers_a_request(redis_url: str) -> None:
    with (
        with_long_jobs(redis_url, drain=1) as server,
        ThreadPoolExecutor() as pool,
    ):
        began = server.until_recorded("endless began")[0]
        answer = pool.submit(server.get, "/slow?seconds=5")
        server.until_recorded("slow began")
        server.tell(signal.SIGTERM)
        left = server.until_recorded("endless left")[0]
        assert not answer.done()
        assert str(began["pid"]) == answer.result()
        assert left["at"] < server.records("slow ended")[0]["at"]
        assert 0 == server.wait()
        assert_interrupted(server, "endless")
