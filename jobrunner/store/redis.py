"""`RedisStore`: every Redis command of the library is here, and its scripts.

The scripts decide, each in one atomic step and one round trip; `lua/` holds one file a script,
whose head states keys, arguments and answer. A call is sent once, and has a time limit. What
goes wrong in Redis, or on the way, is a `StoreError`, and the link is told.

On a Cluster a call goes to each slot that it concerns. What one slot does not answer costs the
others nothing: its items get a `StoreError` in place of an answer. One is raised when there is
no answer at all, so always on a single server.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from redis.exceptions import RedisError, ResponseError

from ..clock import RedisClock
from ..errors import StoreError
from ..job import JobDefinition
from ..keys import FleetKeys, JobKeys
from ..run import HistoryEntry
from . import scripts
from .answers import (
    Answer,
    Ask,
    Ending,
    Finish,
    Peek,
    Status,
    answer_of,
    described,
    entry_of,
    finish_of,
    origin_of,
    peek_of,
)
from .connect import Client, servers_of
from .link import Link, TooFewReplicasError
from .scripts import Batch
from .servers import Replicas, Reply, Servers, Words
from .trouble import eviction_problem, explained

T = TypeVar("T")

logger = logging.getLogger("jobrunner")

#: Jobs in one script at most: 10,000 block Redis for 140 to 190 ms, and Lua's unpack fails.
MAX_BATCH = 500

_CLAIMED = (Status.CLAIMED, Status.AGAIN)


class RedisStore:
    """The fleet's shared state, through one client. Built after fork, used by one thread."""

    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        instance: str,
        lease_ms: int,
        history: int,
        forget_after_ms: int,
        clock: RedisClock,
        replicas: Replicas | None = None,
    ) -> None:
        self._servers = servers_of(client)
        self.link = Link(self._servers.where, clock.trust)
        self._fleet = FleetKeys.of(namespace)
        self._home = self._servers.slot(self._fleet.instances.encode())
        self._instance = instance
        self._lease_ms = lease_ms
        self._history = history
        self._forget_after_ms = forget_after_ms
        self._clock = clock
        self._replicas = replicas
        self._pid = os.getpid()
        self._eviction_looked_at = False

    def claim(self, asks: Sequence[Ask]) -> list[Answer | StoreError]:
        """Claim each job for its run id, or look at it; at most `MAX_BATCH`, in one round trip.

        Also tells the fleet that this instance lives, and the clock what time it is.
        """
        batches: dict[int, Batch] = {self._home: self._claim_batch([self._fleet.instances])}
        groups: dict[int, list[int]] = {self._home: []}
        for index, ask in enumerate(asks):
            slot = self._slot_of(ask.definition)
            if slot not in batches:
                batches[slot], groups[slot] = self._claim_batch([]), []
            groups[slot].append(index)
            batches[slot].keys.extend(ask.definition.encoded_keys)
            batches[slot].arguments.extend(
                (ask.run_id, ask.computed_from, ask.early_until_ms, ask.due_ms)
            )
        sent_at = self._clock.trust()
        replies = self._sent(scripts.claim, batches, self._replicas)
        if self._replicas is not None:
            self._take_back_unreplicated(asks, groups, replies, self._replicas.number)
        values = self._told(replies, replicated=self._replicas is not None)
        self._hear(values, sent_at)
        return _in_order(groups, values, answer_of, len(asks))

    def give_back(self, claims: Sequence[tuple[JobDefinition, str]]) -> list[bool | StoreError]:
        """Undo claims whose runs never started; False: it was not the running run."""
        groups = self._grouped(definition for definition, _ in claims)
        values = self._told(self._sent(scripts.give_back, _of_claims(claims, groups)))
        return _in_order(groups, values, bool, len(claims), skip=0)

    def renew(self, runs: Sequence[tuple[JobDefinition, str]]) -> list[bool | StoreError]:
        """Renew the leases of runs; False: the run owns its job no more.

        For the keeper's thread: raises `StoreError` without telling the link, and logs nothing.
        """
        groups = self._grouped(definition for definition, _ in runs)
        batches = {
            slot: Batch(
                [key for i in indexes for key in runs[i][0].encoded_keys[1:3]],
                [self._lease_ms, *(runs[i][1] for i in indexes)],
            )
            for slot, indexes in groups.items()
        }
        values = _values(self._sent(scripts.renew, batches))
        return _in_order(groups, values, bool, len(runs), skip=0)

    def finish(self, endings: Sequence[Ending]) -> list[Finish | StoreError]:
        """Record how runs ended, and release what is still theirs; at most `MAX_BATCH`."""
        now = self._clock.trust()
        groups = self._grouped(ending.definition for ending in endings)
        batches = {}
        for slot, indexes in groups.items():
            batch = batches[slot] = Batch([], [self._injected_ms(), self._history])
            for ending in (endings[i] for i in indexes):
                batch.keys.extend(ending.definition.encoded_keys)
                ago_ms = max(0, int((now - ending.ended_at) * 1000))
                batch.arguments.extend((ending.run_id, str(ending.outcome), ending.error, ago_ms))
        values = self._told(self._sent(scripts.finish, batches))
        self._hear(values, now)
        return _in_order(groups, values, finish_of, len(endings))

    def larger_token(self, definition: JobDefinition, run_id: str, above: int) -> int | None:
        """A token above `above` for the running run; None: it is not the running run any more."""
        slot = self._slot_of(definition)
        batch = Batch([definition.encoded_keys[1]], [run_id, above])
        token: int = self._told(self._sent(scripts.token, {slot: batch}))[slot]
        return token or None

    def announce(self, definitions: Sequence[JobDefinition]) -> dict[str, str]:
        """Write the definitions for other processes to read.

        Returns, by name, the origins that stood there before and differ.
        """
        moved: dict[str, str] = {}
        for start in range(0, len(definitions), MAX_BATCH):
            chunk = definitions[start : start + MAX_BATCH]
            written = [part for d in chunk for part in (d.name, described(d, self._instance))]
            before = self._command("HMGET", self._fleet.jobs, *(d.name for d in chunk))
            self._command("HSET", self._fleet.jobs, *written)
            for definition, raw in zip(chunk, before, strict=True):
                origin = origin_of(raw)
                if origin is not None and origin != definition.origin:
                    moved[definition.name] = origin
        self._look_at_eviction()
        return moved

    def forget_instance(self) -> None:
        """Take this instance off the list of those that live."""
        self._command("ZREM", self._fleet.instances, self._instance)

    def now_ms(self) -> int:
        """The time that decides what is due, in milliseconds; asked for when not known yet."""
        now_ms = self._clock.now_ms()
        if now_ms is None:
            sent_at = self._clock.trust()
            seconds, micros = self._command("TIME")
            self._clock.heard(seconds * 1000 + micros / 1000, sent_at)
            now_ms = int(seconds * 1000 + micros / 1000)
        return now_ms

    def peek(self, keys: Sequence[JobKeys]) -> list[Peek]:
        """Read what Redis holds of jobs, as it is, in batches."""
        peeks: list[Peek] = []
        for start in range(0, len(keys), MAX_BATCH):
            requests: list[tuple[int, Words]] = []
            for key in keys[start : start + MAX_BATCH]:
                slot = self._servers.slot(key.sync_key.encode())
                requests.append((slot, ("GET", key.sync_key)))
                requests.append((slot, ("HGETALL", key.state)))
                requests.append((slot, ("PTTL", key.lease)))
                requests.append((slot, ("GET", key.lease)))
            raw = self._ask(requests)
            peeks.extend(peek_of(*raw[i : i + 4]) for i in range(0, len(raw), 4))
        return peeks

    def history(self, definition: JobDefinition, limit: int) -> list[HistoryEntry]:
        """The newest `limit` entries, the newest first."""
        key, slot = definition.keys.history, self._slot_of(definition)
        entries = self._command("XREVRANGE", key, "+", "-", "COUNT", limit, slot=slot)
        found = [entry_of(definition.name, fields) for _, fields in entries]
        return [entry for entry in found if entry is not None]

    @property
    def servers(self) -> Servers:
        """Where the keys lie, for questions that are not about jobs alone."""
        return self._servers

    def close(self) -> None:
        """Close the connections."""
        self._servers.close()

    # -- slots -------------------------------------------------------------------------------

    def _slot_of(self, definition: JobDefinition) -> int:
        return self._servers.slot(definition.encoded_keys[0])

    def _grouped(self, definitions: Iterable[JobDefinition]) -> dict[int, list[int]]:
        """The places of the definitions, by slot."""
        groups: dict[int, list[int]] = {}
        for index, definition in enumerate(definitions):
            groups.setdefault(self._slot_of(definition), []).append(index)
        return groups

    # -- claims ------------------------------------------------------------------------------

    def _claim_batch(self, keys: list[Any]) -> Batch:
        return Batch(
            keys,
            [
                self._injected_ms(),
                self._lease_ms,
                self._instance,
                self._history,
                self._forget_after_ms,
            ],
        )

    def _injected_ms(self) -> int | str:
        injected = self._clock.injected_ms()
        return "" if injected is None else injected

    def _hear(self, replies: Mapping[int, Any], sent_at: float) -> None:
        """Learn the time: from where the namespace is, if it answered."""
        told = [replies.get(self._home), *replies.values()]
        micros = next((raw[0] for raw in told if isinstance(raw, list)), None)
        if micros is not None:
            self._clock.heard(micros / 1000, sent_at)

    def _take_back_unreplicated(
        self,
        asks: Sequence[Ask],
        groups: Mapping[int, list[int]],
        replies: dict[int, Reply],
        wanted: int,
    ) -> None:
        """Give back what was granted where too few replicas have it, and answer so instead."""
        granted: dict[int, list[int]] = {}
        for slot, reply in replies.items():
            if isinstance(reply.value, StoreError) or (reply.acknowledged or 0) >= wanted:
                continue
            error = TooFewReplicasError(
                f"{reply.acknowledged} of at least {wanted} replicas (JOBRUNNER_MIN_REPLICAS) "
                f"acknowledged a claim in time, so it is given back"
            )
            error.slots = (slot,)
            answers = reply.value[2:]
            for place, (index, raw) in enumerate(zip(groups[slot], answers, strict=True)):
                if answer_of(raw).status in _CLAIMED:
                    granted.setdefault(slot, []).append(index)
                    answers[place] = error
            kept = any(answer is not error for answer in answers)
            replies[slot] = Reply([*reply.value[:2], *answers] if kept else error)
            self.link.failed(error, error.slots)
        if granted:
            # One that cannot be given back now is claimed again, with the same run id.
            claims = [(ask.definition, ask.run_id) for ask in asks]
            self._sent(scripts.give_back, _of_claims(claims, granted))
            self._servers.doubt(granted)

    # -- calls -------------------------------------------------------------------------------

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
        return _values(replies)

    def _tell_of(self, error: StoreError) -> None:
        if error.__cause__ is None or not _is_wrong_type(error.__cause__):
            self.link.failed(error, error.slots)

    def _refuse_if_forked(self) -> None:
        if os.getpid() != self._pid:
            # Greenlets live on in a forked child: the copy of a run must not end the run.
            raise StoreError("this process was forked from the one that speaks for this instance")


