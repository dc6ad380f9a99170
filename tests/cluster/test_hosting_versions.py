"""The hosting rests on gunicorn's internals: older releases, installed aside, have them too."""

import signal
from functools import partial

import pytest

from tests.cluster.support.endings import assert_drains, by, with_long_jobs
from tests.cluster.support.together import together
from tests.support.aside import gunicorn

pytestmark = pytest.mark.cluster

VERSIONS = ("20.1.0", "21.2.0", "22.0.0", "23.0.0")


def drains_on_term(redis_url: str, version: str, preload: bool) -> None:
    with with_long_jobs(redis_url, version=version, preload=preload) as server:
        assert f"Starting gunicorn {version}\n" in server.log()
        server.until_recorded("beat0")
        server.assert_only_workers_ran_jobs()
        assert_drains(server, by(signal.SIGTERM), server_ends=True)


@pytest.mark.parametrize("preload", [False, True], ids=["plain", "preload"])
def test_jobs_of_a_worker_survive_term_on_older_gunicorns(redis_url: str, preload: bool) -> None:
    for version in VERSIONS:
        gunicorn(version)  # installed one after the other, and not while servers are timed
    together(*(partial(drains_on_term, redis_url, version, preload) for version in VERSIONS))
