"""What the runtime tests share."""

from collections.abc import Callable, Iterator

import pytest

from jobrunner import Job, JobContext, JobRunner
from tests.support.servers import RedisServer


class _Named(Job):
    interval = 3600.0

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, ctx: JobContext) -> None:
        raise AssertionError("an observer runs no jobs")


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis that the test may stop."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def observe() -> Iterator[Callable[..., JobRunner]]:
    """Makes a runner that only looks: observe(redis_url, namespace, "job", …).history("job")."""
    observers: list[JobRunner] = []

    def make(redis_url: str, namespace: str, *names: str) -> JobRunner:
        jobs = [_Named(name) for name in names]
        observers.append(JobRunner(jobs=jobs, redis_url=redis_url, namespace=namespace))
        return observers[-1]

    yield make
    for observer in observers:
        observer.stop()
