"""A Redis that cannot do what we need: one clear line, and nothing runs."""

from __future__ import annotations

from itertools import count

import pytest

from jobrunner import StoreError
from jobrunner.store.answers import Status
from jobrunner.store.redis import RedisStore
from jobrunner.store.servers import Replicas
from tests.contract.fleet import ask, job
from tests.support.ports import free_port
from tests.support.servers import RedisServer
from tests.support.wait import wait_for

from .conftest import MakeStore


def refuses(store: RedisStore, caplog: pytest.LogCaptureFixture) -> str:
    """The one line that a claim which is refused over and over leaves in the log."""
    for _ in range(3):
        with pytest.raises(StoreError):
            store.claim([ask(job("purge"), "run-1")])
    (record,) = caplog.records
    return record.getMessage()


def test_a_read_only_replica(
    own_redis: RedisServer, make_store: MakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    with own_redis.client() as client:
        client.replicaof("127.0.0.1", free_port())

    line = refuses(make_store(own_redis.url), caplog)

    assert "it is a read-only replica: name the master" in line


def test_a_server_without_memory(
    own_redis: RedisServer, make_store: MakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    with own_redis.client() as client:
        client.config_set("maxmemory", "1")

    assert "its memory is full" in refuses(make_store(own_redis.url), caplog)


def test_a_server_that_reads_its_data(
    own_redis: RedisServer, make_store: MakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    with own_redis.client() as client:
        client.mset({f"key-{number}": number for number in range(8000)})
    own_redis.stop(keep_data=True)
    slowly = ("--key-load-delay", "300", "--loading-process-events-interval-bytes", "1024")
    own_redis._options = slowly
    own_redis._launch()
    store = make_store(own_redis.url)

    def loads() -> bool:
        with pytest.raises(StoreError) as caught:
            store.claim([ask(job("purge"), "run-1")])
        return "BusyLoadingError" in str(caught.value) and "it has just" in str(caught.value)

    wait_for(loads, message="a server that loads")

    def claims() -> bool:
        try:
            (answer,) = store.claim([ask(job("purge"), "run-1")])
        except StoreError:
            return False
        return answer.status in (Status.CLAIMED, Status.AGAIN)

    wait_for(claims, message="a claim when it has read its data")
    assert 2 == len(caplog.records), "one line when it went, one when it was back"


class TestEviction:
    @pytest.mark.parametrize(
        ("policy", "lost"),
        [
            ("allkeys-lru", "last starts and leases"),
            ("volatile-ttl", "drop leases: a job could run a second time"),
        ],
    )
    def test_a_policy_that_may_drop_our_keys_is_told_once(
        self,
        own_redis: RedisServer,
        make_store: MakeStore,
        caplog: pytest.LogCaptureFixture,
        policy: str,
        lost: str,
    ) -> None:
        with own_redis.client() as client:
            client.config_set("maxmemory-policy", policy)
            client.config_set("maxmemory", "100mb")
        store = make_store(own_redis.url)

        for _ in range(2):
            store.announce([job("purge")])

        (record,) = caplog.records
        assert "WARNING" == record.levelname
        assert f"maxmemory-policy is {policy}" in record.getMessage()
        assert lost in record.getMessage()

    @pytest.mark.parametrize(
        ("policy", "memory"), [("noeviction", "100mb"), ("allkeys-lru", "0"), (None, "100mb")]
    )
    def test_what_drops_nothing_or_may_not_be_asked_is_silence(
        self,
        own_redis: RedisServer,
        make_store: MakeStore,
        caplog: pytest.LogCaptureFixture,
        policy: str | None,
        memory: str,
    ) -> None:
        with own_redis.client() as client:
            client.config_set("maxmemory-policy", policy or "allkeys-lru")
            client.config_set("maxmemory", memory)
            if policy is None:
                client.execute_command("ACL", "SETUSER", "default", "-info")
        store = make_store(own_redis.url)

        store.announce([job("purge")])

        assert store.link.up
        assert [] == caplog.records


def test_a_claim_that_too_few_replicas_have_is_given_back(
    own_redis: RedisServer, make_store: MakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    purge, report = job("purge"), job("report")
    with own_redis.client() as client:
        client.config_set("repl-diskless-sync-delay", 0)
    with RedisServer("--replicaof", f"127.0.0.1 {own_redis.port}") as replica:
        store = make_store(own_redis.url, replicas=Replicas(1, 500))

        def linked() -> bool:
            # The link is up a moment before the replica acknowledges what it is sent.
            with own_redis.client() as client:
                client.set("written", 1)
                return bool(client.wait(1, 200))

        wait_for(linked, message="the replica's link")
        (answer,) = store.claim([ask(purge, "run-1")])
        assert Status.CLAIMED == answer.status
        store.give_back([(purge, "run-1")])

        replica.pause()
        for number in (2, 3):
            with pytest.raises(StoreError, match="0 of at least 1 replicas"):
                store.claim([ask(purge, f"run-{number}")])
            assert not store.link.up
            store.give_back([(report, "nothing")])  # answered, and no sign of replicas
        (gone,) = caplog.records
        assert "JOBRUNNER_MIN_REPLICAS" in gone.getMessage()
        with own_redis.client() as client:
            assert not client.exists(purge.keys.sync_key, purge.keys.lease)
            assert client.hget(purge.keys.state, "run") is None
        # A look is answered all the same.
        look, claim = store.claim([ask(report), ask(purge, "run-4")])
        assert Status.DUE == look.status
        assert isinstance(claim, StoreError)
        replica.resume()

        numbers = count(5)  # what was given back is granted to nobody any more

        def claims() -> bool:
            try:
                (answer,) = store.claim([ask(purge, f"run-{next(numbers)}")])
            except StoreError:
                return False
            return bool(answer.status is Status.CLAIMED)

        wait_for(claims, message="a claim that the replica has")
        _, back = caplog.records
        assert "is back" in back.getMessage()
