"""`RedisStore`: every Redis command of the library is here, and its scripts.

The scripts decide, each in one atomic step and one round trip; `lua/` holds one file a script,
whose head states keys, arguments and answer. A call is sent once, and has a time limit. What
goes wrong in Redis, or on the way, is a `StoreError`, and the link is told.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple, TypeVar

import redis
from redis.exceptions import RedisError, ResponseError

from ..clock import RedisClock
from ..errors import StoreError
from ..job import JobDefinition
from ..keys import FleetKeys, JobKeys
from ..run import HistoryEntry, Outcome
from . import scripts
from .connect import describe
from .link import Link

T = TypeVar("T")

#: Jobs in one script at most: 10,000 block Redis for 140 to 190 ms, and Lua's unpack fails.
MAX_BATCH = 500

#: `Ask.computed_from` before Redis was asked, and the version of a job that never ran.
UNKNOWN, NEVER = "?", "-"


class Status(StrEnum):
    """What Redis says to one ask."""

    CLAIMED = "claimed"
    #: The same run id had been claimed already: the answer to it was lost.
    AGAIN = "again"
    HELD = "held"
    EARLY = "early"
    DUE = "due"
    CHANGED = "changed"
    CORRUPT = "corrupt"


class Ask(NamedTuple):
    """One job in a claim. Without a run id it is a look."""

    definition: JobDefinition
    run_id: str
    #: The version of what the due time was computed from (`Known.version`), or UNKNOWN.
    computed_from: str
    early_until_ms: int
    #: 0: whatever the time of the claim is.
    due_ms: int


class Known(NamedTuple):
    """What every answer tells of a job, in Redis's milliseconds."""

    last_ms: int | None
    first_seen_ms: int | None
    running: str | None
    lease_left_ms: int
    #: The due time of the last run, when that was abandoned and no run has been claimed since.
    abandoned_due_ms: int | None = None
    #: How many runs were abandoned one after the other, and when the last of them was recorded.
    abandoned_in_row: int = 0
    abandoned_ms: int | None = None

    @property
    def version(self) -> str:
        """What a claim names to say which state of affairs its due time was computed from."""
        last = NEVER if self.last_ms is None else str(self.last_ms)
        return f"{last}/{self.abandoned_in_row}" if self.abandoned_in_row > 0 else last


class Answer(NamedTuple):
    """The answer to one ask."""

    status: Status
    known: Known
    #: The run that this call recorded as abandoned.
    abandoned: str | None
    token: int
    due_ms: int
    #: What cannot be read, quoted.
    problem: str


class Ending(NamedTuple):
    """How one run ended, on its way to Redis."""

    definition: JobDefinition
    run_id: str
    outcome: Outcome
    error: str
    #: Trust seconds at which it ended.
    ended_at: float


class Finish(NamedTuple):
    """The answer to one ending."""

    #: finished; amended: it had been recorded as abandoned; gone: nothing was done.
    status: str
    known: Known
    problem: str


class Peek(NamedTuple):
    """What Redis holds of one job, read without touching it."""

    last_start: str | None
    state: Mapping[str, str]
    lease_left_ms: int
    problem: str | None


