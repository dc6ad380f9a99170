"""Calls as Redis's protocol has them."""

import pytest
import redis

from jobrunner.store.wire import Batch, bulk, command, exchange
from tests.support.servers import RedisServer
from tests.support.wait import wait_for


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("GET", "$3\r\nGET\r\n"),
        ("", "$0\r\n\r\n"),
        (500, "$3\r\n500\r\n"),
        ("schlüssel", "$10\r\nschlüssel\r\n"),
        ("a\r\nb", "$4\r\na\r\nb\r\n"),
    ],
)
def test_a_word_says_how_many_bytes_it_has(word: object, written: str) -> None:
    assert written == bulk(word)


def test_a_command_says_how_many_words_it_has() -> None:
    assert b"*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$3\r\n500\r\n" == command("WAIT", 1, 500)


def test_a_batch_counts_its_keys_and_its_words() -> None:
    batch = Batch(["a"], [1])
    batch.add_keys(2, bulk("b") + bulk("c"))
    batch.add("x", "")

    assert command("EVALSHA", "abc", 3, "a", "b", "c", 1, "x", "") == batch.command(
        "EVALSHA", "abc"
    )


class TestExchange:
    def test_each_command_has_its_answer(self, own_redis: RedisServer) -> None:
        with own_redis.client() as client:
            asked = [command("SET", "ü", "é"), command("GET", "ü"), command("GET", "none")]
            assert [b"OK", "é".encode(), None] == exchange(client, asked)

    def test_a_refusal_is_an_answer(self, own_redis: RedisServer) -> None:
        with own_redis.client() as client:
            ok, refused, pong = exchange(
                client, [command("SET", "a", "b"), command("HGET", "a", "b"), command("PING")]
            )
        assert (b"OK", b"PONG") == (ok, pong)
        assert isinstance(refused, redis.ResponseError)
        assert str(refused).startswith("WRONGTYPE")

    def test_what_comes_too_late_reaches_nobody_else(self, own_redis: RedisServer) -> None:
        with redis.Redis(port=own_redis.port, socket_timeout=0.2) as client:
            client.rpush("list", "late")
            own_redis.pause()
            try:
                with pytest.raises(redis.TimeoutError):
                    exchange(client, [command("LPOP", "list")])
            finally:
                own_redis.resume()
            wait_for(lambda: not own_redis.client().exists("list"), message="the late answer")
            assert [b"PONG"] == exchange(client, [command("PING")])

    def test_a_server_that_is_away_is_an_error(self, own_redis: RedisServer) -> None:
        with own_redis.client() as client:
            own_redis.stop()
            try:
                with pytest.raises((redis.RedisError, OSError)):
                    exchange(client, [command("PING")])
            finally:
                own_redis.start()
            assert [b"PONG"] == exchange(client, [command("PING")])
