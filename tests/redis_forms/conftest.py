"""The large forms of Redis start once a module: a failover leaves them changed."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobrunner.clock import RedisClock
from jobrunner.store.connect import client_from_url
from jobrunner.store.redis import RedisStore
from tests.support.redis_forms import ClusterOfSix, SentinelTrio
from tests.support.servers import RedisServer

MakeStore = Callable[..., RedisStore]


@pytest.fixture(scope="module")
def trio() -> Iterator[SentinelTrio]:
    with SentinelTrio() as trio:
        yield trio


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterOfSix]:
    with ClusterOfSix() as cluster:
        yield cluster


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis that the test may change."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def make_store() -> Iterator[MakeStore]:
    """Makes the store of an instance, from a URL or over a client."""
    stores: list[RedisStore] = []

    def make(where: Any, timeout: float = 2.0, **options: Any) -> RedisStore:
        client = client_from_url(where, timeout) if isinstance(where, str) else where
        store = RedisStore(
            client,
            **{
                "namespace": "shop",
                "instance": "one",
                "lease_ms": 30_000,
                "history": 100,
                "forget_after_ms": 60_000,
                "clock": RedisClock(),
                **options,
            },
        )
        stores.append(store)
        return store

    yield make
    for store in stores:
        store.close()
