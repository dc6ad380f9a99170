"""Where the fleet's keys lie: on one server, or in the slots of a Cluster (`cluster.py`).

A call is sent once. Only what was certainly not executed is sent again: a script that the
server did not know, and what a Cluster redirected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import redis
from redis.exceptions import (
    MasterDownError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from .scripts import Script
from .wire import Batch, Wait, command, exchange, exchanging

#: A command, word by word.
Words = tuple[Any, ...]


class Replicas(NamedTuple):
    """How many replicas have to acknowledge a claim, and how long they are waited for."""

    number: int
    wait_ms: int

    @property
    def words(self) -> Words:
        return ("WAIT", self.number, self.wait_ms)


class Reply(NamedTuple):
    """What came back: the answer, or the exception in which it ended."""

    value: Any
    #: How many replicas had it; None: that was not asked.
    acknowledged: int | None = None


class Servers(Protocol):
    """Where the keys lie. Both ways to ask raise when nobody can be asked."""

    #: For the log, without a password.
    where: str
    #: fakeredis: a server in this process, which no other thread may use.
    in_process: bool

    #: Whether all keys are of one slot, 0.
    undivided: bool

    #: How the answers of scripts are waited for; None: as a read of the connection waits.
    patience: Wait | None

    def slot(self, key: str) -> int:
        """What of it holds `key`. Keys of one slot may be given to one script."""

    def run(
        self, script: Script, batches: Mapping[int, Batch], replicas: Replicas | None = None
    ) -> dict[int, Reply]:
        """Run `script` once in each slot, with the batch that belongs there."""

    def run_in_a_row(
        self, script: Script, batches: Iterable[Batch], meanwhile: Callable[[], object] | None
    ) -> Iterator[Any]:
        """Run `script` with each of the batches, where all keys are of one slot: sent one after
        the other, each written when the one before is on its way. Gives the answers as they come;
        `meanwhile` is called before the first of them is waited for.
        """

    def ask(self, requests: Sequence[tuple[int, Words]]) -> list[Any]:
        """The answer to each command, sent to its slot; an exception where one went wrong."""

    def doubt(self, slots: Iterable[int]) -> None:
        """These did not answer as they should: look anew for who serves them."""

    def close(self) -> None:
        """Close the connections."""


class Source(Protocol):
    """Which server that is, when there is one."""

    where: str
    in_process: bool

    def client(self) -> redis.Redis:
        """A client of it."""

    def doubt(self) -> None:
        """It may be another one by now."""

    def close(self) -> None:
        """Close the connections."""


class Fixed:
    """Always the same server."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self.where = describe(client)
        self.in_process = is_in_process(client)

    def client(self) -> redis.Redis:
        return self._client

    def doubt(self) -> None:
        """There is no other."""

    def close(self) -> None:
        self._client.connection_pool.disconnect()


class OneServer:
    """One server that holds everything: all keys are of one slot."""

    undivided = True
    patience: Wait | None = None

    def __init__(self, source: Source) -> None:
        self._source = source
        self.where = source.where
        self.in_process = source.in_process

    def slot(self, key: str) -> int:
        return 0

    def run(
        self, script: Script, batches: Mapping[int, Batch], replicas: Replicas | None = None
    ) -> dict[int, Reply]:
        ((slot, batch),) = batches.items()
        try:
            client = self._source.client()
            return {slot: _run(client, script, batch, replicas, self.patience)}
        except (RedisError, OSError) as error:
            self._doubt_after(error)
            raise

    def run_in_a_row(
        self, script: Script, batches: Iterable[Batch], meanwhile: Callable[[], object] | None
    ) -> Iterator[Any]:
        sent: list[Batch] = []

        def commands() -> Iterator[bytes]:
            for batch in batches:
                sent.append(batch)
                yield script.command(batch)

        try:
            client = self._source.client()
            answers = exchanging(client, commands(), meanwhile, wait=self.patience)
            for number, answer in enumerate(answers):
                if isinstance(answer, NoScriptError):
                    answer = _run(client, script, sent[number], None, self.patience).value
                elif isinstance(answer, Exception):
                    raise answer
                yield answer
        except (RedisError, OSError) as error:
            self._doubt_after(error)
            raise

    def ask(self, requests: Sequence[tuple[int, Words]]) -> list[Any]:
        try:
            client: Any = self._source.client()
            if len(requests) == 1:
                return [client.execute_command(*requests[0][1])]
            return send_together(client, [words for _, words in requests])
        except (RedisError, OSError) as error:
            self._doubt_after(error)
            raise

    def doubt(self, slots: Iterable[int]) -> None:
        self._source.doubt()

    def close(self) -> None:
        self._source.close()

    def _doubt_after(self, error: Exception) -> None:
        # It answered, and has something against this one command: it is the right server.
        refused = isinstance(error, ResponseError)
        demoted = isinstance(error, ReadOnlyError | MasterDownError)
        # NOREPLICAS: a master that was left behind alone.
        if not refused or demoted or str(error).startswith(("MASTERDOWN", "NOREPLICAS")):
            self._source.doubt()


def send_together(client: redis.Redis, requests: Sequence[Words]) -> list[Any]:
    """Several commands in one round trip; what the server has against one is its answer."""
    pipeline: Any = client.pipeline(transaction=False)
    for words in requests:
        pipeline.execute_command(*words)
    answers: list[Any] = pipeline.execute(raise_on_error=False)
    return answers


def is_in_process(client: redis.Redis) -> bool:
    """Whether `client` is fakeredis: a server in this process, which no other thread may use."""
    return bool(client.connection_pool.connection_class.__module__.startswith("fakeredis"))


def _run(
    client: redis.Redis,
    script: Script,
    batch: Batch,
    replicas: Replicas | None,
    wait: Wait | None,
) -> Reply:
    after = [] if replicas is None else [command(*replicas.words)]
    answers = exchange(client, [script.command(batch), *after], wait=wait)
    if isinstance(answers[0], NoScriptError):
        # Nothing was executed; what waited for replicas waited for nothing.
        answers = exchange(client, [script.command(batch, known=False), *after])
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return Reply(answers[0], int(answers[1]) if after else None)


def describe(client: redis.Redis) -> str:
    """Where `client` connects, without its password."""
    kwargs = client.connection_pool.connection_kwargs
    if kwargs.get("path"):
        return f"Redis at unix:{kwargs['path']}"
    return f"Redis at {kwargs.get('host', 'localhost')}:{kwargs.get('port', 6379)}"
