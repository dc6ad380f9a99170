"""Calls as Redis's protocol has them."""

import socket
import struct

import pytest
import redis

from jobrunner.store.connect import own_client
from jobrunner.store.pool import is_silent
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

    def test_a_connection_that_the_server_closed_is_noticed_before_it_is_lent(
        self, own_redis: RedisServer
    ) -> None:
        with own_redis.client() as like, own_client(like, 2.0) as client:
            assert [b"PONG"] == exchange(client, [command("PING")])
            for _ in range(3):
                like.client_kill_filter(_type="normal", skipme=True)
                assert [b"PONG"] == exchange(client, [command("PING")])
                assert client.ping()

    def test_an_answer_that_nobody_waits_for_is_noticed_too(self, own_redis: RedisServer) -> None:
        with own_redis.client() as like, own_client(like, 2.0) as client:
            connection = client.connection_pool.get_connection()
            connection.send_packed_command([command("ECHO", "an old answer")])
            wait_for(lambda: not is_silent(connection), message="the old answer")
            client.connection_pool.release(connection)

            assert [b"PONG"] == exchange(client, [command("PING")])

    def test_a_look_reads_nothing_and_leaves_the_time_limit(self, own_redis: RedisServer) -> None:
        with own_redis.client() as like, own_client(like, 2.0) as client:
            connection = client.connection_pool.get_connection()
            assert is_silent(connection)  # it is not connected
            connection.send_packed_command([command("PING")])
            wait_for(lambda: not is_silent(connection), message="an answer")

            assert 2.0 == connection._sock.gettimeout()
            assert b"PONG" == connection.read_response()
            assert is_silent(connection)
            assert 2.0 == connection._sock.gettimeout()
            client.connection_pool.release(connection)

    def test_a_connection_that_was_reset_is_not_silent(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            connection = redis.Connection(port=listening.getsockname()[1])
            connection._sock = socket.create_connection(listening.getsockname())
            accepted, _ = listening.accept()
            assert is_silent(connection)
            # Closed without a farewell, as by a machine that started anew.
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            accepted.close()

            assert not is_silent(connection)
            connection.disconnect()

    def test_a_server_that_is_away_is_an_error(self, own_redis: RedisServer) -> None:
        with own_redis.client() as client:
            own_redis.stop()
            try:
                with pytest.raises((redis.RedisError, OSError)):
                    exchange(client, [command("PING")])
            finally:
                own_redis.start()
            assert [b"PONG"] == exchange(client, [command("PING")])
