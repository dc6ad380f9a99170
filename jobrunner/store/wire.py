"""Redis's protocol, as far as calls of scripts are written in it here.

redis-py goes through every word of a command in Python, and a claim of 500 jobs has thousands of
them. A command is an array of bulk strings (Redis serialization protocol specification): each word
is written as one, and all of them are encoded together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import redis
from redis.exceptions import ResponseError

#: Before redis-py 5.3 a pool wants to hear which command a connection is for.
_NAMED = () if redis.VERSION >= (5, 3) else ("EVALSHA",)


#: Given the descriptor of a connection, returns when something can be read there, or sooner.
Wait = Callable[[int], object]


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

    def add_jobs(self, keys: list[str], words: list[str]) -> None:
        """Add the four keys of each job, written already, and for each one argument, of ASCII
        alone.
        """
        self._keys += keys
        self._number += 4 * len(keys)
        self._arguments += [f"${len(word)}\r\n{word}\r\n" for word in words]

    def command(self, *words: str) -> bytes:
        """The command that begins with `words` and goes on with these keys and arguments."""
        number = len(words) + 1 + self._number + len(self._arguments)
        head = [f"*{number}\r\n", *map(bulk, words), bulk(self._number)]
        return "".join([*head, *self._keys, *self._arguments]).encode()


def exchange(
    client: redis.Redis, commands: Sequence[bytes], *, wait: Wait | None = None
) -> list[Any]:
    """Send commands in one round trip, and once. Returns what each was answered; a refusal is its
    `ResponseError`. Raises the errors of the connection, after which that is closed.

    `wait` is called before the first answer is read, and may wait for it in its own way; of the
    others a part may have been read with it.
    """
    with _Talk(client, wait) as talk:
        talk.send(b"".join(commands), len(commands))
        return [talk.answer() for _ in commands]


def exchanging(
    client: redis.Redis,
    commands: Iterable[bytes],
    meanwhile: Callable[[], object] | None = None,
    *,
    wait: Wait | None = None,
) -> Iterator[Any]:
    """As `exchange` does, but with each answer as soon as it is there. Each command is on its way
    before the next one is written: what Redis reads at once it answers at once, too. `meanwhile` is
    called when all are sent, before the first answer is waited for.
    """
    with _Talk(client, wait) as talk:
        for one in commands:
            talk.send(one, 1)
        if meanwhile is not None:
            meanwhile()
        while talk.to_come:
            yield talk.answer()


class _Talk:
    """A connection for one round trip."""

    def __init__(self, client: redis.Redis, wait: Wait | None) -> None:
        self._wait = wait
        self._pool: Any = client.connection_pool
        self._connection: Any = self._pool.get_connection(*_NAMED)
        #: Answers.
        self.to_come = 0

    def __enter__(self) -> _Talk:
        return self

    def __exit__(self, *error: object) -> None:
        if self.to_come:  # after a timeout of the caller too: none must reach the next one
            self._connection.disconnect()
        self._pool.release(self._connection)

    def send(self, commands: bytes, number: int) -> None:
        self.to_come += number
        self._connection.send_packed_command([commands])

    def answer(self) -> Any:
        wait, self._wait = self._wait, None
        connected = getattr(self._connection, "_sock", None)
        if wait is not None and connected is not None:
            wait(connected.fileno())
        try:
            answer = self._connection.read_response()
        except ResponseError as refused:
            answer = refused
        self.to_come -= 1
        return answer