class RedisStore:
    """The fleet's shared state, through one client. Built after fork, used by one thread."""

    def __init__(
        self,
        client: redis.Redis,
        *,
        namespace: str,
        instance: str,
        lease_ms: int,
        history: int,
        forget_after_ms: int,
        clock: RedisClock,
    ) -> None:
        self.link = Link(describe(client), clock.trust)
        self._client: Any = client  # redis-py's types differ from version to version
        self._fleet = FleetKeys.of(namespace)
        self._instance = instance
        self._lease_ms = lease_ms
        self._history = history
        self._forget_after_ms = forget_after_ms
        self._clock = clock
        self._pid = os.getpid()

    def claim(self, asks: Sequence[Ask]) -> list[Answer]:
        """Claim each job for its run id, or look at it; at most `MAX_BATCH`, in one round trip.

        Also tells the fleet that this instance lives, and the clock what time it is.
        """
        keys: list[Any] = [self._fleet.instances]
        arguments: list[Any] = [
            self._injected_ms(),
            self._lease_ms,
            self._instance,
            self._history,
            self._forget_after_ms,
        ]
        for ask in asks:
            keys.extend(ask.definition.encoded_keys)
            arguments.extend((ask.run_id, ask.computed_from, ask.early_until_ms, ask.due_ms))
        sent_at = self._clock.trust()
        micros, _, *answers = self._call(lambda: scripts.claim(self._client, keys, arguments))
        self._clock.heard(micros / 1000, sent_at)
        return [_answer(raw) for raw in answers]

    def give_back(self, claims: Sequence[tuple[JobDefinition, str]]) -> list[bool]:
        """Undo claims whose runs never started; False: it was not the running run."""
        keys = [key for definition, _ in claims for key in definition.encoded_keys]
        run_ids = [run_id for _, run_id in claims]
        answers = self._call(lambda: scripts.give_back(self._client, keys, run_ids))
        return [bool(answer) for answer in answers]

    def renew(self, runs: Sequence[tuple[JobDefinition, str]]) -> list[bool]:
        """Renew the leases of runs; False: the run owns its job no more.

        For the keeper's thread: raises `StoreError` without telling the link, and logs nothing.
        """
        keys = [key for definition, _ in runs for key in definition.encoded_keys[1:3]]
        arguments = [self._lease_ms, *(run_id for _, run_id in runs)]
        try:
            return [bool(answer) for answer in scripts.renew(self._client, keys, arguments)]
        except (RedisError, OSError) as error:
            raise StoreError(f"{type(error).__name__}: {error}") from error

    def finish(self, endings: Sequence[Ending]) -> list[Finish]:
        """Record how runs ended, and release what is still theirs; at most `MAX_BATCH`."""
        now = self._clock.trust()
        keys: list[Any] = []
        arguments: list[Any] = [self._injected_ms(), self._history]
        for ending in endings:
            keys.extend(ending.definition.encoded_keys)
            ago_ms = max(0, int((now - ending.ended_at) * 1000))
            arguments.extend((ending.run_id, str(ending.outcome), ending.error, ago_ms))
        micros, _, *answers = self._call(lambda: scripts.finish(self._client, keys, arguments))
        self._clock.heard(micros / 1000, now)
        return [Finish(_text(raw[0]), _known(raw[1]), _text(raw[2])) for raw in answers]

    def larger_token(self, definition: JobDefinition, run_id: str, above: int) -> int | None:
        """A token above `above` for the running run; None: it is not the running run any more."""
        state_key = definition.encoded_keys[1]
        token = self._call(lambda: scripts.token(self._client, [state_key], [run_id, above]))
        return token or None

    def announce(self, definitions: Sequence[JobDefinition]) -> dict[str, str]:
        """Write the definitions for other processes to read.

        Returns, by name, the origins that stood there before and differ.
        """
        moved: dict[str, str] = {}
        for start in range(0, len(definitions), MAX_BATCH):
            chunk = definitions[start : start + MAX_BATCH]
            names = [definition.name for definition in chunk]
            described = {definition.name: _described(definition) for definition in chunk}
            before = self._call(partial(self._client.hmget, self._fleet.jobs, names))
            self._call(partial(self._client.hset, self._fleet.jobs, mapping=described))
            for definition, raw in zip(chunk, before, strict=True):
                origin = _origin(raw)
                if origin is not None and origin != definition.origin:
                    moved[definition.name] = origin
        return moved

    def forget_instance(self) -> None:
        """Take this instance off the list of those that live."""
        self._call(lambda: self._client.zrem(self._fleet.instances, self._instance))

    def now_ms(self) -> int:
        """The time that decides what is due, in milliseconds; asked for when not known yet."""
        now_ms = self._clock.now_ms()
        if now_ms is None:
            sent_at = self._clock.trust()
            seconds, micros = self._call(self._client.time)
            self._clock.heard(seconds * 1000 + micros / 1000, sent_at)
            now_ms = int(seconds * 1000 + micros / 1000)
        return now_ms

    def peek(self, keys: Sequence[JobKeys]) -> list[Peek]:
        """Read what Redis holds of jobs, as it is, in batches."""
        peeks: list[Peek] = []
        for start in range(0, len(keys), MAX_BATCH):
            chunk = keys[start : start + MAX_BATCH]
            pipeline = self._client.pipeline(transaction=False)
            for key in chunk:
                pipeline.get(key.sync_key).hgetall(key.state).pttl(key.lease).get(key.lease)
            raw = self._call(partial(pipeline.execute, raise_on_error=False))
            peeks.extend(_peek(*raw[4 * i : 4 * i + 4]) for i in range(len(chunk)))
        return peeks

    def history(self, definition: JobDefinition, limit: int) -> list[HistoryEntry]:
        """The newest `limit` entries, the newest first."""
        key = definition.keys.history
        entries = self._call(lambda: self._client.xrevrange(key, count=limit))
        found = [_entry(definition.name, fields) for _, fields in entries]
        return [entry for entry in found if entry is not None]

    def close(self) -> None:
        """Close the connections."""
        self._client.connection_pool.disconnect()

    def _injected_ms(self) -> int | str:
        injected = self._clock.injected_ms()
        return "" if injected is None else injected

    def _call(self, command: Callable[[], T]) -> T:
        if os.getpid() != self._pid:
            # Greenlets live on in a forked child: the copy of a run must not end the run.
            raise StoreError("this process was forked from the one that speaks for this instance")
        try:
            answer = command()
        except (RedisError, OSError) as error:
            if not _is_wrong_type(error):
                self.link.failed(error)
            raise StoreError(f"{type(error).__name__}: {error}") from error
        self.link.answered()
        return answer


