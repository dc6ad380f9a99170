"""One text over two servers: fakeredis, and a real Redis or Valkey."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import fakeredis
import pytest
import redis

from jobrunner.job import JobDefinition

from .fleet import Fleet, MakeClient, job


@pytest.fixture(params=["fakeredis", "real"])
def make_client(request: pytest.FixtureRequest) -> MakeClient:
    """Makes clients of the server under test; keywords go to the client."""
    if request.param == "fakeredis":
        server = fakeredis.FakeServer()
        return lambda **options: fakeredis.FakeRedis(server=server, **options)
    return real(request.getfixturevalue("redis_url"))


@pytest.fixture
def make_real_client(redis_url: str) -> MakeClient:
    """The real server alone."""
    return real(redis_url)


def real(url: str) -> MakeClient:
    def make(**options: Any) -> redis.Redis:
        return redis.Redis.from_url(url, socket_timeout=30, **options)

    return make


@pytest.fixture
def fleet(make_client: MakeClient) -> Iterator[Fleet]:
    with closing(Fleet(make_client)) as fleet:
        yield fleet


@pytest.fixture
def purge() -> JobDefinition:
    """A job that is due every minute."""
    return job("purge")
