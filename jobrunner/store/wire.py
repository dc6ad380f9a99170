"""Redis's protocol, as far as calls of scripts are written in it here.

redis-py goes through every word of a command in Python, and a claim of 500 jobs has thousands of
them. A command is an array of bulk strings (Redis serialization protocol specification), so what
never changes, the keys of a job, is written once a job; the rest is put behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import redis
from redis.exceptions import ResponseError

#: Before redis-py 5.3 a pool wants to hear which command a connection is for.
_NAMED = () if redis.VERSION >= (5, 3) else ("EVALSHA",)


def bulk(word: Any) -> bytes:
    """One word of a command."""
    if not isinstance(word, bytes):
        word = (word if isinstance(word, str) else str(word)).encode()
    return b"$%d\r\n%b\r\n" % (len(word), word)


def command(*words: Any) -> bytes:
    """A whole command."""
    return b"*%d\r\n%b" % (len(words), b"".join(map(bulk, words)))


class Batch:
    """What one execution of a script takes: keys of one slot, and its arguments."""

    __slots__ = ("_arguments", "_keys", "_number")

    def __init__(self, keys: Iterable[Any] = (), arguments: Iterable[Any] = ()) -> None:
        self._keys = [bulk(key) for key in keys]
        self._number = len(self._keys)
        self._arguments = [bulk(argument) for argument in arguments]

    def add_keys(self, number: int, written: bytes) -> None:
        """Add so many keys that are written as bulk strings already."""
        self._keys.append(written)
        self._number += number

    def add(self, *arguments: Any) -> None:
        """Add arguments."""
        self._arguments += map(bulk, arguments)

    def command(self, *words: Any) -> bytes:
        """The command that begins with `words` and goes on with these keys and arguments."""
        number = len(words) + 1 + self._number + len(self._arguments)
        head = [b"*%d\r\n" % number, *map(bulk, words), bulk(self._number)]
        return b"".join([*head, *self._keys, *self._arguments])


def exchange(client: redis.Redis, commands: Sequence[bytes]) -> list[Any]:
    """Send commands in one round trip, and once. Returns what each was answered; a refusal is its
    `ResponseError`. Raises the errors of the connection, after which that is closed.
    """
    pool: Any = client.connection_pool
    connection = pool.get_connection(*_NAMED)
    try:
        connection.send_packed_command([b"".join(commands)])
        return [_answer(connection) for _ in commands]
    except BaseException:  # a timeout of the caller too: its answer must not reach the next one
        connection.disconnect()
        raise
    finally:
        pool.release(connection)


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as refused:
        return refused
