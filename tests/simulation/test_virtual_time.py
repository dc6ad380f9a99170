"""Virtual time: the hub waits by it, in order; a strand stands still; nothing stays behind."""

from __future__ import annotations

import time

import gevent
import pytest
from fakeredis import FakeRedis
from gevent.event import Event

from jobrunner import every
from jobrunner.job import FunctionJob, JobDefinition
from jobrunner.store.redis import RedisStore

from .plan import make
from .server import EPOCH, Server
from .story import tell
from .virtual_time import Strand, VirtualTime


@pytest.fixture
def world() -> VirtualTime:
    return VirtualTime()


def run(world: VirtualTime, until: float) -> None:
    while world.step(until):
        pass


def test_sleeps_and_waits_end_in_order_and_at_once(world: VirtualTime) -> None:
    seen: list[tuple[float, str]] = []
    bell = Event()

    def sleeper(name: str, seconds: float) -> None:
        gevent.sleep(seconds)
        seen.append((world.now, name))

    def waiter() -> None:
        while not bell.wait(30):
            seen.append((world.now, "nothing"))
        seen.append((world.now, "rang"))

    with world.installed():
        gevent.spawn(sleeper, "late", 3000)
        gevent.spawn(sleeper, "soon", 10)
        gevent.spawn(waiter)
        world.at(45, bell.set)
        world.settle()
        run(world, 1e6)

    assert [(10, "soon"), (30, "nothing"), (45, "rang"), (3000, "late")] == seen


def test_a_join_and_a_timeout_wait_by_it_too(world: VirtualTime) -> None:
    seen: list[tuple[float, str]] = []

    def both() -> None:
        gevent.joinall([gevent.spawn(gevent.sleep, 20)], timeout=5)
        seen.append((world.now, "joined no longer"))
        with gevent.Timeout(7, False):
            gevent.sleep(100)
        seen.append((world.now, "slept no longer"))

    with world.installed():
        gevent.spawn(both)
        world.settle()
        run(world, 1000)

    assert [(5, "joined no longer"), (12, "slept no longer")] == seen


def test_a_strand_that_stands_still_misses_nothing_and_a_dead_one_does_nothing(
    world: VirtualTime,
) -> None:
    seen: list[tuple[float, str]] = []
    frozen, dead = Strand("frozen"), Strand("dead")

    def twice(name: str) -> None:
        try:
            for _ in range(2):
                gevent.sleep(10)
                seen.append((world.now, name))
        finally:
            seen.append((world.now, f"{name} ends"))

    with world.installed():
        for strand in (frozen, dead):
            with world.acting_for(strand):
                gevent.spawn(twice, strand.name)
                world.settle()
        frozen.stops += 1
        dead.dead = True
        world.at(50, world.go_on, frozen)
        run(world, 1000)

        assert [(50, "frozen"), (60, "frozen"), (60, "frozen ends")] == seen


def test_a_fast_clock_makes_its_timers_short(world: VirtualTime) -> None:
    seen: list[float] = []

    def sleeper() -> None:
        gevent.sleep(10)
        seen.append(world.now)

    with world.installed(), world.acting_for(Strand("fast", rate=1.25)):
        gevent.spawn(sleeper)
        world.settle()
        run(world, 1000)

    assert [8] == seen


def test_redis_goes_by_it(world: VirtualTime) -> None:
    redis = Server(lambda: world.now)
    job = JobDefinition.of(FunctionJob(print, every(seconds=1), name="job"), "shop")
    with redis.installed():
        redis.serve(("SET", job.keys.lease, "run", "PX", 1500), {})
        redis.serve(("HSET", job.keys.state, "run", "run", "token", "7"), {})
        before = redis.look(job.keys)
        world.now = 1.4
        left = redis.serve(("PTTL", job.keys.lease), {})
        moment = redis.serve(("TIME",), {})
        world.now = 1.6
        after = redis.look(job.keys)

        assert (EPOCH + 1.5, 7) == (before.lease_until, before.token)
        assert (100, (EPOCH + 1.4)) == (left, moment[0] + moment[1] / 1e6)
        assert (None, "run") == (after.lease_until, after.run)
        assert redis.serve(("GET", job.keys.lease), {}) is None


def test_redis_loses_what_came_after_a_snapshot(world: VirtualTime) -> None:
    redis = Server(lambda: world.now)
    with redis.installed():
        redis.serve(("SET", "key", "before"), {})
        snapshot = redis.snapshot()
        redis.serve(("SET", "key", "after"), {})
        redis.serve(("SET", "other", "after"), {})
        redis.restore(snapshot)

        assert b"before" == redis.serve(("GET", "key"), {})
        assert redis.serve(("GET", "other"), {}) is None


def test_nothing_of_it_stays_behind() -> None:
    hub = gevent.get_hub()
    before = (hub.loop, gevent.spawn, time.time, RedisStore.claim)

    tell(make(0))

    assert before == (hub.loop, gevent.spawn, time.time, RedisStore.claim)
    seconds, _ = FakeRedis().time()
    assert abs(time.time() - seconds) < 60
