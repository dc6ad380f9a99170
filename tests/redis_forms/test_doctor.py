"""The doctor before real servers: rights that are missing, answers that are refused, forms of
Redis that are spoken to as what they are not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobrunner.clock import trust_seconds
from jobrunner.engine.doctor import Patient, examine
from jobrunner.engine.findings import Finding, Level
from jobrunner.job import Job
from jobrunner.keys import JobKeys
from jobrunner.registry import Registry
from jobrunner.settings import Settings
from jobrunner.store.connect import client_from_url, servers_of
from jobrunner.store.leftovers import Leftovers
from jobrunner.store.probes import ATTEMPTS, Probes
from tests.support.redis_forms import ClusterOfSix, SentinelTrio
from tests.support.servers import RedisServer

from .test_rights import COMMANDS, give, url

Examine = Callable[..., dict[str, Finding]]


class Report(Job):
    name = "report"
    interval = 60

    def run(self, ctx: object) -> None: ...


class Purge(Report):
    name = "purge"
    sync_key = "PURGE_LAST_RUN"


@pytest.fixture
def examined() -> Iterator[Examine]:
    """Examines the server of a URL; the findings by what they are about."""
    opened = []

    def examined(where: str, **settings: Any) -> dict[str, Finding]:
        registry = Registry("shop")
        registry.register(Report())
        registry.register(Purge())
        servers = servers_of(client_from_url(where, 2.0))
        opened.append(servers)
        patient = Patient(
            settings=Settings(namespace="shop", redis_url=where, **settings),
            registry=registry,
            servers=servers,
            sessions=None,
            patched=False,
            trust=trust_seconds,
            wall=time.time,
            status=list,
            instances=list,
        )
        return {finding.check: finding for finding in examine(patient)}

    yield examined
    for servers in opened:
        servers.close()


def test_it_tries_what_the_documented_rule_grants() -> None:
    assert set(COMMANDS) == {name for name, _ in ATTEMPTS}


class TestOneServer:
    def test_that_is_well(self, own_redis: RedisServer, examined: Examine) -> None:
        found = examined(own_redis.url)

        assert found["Redis"].seen.startswith(f"Redis at 127.0.0.1:{own_redis.port} answers: ")
        assert {"Redis", "form", "latency", "clocks", "rights", "eviction", "replicas", "keys"} <= {
            check for check, finding in found.items() if finding.level is Level.OK
        }
        assert "20 PINGs: p50 " in found["latency"].seen
        # The tests' servers keep nothing.
        assert (Level.WARN, "set appendonly yes") == (
            found["persistence"].level,
            found["persistence"].mend,
        )
        with own_redis.client() as client:
            assert 0 == client.dbsize()

    def test_that_keeps_its_data(self, own_redis: RedisServer, examined: Examine) -> None:
        with own_redis.client() as client:
            client.config_set("save", "3600 1")
            assert "3600 1" in examined(own_redis.url)["persistence"].seen
            client.config_set("appendonly", "yes")
            assert "append-only file" == examined(own_redis.url)["persistence"].seen

    def test_that_may_forget_leases(self, own_redis: RedisServer, examined: Examine) -> None:
        with own_redis.client() as client:
            client.config_set("maxmemory", "50mb")
            client.config_set("maxmemory-policy", "volatile-lru")

        assert "volatile-lru" in examined(own_redis.url)["eviction"].seen

    def test_without_the_replicas_that_claims_want(
        self, own_redis: RedisServer, examined: Examine
    ) -> None:
        found = examined(own_redis.url, min_replicas=1)["replicas"]

        assert (Level.FAIL, True) == (found.level, "0 online" in found.seen)


class TestRights:
    @pytest.mark.parametrize("name", COMMANDS)
    def test_a_command_that_is_refused_is_named(
        self, own_redis: RedisServer, examined: Examine, name: str
    ) -> None:
        give(own_redis, f"-{name}")

        found = examined(url(own_redis))["rights"]

        assert (Level.FAIL, f"this user may not: {name}") == (found.level, found.seen)
        assert str(found.mend).startswith(f"grant +{name} (")
        with own_redis.client() as client:
            assert 0 == client.dbsize()

    def test_all_that_are_refused_are_named(
        self, own_redis: RedisServer, examined: Examine
    ) -> None:
        give(own_redis, "-xadd", "-get")

        assert "this user may not: get, xadd" == examined(url(own_redis))["rights"].seen

    def test_a_key_that_is_refused_is_named(
        self, own_redis: RedisServer, examined: Examine
    ) -> None:
        give(own_redis, "resetkeys", "~{shop}:*", "~{shop}")

        found = examined(url(own_redis))["rights"]

        assert Level.FAIL is found.level
        assert "'PURGE_LAST_RUN' and 3 more" in found.seen

    def test_wait_where_replicas_are_wanted(
        self, own_redis: RedisServer, examined: Examine
    ) -> None:
        give(own_redis)

        assert Level.OK is examined(url(own_redis))["rights"].level
        found = examined(url(own_redis), min_replicas=1)["rights"]
        assert "this user may not: wait" == found.seen

    def test_the_documented_rule_is_enough_and_what_is_not_told_is_no_failure(
        self, own_redis: RedisServer, examined: Examine
    ) -> None:
        give(own_redis)

        found = examined(url(own_redis))

        assert Level.OK is found["rights"].level
        assert Level.OK is found["latency"].level
        for check in ("Redis", "eviction", "persistence", "replicas"):
            assert Level.WARN is found[check].level
            assert "could not look" in found[check].seen
        assert [] == [one for one in found.values() if one.level is Level.FAIL]

    def test_a_wrong_password_is_a_failure(self, own_redis: RedisServer, examined: Examine) -> None:
        give(own_redis)

        found = examined(url(own_redis, password="wrong"))["Redis"]

        assert (Level.FAIL, True) == (found.level, "check user and password" in found.seen)


class TestSentinel:
    def test_the_master_and_its_replicas(self, trio: SentinelTrio, examined: Examine) -> None:
        found = examined(trio.url, min_replicas=2)

        assert "the master that Sentinels name" == found["form"].seen
        assert (Level.OK, True) == (found["replicas"].level, "2 online" in found["replicas"].seen)

    def test_a_replica_or_a_sentinel_in_its_place_is_a_failure(
        self, trio: SentinelTrio, examined: Examine
    ) -> None:
        master = trio.master()
        replica = next(server for server in trio.servers if server is not master)

        found = examined(replica.url)["form"]
        assert (Level.FAIL, "it is a replica, and takes no writes") == (found.level, found.seen)
        found = examined(trio.sentinels[0].url)["form"]
        assert (Level.FAIL, "it is a Sentinel, which holds no keys") == (found.level, found.seen)


class TestCluster:
    def test_its_slots_answer(self, cluster: ClusterOfSix, examined: Examine) -> None:
        found = examined(cluster.url)

        assert "a Cluster" == found["form"].seen
        assert (Level.OK, "the keys lie in 2 slots, and all answer") == (
            found["slots"].level,
            found["slots"].seen,
        )
        assert Level.OK is found["rights"].level
        with cluster.client() as client:
            assert [] == client.keys("*")

    def test_a_node_in_its_place_is_a_failure(
        self, cluster: ClusterOfSix, examined: Examine
    ) -> None:
        found = examined(cluster.nodes[0].url)["form"]

        assert (Level.FAIL, True) == (found.level, "redis+cluster://" in str(found.mend))

    def test_former_jobs_go_from_slots_of_their_own(self, cluster: ClusterOfSix) -> None:
        servers = servers_of(client_from_url(cluster.url, 2.0))
        leftovers = Leftovers(servers, "shop")
        keys = [JobKeys.of(f"OLD-{number}") for number in range(6)]
        assert 6 == len({servers.slot(job.sync_key) for job in keys})
        with cluster.client() as client:
            for job in keys:
                client.set(job.sync_key, 5)
                client.hset(job.state, "instance", "one")
                client.hset("{shop}:jobs", job.sync_key, f'{{"sync_key": "{job.sync_key}"}}')
            client.set(keys[0].lease, "run-1")

            announced = leftovers.announced()
            assert keys == [one.keys for one in announced]
            assert [{"one"}] * 6 == leftovers.runners(keys)
            assert ["held", *[None] * 5] == [leftovers.remove_keys(job) for job in keys]
            for one in announced:
                leftovers.forget(one)

            assert 3 == sum(client.exists(key) for key in keys[0].all())
            assert 0 == sum(client.exists(key) for job in keys[1:] for key in job.all())
            assert 0 == client.exists("{shop}:jobs")
            for key in keys[0].all():
                client.delete(key)
        servers.close()

    # Last: it leaves the Cluster without a master.
    def test_a_slot_that_does_not_answer_is_a_failure(self, cluster: ClusterOfSix) -> None:
        servers = servers_of(client_from_url(cluster.url, 0.5))
        probes = Probes(servers, "{shop}", trust_seconds)
        assert {} == probes.silent(["{shop}:jobs", "PURGE_LAST_RUN"])
        master = cluster.master_of("PURGE_LAST_RUN")
        master.pause()
        try:
            silent = probes.silent(["{shop}:jobs", "PURGE_LAST_RUN"])
        finally:
            master.resume()

        assert ["PURGE_LAST_RUN"] == list(silent)
        assert "Timeout" in silent["PURGE_LAST_RUN"]
        servers.close()
