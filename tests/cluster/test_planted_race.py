"""The judgement of the fleet tests notices a claim that is not atomic."""

from collections.abc import Iterator

import pytest

from tests.cluster.objections import objections
from tests.cluster.records import Records
from tests.cluster.serving import Fleet
from tests.cluster.test_fleet import JOBS
from tests.support.servers import RedisServer
from tests.support.wait import wait_for

pytestmark = pytest.mark.cluster


@pytest.fixture
def fleet_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def test_a_claim_of_get_then_set_is_objected_to(fleet_redis: RedisServer, redis_url: str) -> None:
    with (
        Records(redis_url) as records,
        Fleet(fleet_redis, records, JOBS, workers=4, app="planted") as fleet,
    ):

        def found(beginning: str) -> bool:
            said = objections(records.runs(), fleet.interval_ms)
            return any(objection.startswith(beginning) for objection in said)

        wait_for(lambda: found("two at once"), message="two runs of a job at once")
        wait_for(lambda: found("too close"), message="two starts closer than the interval")
