"""Servers of the fleets under faults: one that fails, and one that does not."""

from collections.abc import Iterator

import pytest

from tests.faults.servers import FaultyRedis
from tests.support.servers import RedisServer


@pytest.fixture
def faulty_redis() -> Iterator[FaultyRedis]:
    with FaultyRedis() as server:
        yield server


@pytest.fixture
def witness_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server
