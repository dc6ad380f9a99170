"""Every call to a real Redis has a time limit and is sent once; what fails is a `StoreError`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any

import pytest
import redis

from jobrunner.clock import RedisClock, trust_seconds
from jobrunner.errors import StoreError
from jobrunner.job import JobDefinition
from jobrunner.run import Outcome
from jobrunner.store import connect
from jobrunner.store.answers import Ending, Status
from jobrunner.store.redis import RedisStore
from tests.support.ports import free_port
from tests.support.servers import RedisServer
from tests.support.wait import wait_for

from .fleet import NOTHING_KNOWN, ask
from .silence import SilentProxy

#: Seconds: the limit of each call here.
LIMIT = 0.2


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A server that these tests freeze and stop."""
    with RedisServer() as server:
        yield server


@contextmanager
def store_over(client: redis.Redis) -> Iterator[RedisStore]:
    store = RedisStore(
        client,
        namespace="shop",
        instance="one",
        lease_ms=30_000,
        history=100,
        forget_after_ms=60_000,
        clock=RedisClock(),
    )
    with closing(store):
        yield store


@contextmanager
def like_one_handed_in(url: str) -> Iterator[redis.Redis]:
    """A client like a user's: that one has no time limit, and retries as redis-py likes to."""
    with redis.Redis.from_url(url) as handed_in:
        yield connect.own_client(handed_in, LIMIT)


@contextmanager
def from_url(url: str) -> Iterator[redis.Redis]:
    yield connect.client_from_url(url, LIMIT)


@pytest.fixture(params=[from_url, like_one_handed_in])
def client_of(request: pytest.FixtureRequest) -> Callable[[str], AbstractContextManager[Any]]:
    """Each way in which the library makes a client for what a URL points to."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def empty(server: RedisServer) -> RedisServer:
    """The server without data or scripts."""
    with server.client() as client:
        client.flushall()
        client.script_flush()
    return server


@pytest.fixture
def store(
    empty: RedisServer, client_of: Callable[[str], AbstractContextManager[Any]]
) -> Iterator[RedisStore]:
    with client_of(empty.url) as client, store_over(client) as store:
        yield store


@contextmanager
def frozen(server: RedisServer) -> Iterator[None]:
    server.pause()
    try:
        yield
    finally:
        server.resume()


Call = Callable[[RedisStore, JobDefinition], object]

CALLS: dict[str, tuple[Call, str]] = {
    "claim": (lambda store, purge: store.claim([ask(purge, "run-1")]), "evalsha"),
    "give back": (lambda store, purge: store.give_back([(purge, "run-1")]), "evalsha"),
    "renew": (lambda store, purge: store.renew([(purge, "run-1")]), "evalsha"),
    "finish": (
        lambda store, purge: store.finish(
            [Ending(purge, "run-1", NOTHING_KNOWN, Outcome.SUCCEEDED, "", 0)]
        ),
        "evalsha",
    ),
    "announce": (lambda store, purge: store.announce([purge]), "hmget"),
    "forget instance": (lambda store, purge: store.forget_instance(), "zrem"),
    "now": (lambda store, purge: store.now_ms(), "time"),
    "peek": (lambda store, purge: store.peek([purge.keys]), "hgetall"),
    "history": (lambda store, purge: store.history(purge, 10), "xrevrange"),
}


def executions(server: RedisServer, command: str) -> int:
    """How often the server was given the command by clients; scripts' own calls count too."""
    with server.client() as client:
        stats = client.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])


@pytest.mark.parametrize("name", CALLS)
def test_a_call_that_times_out_was_sent_once(
    empty: RedisServer,
    client_of: Callable[[str], AbstractContextManager[Any]],
    purge: JobDefinition,
    name: str,
) -> None:
    call, command = CALLS[name]
    with store_over(connect.client_from_url(empty.url, 5)) as other:
        call(other, purge)  # a script is known from now on
    with empty.client() as client:
        client.config_resetstat()

    with (
        SilentProxy(empty.port, command) as proxy,
        client_of(proxy.url) as client,
        store_over(client) as store,
    ):
        began = trust_seconds()
        with pytest.raises(StoreError, match=r"(?i)timeout"):
            call(store, purge)
        took = trust_seconds() - began

    assert LIMIT / 2 < took, "it did not wait for the answer"
    # The server works off what was sent before it sees that the connection is gone.
    wait_for(lambda: executions(empty, command), message=f"the execution of {command}")
    assert 1 == executions(empty, command)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_to_a_frozen_server_ends_in_time(
    server: RedisServer, store: RedisStore, purge: JobDefinition, name: str
) -> None:
    call, _ = CALLS[name]
    store.forget_instance()  # connected

    with frozen(server):
        began = trust_seconds()
        with pytest.raises(StoreError):
            call(store, purge)
        took = trust_seconds() - began

    # For a busy machine far above the limit; ten retries with their pauses took 5 s.
    assert took < LIMIT + 3


