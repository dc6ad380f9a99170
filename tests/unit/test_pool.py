"""The pool of connections: which one is lent, and which are closed."""

from __future__ import annotations

from typing import Any

import redis

from jobrunner.store.pool import QuickPool


class Connection:
    """One that opens nothing. Kinds that are not redis-py's plain ones are asked themselves."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self._sock: object | None = object()
        self.waits: bool | Exception = False
        self.closed = 0

    def can_read(self) -> bool:
        if isinstance(self.waits, Exception):
            raise self.waits
        return self.waits

    def disconnect(self) -> None:
        self._sock = None
        self.closed += 1


def pool() -> QuickPool:
    return QuickPool(Connection, host="cache", db=3)


def test_connections_have_the_settings_of_the_pool() -> None:
    lent = pool().get_connection()
    assert ("cache", 3) == (lent.settings["host"], lent.settings["db"])


def test_one_that_was_given_back_is_lent_again() -> None:
    ours = pool()
    lent = ours.get_connection()
    ours.release(lent)
    assert lent is ours.get_connection("EVALSHA")  # as redis-py names the command before 5.3
    assert 0 == lent.closed


def test_nobody_gets_what_another_has() -> None:
    ours = pool()
    ours.release(ours.get_connection())
    lent = [ours.get_connection() for _ in range(3)]
    assert 3 == len(set(map(id, lent)))


def test_one_that_is_not_silent_is_closed_before_it_is_lent_and_connects_anew() -> None:
    for waits in (True, redis.ConnectionError("closed"), redis.TimeoutError(), OSError(9, "bad")):
        ours = pool()
        lent = ours.get_connection()
        lent.waits = waits
        ours.release(lent)
        assert lent is ours.get_connection()
        assert (1, None) == (lent.closed, lent._sock)


def test_one_that_is_not_connected_is_not_asked() -> None:
    ours = pool()
    lent = ours.get_connection()
    lent._sock, lent.waits = None, AssertionError("it has no socket to ask")
    ours.release(lent)
    assert lent is ours.get_connection()


def test_all_are_closed_or_those_alone_that_nobody_has() -> None:
    ours = pool()
    lent, idle = ours.get_connection(), ours.get_connection()
    ours.release(idle)

    ours.disconnect(inuse_connections=False)
    assert [0, 1] == [lent.closed, idle.closed]
    ours.disconnect()
    assert [1, 2] == [lent.closed, idle.closed]