def _is_wrong_type(error: Exception) -> bool:
    """Whether Redis answered, and one key holds something else than we put there."""
    return isinstance(error, ResponseError) and str(error).startswith("WRONGTYPE")


def _text(raw: Any) -> str:
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)


def _known(raw: Sequence[Any]) -> Known:
    last, first_seen, running, left, abandoned_due, abandoned_in_row, abandoned = raw
    return Known(
        _number(last),
        _number(first_seen),
        _text(running) or None,
        left,
        _number(abandoned_due),
        abandoned_in_row,
        _number(abandoned),
    )


def _number(raw: Any) -> int | None:
    return raw if isinstance(raw, int) else None


def _answer(raw: Sequence[Any]) -> Answer:
    status, known, abandoned, detail, due_ms = raw
    return Answer(
        Status(_text(status)),
        _known(known),
        _text(abandoned) or None,
        detail if isinstance(detail, int) else 0,
        due_ms,
        "" if isinstance(detail, int) else _text(detail),
    )


def _described(definition: JobDefinition) -> str:
    return json.dumps(
        {
            "schedule": str(definition.schedule),
            "sync_key": definition.keys.sync_key,
            "origin": definition.origin,
        }
    )


def _origin(raw: Any) -> str | None:
    try:
        return str(json.loads(raw)["origin"])
    except (TypeError, ValueError, KeyError, RecursionError):
        return None  # nothing there, or not ours: written anew


def _peek(last_start: Any, state: Any, lease_left: Any, holder: Any) -> Peek:
    parts = [last_start, state, lease_left]
    if isinstance(state, dict) and (state.get(b"run") or state.get("run")):
        parts.append(holder)  # else a claim replaces it, whatever it is
    problems = [str(part) for part in parts if isinstance(part, Exception)]
    if problems:
        return Peek(None, {}, 0, problems[0])
    fields = {_text(field): _text(value) for field, value in state.items()}
    return Peek(None if last_start is None else _text(last_start), fields, max(0, lease_left), None)


def _entry(job: str, raw: Mapping[Any, Any]) -> HistoryEntry | None:
    """One past run; None for an entry that the scripts have not written."""
    fields = {_text(field): _text(value) for field, value in raw.items()}
    try:
        return HistoryEntry(
            run_id=fields["run"],
            job=job,
            token=int(fields["token"]),
            instance=fields["instance"],
            due_at=_seconds(fields["due_ms"]),
            started_at=_seconds(fields["started_ms"]),
            finished_at=_seconds(fields["finished_ms"]),
            outcome=Outcome(fields["outcome"]),
            error=fields["error"] or None,
        )
    except (KeyError, ValueError):
        return None


def _seconds(milliseconds: str) -> float:
    return float(milliseconds or 0) / 1000
