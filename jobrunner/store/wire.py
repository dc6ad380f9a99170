"""Redis's protocol, as far as calls of scripts are written in it here.

redis-py goes through every word of a command in Python, and a claim of 500 jobs has thousands of
them. A command is an array of bulk strings (Redis serialization protocol specification): each word
is written as one, and all of them are encoded together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import redis
from redis.exceptions import ResponseError

#: Before redis-py 5.3 a pool wants to hear which command a connection is for.
_NAMED = () if redis.VERSION >= (5, 3) else ("EVALSHA",)


def bulk(word: object) -> str:
    """One word of a command."""
    text = word if isinstance(word, str) else str(word)
    return f"${len(text) if text.isascii() else len(text.encode())}\r\n{text}\r\n"


def command(*words: object) -> bytes:
    """A whole command."""
    return f"*{len(words)}\r\n{''.join(map(bulk, words))}".encode()


class Batch:
    """What one execution of a script takes: keys of one slot, and its arguments."""

    __slots__ = ("_arguments", "_keys", "_number")

    def __init__(self, keys: Iterable[str] = (), arguments: Iterable[object] = ()) -> None:
        self._keys = [bulk(key) for key in keys]
        self._number = len(self._keys)
        self._arguments = [bulk(argument) for argument in arguments]

    def add_keys(self, number: int, written: str) -> None:
        """Add so many keys that are written as bulk strings already."""
        self._keys.append(written)
        self._number += number

    def add(self, *arguments: str) -> None:
        """Add arguments."""
        self._arguments += map(bulk, arguments)

    def add_job(self, keys: str, word: str) -> None:
        """Add the four keys of a job, written already, and one argument, of ASCII alone."""
        self._keys.append(keys)
        self._number += 4
        self._arguments.append(f"${len(word)}\r\n{word}\r\n")

    def command(self, *words: str) -> bytes:
        """The command that begins with `words` and goes on with these keys and arguments."""
        number = len(words) + 1 + self._number + len(self._arguments)
        head = [f"*{number}\r\n", *map(bulk, words), bulk(self._number)]
        return "".join([*head, *self._keys, *self._arguments]).encode()


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
