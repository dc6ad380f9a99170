"""An answer is waited for without giving up the hub, and not for ever."""

from __future__ import annotations

import socket

import gevent

from jobrunner.engine.busy import wait_here
from jobrunner.store.wire import command, exchange, exchanging
from tests.support.servers import RedisServer


def test_nobody_goes_first(own_redis: RedisServer) -> None:
    others: list[str] = []
    gevent.spawn(others.append, "another")
    with own_redis.client() as client:
        assert [b"PONG"] == exchange(client, [command("PING")], wait=wait_here)
        assert [b"PONG"] * 2 == list(exchanging(client, [command("PING")] * 2, wait=wait_here))
    assert [] == others


def test_what_does_not_come_is_not_waited_for_here() -> None:
    one, other = socket.socketpair()
    with one, other:
        wait_here(one.fileno())  # returns
        other.send(b"x")
        wait_here(one.fileno())
        assert b"x" == one.recv(1)
