"""Four workers, many jobs, one Redis: each job once per due time in the whole fleet."""

from collections.abc import Iterator

import pytest

from tests.cluster.observing import observe
from tests.cluster.records import Records
from tests.cluster.serving import Fleet, job
from tests.support.servers import RedisServer

pytestmark = pytest.mark.cluster

INTERVAL = 0.5
JOBS = [
    *(job(f"short-{number}", interval=INTERVAL) for number in range(5)),
    # Over before a late instance asks: only the last start keeps that one away.
    *(job(f"empty-{number}", interval=INTERVAL, seconds=0) for number in range(4)),
    # Due again before it ends: only the run that holds it keeps the others away.
    job("slow", interval=INTERVAL, seconds=1.5 * INTERVAL),
]
SECONDS = 8
#: Of what a bare timer makes possible. Modest: the machine may have other work.
SHARE = 0.8


@pytest.fixture
def fleet_redis() -> Iterator[RedisServer]:
    """The fleet's own: the records stand in another server."""
    with RedisServer() as server:
        yield server


@pytest.mark.parametrize(
    "preload", [pytest.param(False, id="no-preload"), pytest.param(True, id="patched-preload")]
)
def test_a_fleet_runs_each_job_once_per_due_time(
    fleet_redis: RedisServer, redis_url: str, preload: bool
) -> None:
    with (
        Records(redis_url) as records,
        Fleet(fleet_redis, records, JOBS, workers=4, preload=preload, timer=INTERVAL) as fleet,
    ):
        observed = observe(fleet, SECONDS, until_all_ran=30)
    assert 4 == len(set(observed.workers))
    assert [] == observed.objections(SHARE)