def test_a_claim_that_timed_out_took_place_and_is_answered_when_sent_again(
    server: RedisServer, store: RedisStore, purge: JobDefinition
) -> None:
    store.claim([])
    with frozen(server), pytest.raises(StoreError):
        store.claim([ask(purge, "run-1")])
    with server.client() as client:
        wait_for(lambda: client.exists(purge.keys.lease), message="the claim to take place")

    (answer,) = store.claim([ask(purge, "run-1")])

    assert (Status.AGAIN, "run-1") == (answer.status, answer.known.running)


def test_a_late_answer_is_not_taken_for_the_next_one_s(
    server: RedisServer, store: RedisStore, purge: JobDefinition
) -> None:
    store.claim([])
    with frozen(server), pytest.raises(StoreError):
        store.claim([ask(purge, "run-1")])

    assert [True] == store.renew([(purge, "run-1")])
    assert [] == store.history(purge, 10)


def test_connecting_to_nobody_is_a_store_error_at_once(purge: JobDefinition) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    with store_over(connect.client_from_url(url, LIMIT)) as store:
        for call, _ in CALLS.values():
            with pytest.raises(StoreError, match="refused"):
                call(store, purge)


def test_redis_away_and_back_is_one_line_each(
    server: RedisServer,
    store: RedisStore,
    purge: JobDefinition,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store.claim([])
    caplog.set_level(logging.INFO, "jobrunner")
    server.stop()
    try:
        for _ in range(3):
            with pytest.raises(StoreError):
                store.claim([ask(purge, "run-1")])
            with pytest.raises(StoreError):
                store.history(purge, 10)
        assert not store.link.up
        (gone,) = caplog.records
    finally:
        server.start()
    caplog.clear()

    for _ in range(3):
        store.claim([ask(purge, "run-1")])

    assert store.link.up
    (back,) = caplog.records
    assert logging.INFO < gone.levelno
    assert f"127.0.0.1:{server.port}" in gone.getMessage()
    assert "is back" in back.getMessage()


def test_a_redis_that_takes_no_writes_is_a_store_error_and_nothing_is_claimed(
    server: RedisServer, store: RedisStore, purge: JobDefinition
) -> None:
    store.claim([])
    with server.client() as client:
        client.replicaof("127.0.0.1", free_port())
        try:
            for run_id in ("run-1", ""):  # a mere look must not seem well either
                with pytest.raises(StoreError):
                    store.claim([ask(purge, run_id)])
                assert not store.link.up
        finally:
            client.replicaof("NO", "ONE")
        assert not client.exists(*purge.keys.all())


def test_a_redis_without_memory_is_a_store_error_and_nothing_is_claimed(
    server: RedisServer, store: RedisStore, purge: JobDefinition
) -> None:
    store.claim([])
    with server.client() as client:
        client.config_set("maxmemory", "1")
        try:
            with pytest.raises(StoreError):
                store.claim([ask(purge, "run-1")])
        finally:
            client.config_set("maxmemory", "0")
        assert not client.exists(purge.keys.sync_key, purge.keys.lease)


def test_a_renewal_that_fails_tells_neither_the_link_nor_the_log(
    server: RedisServer,
    store: RedisStore,
    purge: JobDefinition,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is called in the keeper's thread, which may touch neither."""
    store.claim([])
    with frozen(server), pytest.raises(StoreError):
        store.renew([(purge, "run-1")])

    assert store.link.up
    assert [] == caplog.records


def test_a_tick_s_worth_of_jobs_is_one_command(
    server: RedisServer, store: RedisStore, purge: JobDefinition
) -> None:
    store.claim([ask(purge)])
    with server.client() as client:
        client.config_resetstat()

    store.claim([ask(purge, "run-1")])

    assert 1 == executions(server, "evalsha")
    assert 0 == executions(server, "eval")
    assert 0 == executions(server, "script|load")