def _of_claims(
    claims: Sequence[tuple[JobDefinition, str]], groups: Mapping[int, list[int]]
) -> dict[int, Batch]:
    """What the script that gives back takes, by slot."""
    return {
        slot: Batch(
            [key for i in indexes for key in claims[i][0].encoded_keys],
            [claims[i][1] for i in indexes],
        )
        for slot, indexes in groups.items()
    }


def _values(replies: Mapping[int, Reply]) -> dict[int, Any]:
    """The values of the replies; raises when all of them are errors."""
    values = {slot: reply.value for slot, reply in replies.items()}
    errors = [value for value in values.values() if isinstance(value, StoreError)]
    if errors and len(errors) == len(values):
        raise errors[0]
    return values


def _in_order(
    groups: Mapping[int, list[int]],
    values: Mapping[int, Any],
    read: Callable[[Any], T],
    number: int,
    *,
    skip: int = 2,
) -> list[T | StoreError]:
    """The answers of all slots in the order of the questions; `skip`: the clocks before them."""
    answers: list[Any] = [None] * number
    for slot, indexes in groups.items():
        value = values.get(slot)
        if isinstance(value, StoreError):
            for index in indexes:
                answers[index] = value
        elif indexes:
            for index, raw in zip(indexes, value[skip:], strict=True):  # type: ignore[index]
                answers[index] = raw if isinstance(raw, StoreError) else read(raw)
    return answers


def _store_error(error: Exception, slots: Iterable[int]) -> StoreError:
    problem = StoreError(explained(error))
    problem.slots = tuple(slots)
    problem.__cause__ = error
    return problem


def _is_wrong_type(error: BaseException) -> bool:
    """Whether Redis answered, and one key holds something else than we put there."""
    return isinstance(error, ResponseError) and str(error).startswith("WRONGTYPE")
