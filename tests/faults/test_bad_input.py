"""Whatever stands in Redis: its own job reports it, all others run, and nothing foreign is touched.

Generated, from seeds: a failure names the seed and says what had been done.
"""

import logging
from contextlib import suppress
from typing import Any

import fakeredis
import pytest
import redis

from jobrunner import Job, JobContext, JobRunner
from jobrunner.errors import JobRunnerError
from jobrunner.keys import FleetKeys, JobKeys, default_sync_key
from tests.faults.corruption import Corruption
from tests.support.wait import wait_for

NOON = 1_700_000_000.0
INTERVAL = 60

FLEET = FleetKeys.of("shop")
NAMES = ("before", "broken", "after")
BROKEN = JobKeys.of(default_sync_key("shop", "broken"))

#: Of other applications, some with names much like ours.
FOREIGN = ("shop:jobs", "{shop}", "{shop}:job:broke", "{shop}:job:broken:leases", "other:lease")


class Counts(Job):
    """Counts its runs."""

    interval = INTERVAL
    recover = True

    def __init__(self, name: str, sync_key: str | None = None) -> None:
        self.name = name
        self.sync_key = sync_key
        self.runs: list[float] = []

    def run(self, ctx: JobContext) -> None:
        self.runs.append(ctx.run.started_at)


class Shop:
    """Three jobs over one Redis, under a clock of the test's."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self.now = NOON
        self.jobs = {name: Counts(name) for name in NAMES}
        self.runner = JobRunner(
            jobs=self.jobs.values(),
            redis=client,
            namespace="shop",
            mode="greenlet",
            clock=lambda: self.now,
        )
        for number, key in enumerate(FOREIGN):
            [
                lambda k: client.set(k, "theirs"),
                lambda k: client.hset(k, "a", "theirs"),
                lambda k: client.rpush(k, "theirs"),
                lambda k: client.zadd(k, {"theirs": 1.5}),
            ][number % 4](key)
        self._foreign = self._dumps()

    def tick(self) -> None:
        """The next due time."""
        self.now += INTERVAL + 1
        self.runner.tick(wait=True)

    def runs(self, name: str) -> int:
        return len(self.jobs[name].runs)

    def assert_foreign_keys_are_as_they_were(self) -> None:
        assert self._foreign == self._dumps()
        ours = {*BROKEN.all(), *FLEET.all(), *FOREIGN}
        for name in NAMES:
            ours |= set(JobKeys.of(default_sync_key("shop", name)).all())
        found: Any = self.client.keys()
        assert set() == {key.decode() for key in found} - ours

    def _dumps(self) -> list[Any]:
        return [self.client.dump(key) for key in FOREIGN]


def judge(shop: Shop, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """Corrupt, tick, and see what the three jobs did."""
    caplog.clear()
    if seed % 2:
        shop.tick()  # there is something to corrupt
    corruption = Corruption(seed, shop.client, BROKEN, FLEET)
    corruption.apply()
    try:
        before = {name: shop.runs(name) for name in NAMES}
        for number in (1, 2, 3):
            shop.tick()
            assert before["before"] + number == shop.runs("before")
            assert before["after"] + number == shop.runs("after")
        status = {job.name: job for job in shop.runner.status()}
        assert {None} == {status[name].problem for name in ("before", "after")}
        told = [r for r in caplog.records if r.levelno >= logging.ERROR]
        assert "before" not in str(told)
        broken = status["broken"]
        if not shop.runs("broken") - before["broken"]:
            waits = broken.next_due is not None and broken.next_due > shop.now
            assert broken.problem or broken.running or waits, broken
            about = [record for record in told if "broken" in record.getMessage()]
            assert about or broken.running or waits, broken
        if any("is not run" in record.getMessage() for record in caplog.records):
            assert broken.problem or shop.runs("broken") > before["broken"], broken
        with suppress(JobRunnerError):  # a key of a wrong type
            shop.runner.history("broken")
        assert 3 <= len(shop.runner.history("after"))
        shop.assert_foreign_keys_are_as_they_were()
        shop.runner.stop()
    except BaseException as error:
        error.add_note(f"seed {seed}: {'; '.join(corruption.done)}")
        raise


@pytest.mark.parametrize("decade", range(30))
def test_what_is_corrupt_stops_its_own_job_alone(
    decade: int, caplog: pytest.LogCaptureFixture
) -> None:
    for seed in range(20 * decade, 20 * decade + 20):
        judge(Shop(fakeredis.FakeRedis(server=fakeredis.FakeServer())), seed, caplog)


def test_what_is_corrupt_in_a_real_redis_stops_its_own_job_alone(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        for seed in range(1000, 1060):
            client.flushdb()
            judge(Shop(client), seed, caplog)


def test_a_lease_that_has_lost_its_end_gets_one(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.hset(BROKEN.state, "run", "somebody")
        client.set(BROKEN.lease, "somebody")
        job = Counts("broken")
        runner = JobRunner(
            jobs=[job], redis=client, namespace="shop", mode="greenlet", lease=0.2, check_interval=1
        )
        runner.tick()
        assert 0 < client.pttl(BROKEN.lease) <= 200

        def taken_over() -> int:
            runner.tick(wait=True)
            return len(job.runs)

        wait_for(taken_over, message="a run after the one that nobody holds")
        assert ["somebody"] == [e.run_id for e in runner.history("broken")[1:]]
        runner.stop()


def test_an_entry_of_the_history_that_cannot_be_read_hides_no_other() -> None:
    shop = Shop(fakeredis.FakeRedis(server=fakeredis.FakeServer()))
    shop.tick()
    shop.client.xadd(BROKEN.history, {"outcome": "unheard of"})
    shop.tick()
    assert 2 == len(shop.runner.history("broken"))
    shop.runner.stop()


def test_a_definition_of_another_that_is_nested_too_deep_is_written_anew() -> None:
    client = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    client.hset(FLEET.jobs, "broken", "[" * 5000)
    shop = Shop(client)
    shop.tick()
    assert dict.fromkeys(NAMES, 1) == {name: shop.runs(name) for name in NAMES}
    assert b"origin" in client.hget(FLEET.jobs, "broken")
    shop.runner.stop()


def test_a_lease_of_a_wrong_type_is_the_problem_of_a_running_job() -> None:
    shop = Shop(fakeredis.FakeRedis(server=fakeredis.FakeServer()))
    shop.client.hset(BROKEN.state, "run", "somebody")
    shop.client.rpush(BROKEN.lease, "not", "ours")
    shop.tick()
    problems = {job.name: job.problem for job in shop.runner.status() if job.problem}
    assert ["broken"] == list(problems)
    assert "WRONGTYPE" in problems["broken"]
    shop.runner.stop()
