"""How a command or a script gets to Redis, and what goes wrong on the way.

A call is sent once, and has a time limit. What goes wrong in Redis, or on the way, is a
`StoreError`, and the link is told.

On a Cluster a call goes to each slot that it concerns. What one slot does not answer costs the
others nothing: its items get a `StoreError` in place of an answer. One is raised when there is
no answer at all, so always on a single server.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from redis.exceptions import RedisError, ResponseError

from ..clock import RedisClock
from ..errors import StoreError
from ..job import JobDefinition
from ..keys import FleetKeys
from . import scripts
from .connect import Client, servers_of
from .link import Link
from .replies import values_of
from .servers import Replicas, Reply, Servers, Words
from .trouble import eviction_problem, explained
from .wire import Batch

logger = logging.getLogger("jobrunner")

#: Jobs in one call at most: 10,000 in a script block Redis for 140 to 190 ms, and Lua's unpack
#: fails.
MAX_BATCH = 500


class Calls:
    """Calls through one client, to the servers of one namespace. Built after fork, used by one
    thread.
    """

    def __init__(self, client: Client, namespace: str, clock: RedisClock) -> None:
        self._servers = servers_of(client)
        self.link = Link(self._servers.where, clock.trust)
        self._fleet = FleetKeys.of(namespace)
        self._home = self._servers.slot(self._fleet.instances)
        self._clock = clock
        self._pid = os.getpid()
        self._eviction_looked_at = False

    @property
    def servers(self) -> Servers:
        """Where the keys lie, for questions that are not about jobs alone."""
        return self._servers

    def close(self) -> None:
        """Close the connections."""
        self._servers.close()

    def _slot_of(self, definition: JobDefinition) -> int:
        return self._servers.slot(definition.keys.sync_key)

    def _grouped(self, definitions: Sequence[JobDefinition]) -> dict[int, Sequence[int]]:
        """The places of the definitions, by slot."""
        if self._servers.undivided and definitions:
            return {self._home: range(len(definitions))}
        groups: dict[int, list[int]] = {}
        for index, definition in enumerate(definitions):
            groups.setdefault(self._slot_of(definition), []).append(index)
        return {**groups}

    def _command(self, *words: Any, slot: int | None = None) -> Any:
        (answer,) = self._ask([(self._home if slot is None else slot, words)])
        return answer

    def _look_at_eviction(self) -> None:
        """Warn once when the server may drop our keys; it may refuse to say."""
        if self._eviction_looked_at:
            return
        self._eviction_looked_at = True
        try:
            (info,) = self._servers.ask([(self._home, ("INFO", "memory"))])
        except (RedisError, OSError):
            return
        problem = eviction_problem(info) if isinstance(info, dict) else None
        if problem is not None:
            logger.warning("%s: %s", self._servers.where, problem)

    def _ask(self, requests: Sequence[tuple[int, Words]]) -> list[Any]:
        """The answer to each command; what one cannot be told is its exception, where there are
        several. The link is told.
        """
        self._refuse_if_forked()
        slots = {slot for slot, _ in requests}
        try:
            answers = self._servers.ask(requests)
            if len(slots) == 1 and len(answers) == 1 and isinstance(answers[0], Exception):
                raise answers[0]
        except (RedisError, OSError) as error:
            problem = _store_error(error, slots)
            self._tell_of(problem)
            raise problem from error
        silent = set()
        for (slot, _), answer in zip(requests, answers, strict=True):
            if isinstance(answer, Exception) and not _is_wrong_type(answer):
                silent.add(slot)
                self.link.failed(answer, (slot,))
        self.link.answered(slots - silent)
        return answers

    def _sent(
        self, script: scripts.Script, batches: Mapping[int, Batch], replicas: Replicas | None = None
    ) -> dict[int, Reply]:
        """The reply of each slot; where there is none, a `StoreError` as its value."""
        self._refuse_if_forked()
        try:
            replies = self._servers.run(script, batches, replicas) if batches else {}
        except (RedisError, OSError) as error:
            replies = {slot: Reply(error) for slot in batches}
        for slot, (value, acknowledged) in replies.items():
            if isinstance(value, Exception):
                replies[slot] = Reply(_store_error(value, (slot,)), acknowledged)
        return replies

    def _sent_in_a_row(
        self,
        script: scripts.Script,
        batches: Iterable[Batch],
        meanwhile: Callable[[], object] | None,
    ) -> Iterator[Any]:
        """The value of each batch as soon as it is there, where all keys are of one slot. The link
        is told.
        """
        self._refuse_if_forked()
        try:
            for value in self._servers.run_in_a_row(script, batches, meanwhile):
                self.link.answered((self._home,))
                yield value
        except (RedisError, OSError) as error:
            problem = _store_error(error, (self._home,))
            self._tell_of(problem)
            raise problem from error

    def _told(self, replies: Mapping[int, Reply], *, replicated: bool = False) -> dict[int, Any]:
        """The values of the replies, of which the link is told."""
        answered = []
        for slot, (value, _) in replies.items():
            if isinstance(value, StoreError):
                self._tell_of(value)
            else:
                answered.append(slot)
        if answered:
            self.link.answered(answered, replicated=replicated)
        return values_of(replies)

    def _tell_of(self, error: StoreError) -> None:
        if error.__cause__ is None or not _is_wrong_type(error.__cause__):
            self.link.failed(error, error.slots)

    def _refuse_if_forked(self) -> None:
        if os.getpid() != self._pid:
            # Greenlets live on in a forked child: the copy of a run must not end the run.
            raise StoreError("this process was forked from the one that speaks for this instance")


def _store_error(error: Exception, slots: Iterable[int]) -> StoreError:
    problem = StoreError(explained(error))
    problem.slots = tuple(slots)
    problem.__cause__ = error
    return problem


def _is_wrong_type(error: BaseException) -> bool:
    """Whether Redis answered, and one key holds something else than we put there."""
    return isinstance(error, ResponseError) and str(error).startswith("WRONGTYPE")
