"""Clients of the library's own: where a URL or a user's client points, by our own settings."""

from __future__ import annotations

from typing import Any

import fakeredis
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobrunner import ConfigurationError
from jobrunner.store.connect import (
    client_from_url,
    connector,
    own_client,
)
from jobrunner.store.servers import describe, is_in_process
from jobrunner.store.urls import read


def settings(client: redis.Redis) -> dict[str, Any]:
    return client.connection_pool.connection_kwargs


def retries(client: redis.Redis) -> int:
    """How often a connection of the client repeats what fails."""
    pool = client.connection_pool
    connection = pool.connection_class(**pool.connection_kwargs)
    calls = []

    def fail() -> None:
        calls.append(1)
        raise redis.exceptions.TimeoutError

    with pytest.raises(redis.exceptions.TimeoutError):
        connection.retry.call_with_retry(fail, lambda error: None)
    return len(calls) - 1


class TestFromAUrl:
    def test_where_it_points(self) -> None:
        client = client_from_url("redis://user:secret@cache:6380/3", 1.5)

        expected = {"host": "cache", "port": 6380, "db": 3, "username": "user"}
        assert expected.items() <= settings(client).items()
        assert "secret" == settings(client)["password"]
        assert redis.Connection is client.connection_pool.connection_class

    def test_the_schemes(self) -> None:
        rediss = client_from_url("rediss://cache:6380/3", 1.5)
        unix = client_from_url("unix:///run/redis.sock?db=3", 1.5)

        assert redis.SSLConnection is rediss.connection_pool.connection_class
        assert redis.UnixDomainSocketConnection is unix.connection_pool.connection_class
        assert ("/run/redis.sock", 3) == (settings(unix)["path"], settings(unix)["db"])

    @pytest.mark.parametrize(
        "url", ["redis://cache/0", "rediss://cache/0", "unix:///run/redis.sock"]
    )
    def test_each_call_has_the_time_limit_and_is_sent_once(self, url: str) -> None:
        client = client_from_url(url + "?socket_timeout=99&retry_on_timeout=yes", 1.5)

        assert 1.5 == settings(client)["socket_timeout"]
        assert 0 == retries(client)

    @pytest.mark.parametrize(
        "url", ["http://cache/0", "cache:6379", "", "redis", "redis+other://cache", "REDIS//x"]
    )
    def test_another_scheme_is_quoted_with_those_that_are_allowed(self, url: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            client_from_url(url, 1.0)

        assert f"JOBRUNNER_REDIS_URL = {url!r}" in str(caught.value)
        assert "one of redis, rediss, unix" in str(caught.value)

    @pytest.mark.parametrize(
        "url",
        [
            "redis://cache:port/0",
            "redis://cache:99999/0",
            "redis://[::1/0",
            "redis://cache?socket_timeout=soon",
            "redis://cache?colour=red",
        ],
    )
    def test_a_url_that_cannot_be_read_is_quoted(self, url: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            client_from_url(url, 1.0)

        assert f"JOBRUNNER_REDIS_URL = {url!r}" in str(caught.value)
        assert "redis://localhost:6379/0" in str(caught.value)

    @pytest.mark.parametrize(
        "url",
        [
            "http://user:geheim@cache/0",
            "http://:geheim@cache/0",
            "redis//:geheim@cache/0",
            "redis:geheim@cache/0",
            "geheim@cache/0",
            "redis://:geheim@cache:port/0",
            "redis://:geh@geheim@[cache/0",
            "redis://:geheim/geheim@cache/0",
            "redis://:geheim#geheim@cache:port/0",
            "unix//:geheim@/run/redis.sock",
            "http://cache/0?password=geheim&db=1",
            "redis://cache:port/0?db=1&password=geheim",
        ],
    )
    def test_no_error_shows_the_password(self, url: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            client_from_url(url, 1.0)

        error: BaseException | None = caught.value
        assert "JOBRUNNER_REDIS_URL = " in str(error)
        assert "***" in str(error)
        # As a log shows it: with the errors that it came from.
        while error is not None:
            assert "geheim" not in str(error)
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


class TestSentinelAndCluster:
    def test_sentinels_are_asked_for_the_master(self) -> None:
        target = read(
            "redis+sentinel://user:pa%40ss@one:1,two,[::1]:3/mymaster/5"
            "?client_name=web&sentinel_password=other"
        )

        assert ("sentinel", "mymaster") == (target.form, target.service)
        assert [("one", 1), ("two", 26379), ("::1", 3)] == target.addresses
        assert "redis://user:pa%40ss@one:1/5?client_name=web" == target.url
        assert "redis://:other@one:1?client_name=web" == target.sentinel_url
        servers = client_from_url("redis+sentinel://one,two:2/mymaster", 1.5)
        assert "'mymaster', of the Sentinels at one:26379, two:2" in servers.where

    def test_the_nodes_of_a_cluster(self) -> None:
        target = read("redis+cluster://user:secret@one:1,two?client_name=web")

        assert "cluster" == target.form
        assert [("one", 1), ("two", 6379)] == target.addresses
        assert "redis://user:secret@one:1?client_name=web" == target.url
        assert "the Redis Cluster at one:6379" == client_from_url("redis+cluster://one", 1).where

    @pytest.mark.parametrize("form", ["sentinel", "cluster"])
    def test_tls_with_everybody(self, form: str) -> None:
        target = read(
            f"rediss+{form}://one,two/{'s' if form == 'sentinel' else ''}?ssl_ca_certs=/ca"
        )

        for url in filter(None, (target.url, target.sentinel_url)):
            pool = redis.ConnectionPool.from_url(url)
            assert redis.SSLConnection is pool.connection_class
            assert "/ca" == pool.connection_kwargs["ssl_ca_certs"]

    @pytest.mark.parametrize(
        ("url", "reason"),
        [
            ("redis+sentinel://cache", "the service is missing"),
            ("redis+sentinel://cache/", "the service is missing"),
            ("redis+sentinel://:geheim@cache/mymaster/x", "the number of a database only"),
            ("redis+sentinel:///mymaster", "a host is missing"),
            ("redis+sentinel://one,/mymaster", "a host is missing"),
            ("redis+sentinel://cache/mymaster?colour=red", "colour"),
            ("redis+sentinel://:geheim@cache:port/mymaster", "it cannot be read"),
            ("redis+cluster://:geheim@cache/3", "a Cluster has no database but 0"),
            ("redis+cluster://cache?db=3", "a Cluster has no database but 0"),
            ("redis+cluster://cache?sentinel_password=geheim", "belong to redis+sentinel"),
        ],
    )
    def test_what_cannot_be_read_is_quoted(self, url: str, reason: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            client_from_url(url, 1.0)

        assert reason in str(caught.value)
        assert "JOBRUNNER_REDIS_URL = " in str(caught.value)
        assert "geheim" not in str(caught.value)

    def test_a_lookup_takes_no_longer_than_a_call(self) -> None:
        sentinels = client_from_url("redis+sentinel://one,two,three/mymaster", 1.5)._source

        limits = [settings(member.client)["socket_timeout"] for member in sentinels._sentinels]
        assert [0.5] * 3 == limits


class TestLikeOneThatWasHandedIn:
    def test_where_it_points_is_taken_over(self) -> None:
        user_s = redis.Redis(host="cache", port=6380, db=3, password="secret", client_name="web")
        own = own_client(user_s, 1.5)

        for name in ("host", "port", "db", "password", "client_name"):
            assert settings(user_s)[name] == settings(own)[name]
        assert own.connection_pool is not user_s.connection_pool

    def test_retries_time_limits_and_decoding_are_not(self) -> None:
        user_s = redis.Redis(
            socket_timeout=99,
            socket_connect_timeout=99,
            retry=Retry(NoBackoff(), 10),
            retry_on_error=[redis.exceptions.TimeoutError],
            decode_responses=True,
            encoding="latin-1",
            health_check_interval=7,
        )
        own = own_client(user_s, 1.5)

        assert (1.5, 1.5) == (
            settings(own)["socket_timeout"],
            settings(own)["socket_connect_timeout"],
        )
        assert 0 == retries(own)
        encoder = own.connection_pool.get_encoder()
        assert (False, "utf-8") == (encoder.decode_responses, encoder.encoding)
        assert 7 != settings(own).get("health_check_interval")
        assert 10 == retries(user_s)
        assert 99 == settings(user_s)["socket_timeout"]

    @pytest.mark.parametrize(
        "client",
        [
            redis.Redis(unix_socket_path="/run/redis.sock"),
            redis.Redis(ssl=True),
            redis.Redis(protocol=3),
            redis.Redis(
                connection_pool=redis.BlockingConnectionPool(host="cache", max_connections=1)
            ),
        ],
        ids=["unix", "ssl", "RESP3", "blocking pool"],
    )
    def test_any_client_will_do(self, client: redis.Redis) -> None:
        own = own_client(client, 1.5)

        assert 0 == retries(own)
        assert client.connection_pool.connection_class is own.connection_pool.connection_class
        assert settings(client).get("protocol") == settings(own).get("protocol")

    def test_over_fakeredis_it_is_the_same_server(self) -> None:
        user_s = fakeredis.FakeRedis(decode_responses=True)
        user_s.set("key", "value")

        own = own_client(user_s, 1.5)

        assert b"value" == own.get("key")
        own.set("key", "other")
        assert "other" == user_s.get("key")
        assert is_in_process(own)
        assert not is_in_process(redis.Redis())

    @pytest.mark.parametrize("client", ["redis://cache/0", fakeredis.FakeRedis, object(), 7])
    def test_what_is_no_client_is_quoted(self, client: Any) -> None:
        with pytest.raises(ConfigurationError) as caught:
            own_client(client, 1.5)

        assert f"redis={client!r}: it must be a redis.Redis client" in str(caught.value)


def test_the_client_handed_in_goes_before_the_url() -> None:
    server = fakeredis.FakeServer()
    client = fakeredis.FakeRedis(server=server)
    client.set("key", "value")

    connect = connector(client, "redis://cache:6380/3")

    assert b"value" == connect(1.5).get("key")
    assert "cache" == settings(connector(None, "redis://cache:6380/3")(1.5))["host"]


def test_a_bad_url_or_client_is_an_error_before_anything_is_asked() -> None:
    with pytest.raises(ConfigurationError, match="JOBRUNNER_REDIS_URL"):
        connector(None, "http://cache")
    with pytest.raises(ConfigurationError, match="redis='cache'"):
        connector("cache", "redis://cache")  # type: ignore[arg-type]


def test_where_a_client_connects_is_told_without_its_password() -> None:
    assert "Redis at cache:6380" == describe(redis.Redis.from_url("redis://:pw@cache:6380/3"))
    assert "Redis at unix:/run/r.sock" == describe(redis.Redis(unix_socket_path="/run/r.sock"))
    assert "Redis at localhost:6379" == describe(redis.Redis.from_url("redis://"))
