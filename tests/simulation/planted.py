"""Bugs of the kind that others had. Each is planted for a while, and the watch must object.

Where it can be, a bug is planted in Python, around the public methods; in the shipped Lua only
where the bug is a line of it.
"""

from __future__ import annotations

import copy
import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import gevent
from sqlalchemy import Connection

from jobrunner.clock import RedisClock
from jobrunner.database import dialects
from jobrunner.database.fence_entry import Entry
from jobrunner.engine.executor import ActiveRun
from jobrunner.engine.keeper import LeaseKeeper
from jobrunner.hosting import drain
from jobrunner.schedules import Every
from jobrunner.store import scripts
from jobrunner.store.answers import Ask, Ending, Status
from jobrunner.store.redis import RedisStore

from .world import patched

Plant = Callable[[], AbstractContextManager[None]]


@contextmanager
def unconditional_release() -> Iterator[None]:
    """A finish deletes the lease, whoever holds it."""
    real = RedisStore.finish

    def finish(self: RedisStore, endings: Sequence[Ending]) -> list[Any]:
        answers = real(self, endings)
        for ending in endings:
            self._command("DEL", ending.definition.keys.lease)
        return answers

    with patched(RedisStore, "finish", finish):
        yield


@contextmanager
def trust_from_the_reply() -> Iterator[None]:
    """A lease is trusted from the moment at which the answer came."""
    real = LeaseKeeper.trusted_until
    with patched(LeaseKeeper, "trusted_until", lambda self, _: real(self, self._trust())):
        yield


@contextmanager
def keeper_stops_first() -> Iterator[None]:
    """A drain begins with the keeper."""
    real = drain.drain

    def drain_without(*parts: Any, **times: Any) -> bool:
        parts[2].stop()
        return real(*parts, **times)

    with patched(drain, "drain", drain_without):
        yield


def claim_without_comparing() -> AbstractContextManager[None]:
    """A claim does not ask whether the last run is still the one that its due time is from."""
    return _lua("claim", "version(job) ~= computed_from", "false")


@contextmanager
def ownership_by_the_lease() -> Iterator[None]:
    """A run is the running one as long as the lease key says so."""
    line = "job.holder = try('GET', keys.lease)"
    worse = line + " if job.holder ~= job.run then job.run = false end"
    with _lua("claim", line, worse), _lua("finish", line, worse):
        yield


@contextmanager
def no_lease_left() -> Iterator[None]:
    """What is answered about a job that another one runs does not say when its lease ends."""
    real = RedisStore.claim

    def claim(self: RedisStore, asks: Sequence[Ask], **how: Any) -> list[Any]:
        return [
            answer
            if answer.status in (Status.CLAIMED, Status.AGAIN)
            else answer._replace(known=answer.known._replace(lease_left_ms=10**9))
            for answer in real(self, asks, **how)
        ]

    with patched(RedisStore, "claim", claim):
        yield


def finish_applied_twice() -> AbstractContextManager[None]:
    """A finish that arrives again is recorded again."""
    return _lua(
        "finish", "if job.run == run then", "job.run = job.run or run if job.run == run then"
    )


@contextmanager
def near_future_is_due() -> Iterator[None]:
    """A last run ahead of now is taken as one that a wrong clock wrote, however little it is."""
    with patched(Every, "future_tolerance_ms", 0):
        yield


def token_by_counting() -> AbstractContextManager[None]:
    """The next token is the last one and one: after a loss of data it begins anew."""
    return _lua("claim", "if job.token >= micros then", "if true then")


@contextmanager
def new_id_each_time() -> Iterator[None]:
    """A claim is sent again under another run id, so that it cannot find itself."""
    real = RedisStore.claim

    def claim(self: RedisStore, asks: Sequence[Ask], **how: Any) -> list[Any]:
        tries = self.__dict__.setdefault("tries", [])
        tries.append(0)
        number = len(tries)
        named = [
            ask._replace(run_id=f"{ask.run_id}.{number}") if ask.run_id else ask for ask in asks
        ]
        return real(self, named, **how)

    with patched(RedisStore, "claim", claim):
        yield


@contextmanager
def begun_when_claimed() -> Iterator[None]:
    """What is claimed before its time begins at once."""
    with patched(RedisClock, "surely_ms", lambda self: math.inf):
        yield


@contextmanager
def due_by_the_wall_clock() -> Iterator[None]:
    """Each instance decides by its own clock what is due."""
    with patched(RedisClock, "injected_ms", lambda self: round(time.time() * 1000)):
        yield


@contextmanager
def begins_without_trust() -> Iterator[None]:
    """A run begins whenever its claim is answered."""
    with patched(ActiveRun, "may_begin", lambda self, now: self.stop_reason is None):
        yield


@contextmanager
def keeper_in_the_hub() -> Iterator[None]:
    """Leases are renewed by a greenlet: a job that computes for long loses its own."""

    def start(self: LeaseKeeper) -> None:
        def loop() -> None:
            while True:
                gevent.sleep(self.renew())

        gevent.spawn(loop)

    with patched(LeaseKeeper, "start", start):
        yield


@contextmanager
def nobody_is_told() -> Iterator[None]:
    """The keeper does not look whether leases can still be trusted."""
    with patched(LeaseKeeper, "expire", lambda self: self._lease / 3):
        yield


@contextmanager
def fence_at_commit_only() -> Iterator[None]:
    """A fenced run stands in its database's row from its first commit on, not its first session."""

    def enter_late(self: Entry, connection: Connection) -> None:
        other = self._enter(connection)
        if other is not None:
            dialects.roll_back(connection)
            raise self._superseded(other)

    real = Entry.mark

    def mark(self: Entry, connection: Connection, due_ms: int | None) -> None:
        enter_late(self, connection)
        real(self, connection, due_ms)

    with (
        patched(Entry, "register", lambda self, connection, owned: None),
        patched(Entry, "hold", enter_late),
        patched(Entry, "mark", mark),
    ):
        yield


def request_taken_and_left() -> AbstractContextManager[None]:
    """A claim for a request leaves the request where it was."""
    return _lua("claim", "gone[1] = 'trigger'", "")


def claim_after_its_give_back() -> AbstractContextManager[None]:
    """A claim that arrives after it was given back is granted, to nobody."""
    line = "find(' ' .. job.more .. ' ', ' ' .. run .. ' ', 1, true)"
    return _lua("claim", line, "false")


def pause_by_hearsay() -> AbstractContextManager[None]:
    """Only instances that have heard of a pause keep to it."""
    return _lua("claim", "if paused then", "if false then")


@contextmanager
def deaf_to_people() -> Iterator[None]:
    """The control stream is not read: what people touch is found when the look comes round."""
    with patched(RedisStore, "_hear_of_control", lambda self, value: None):
        yield


def cancel_where_it_is_asked() -> AbstractContextManager[None]:
    """A cancel reaches the runs of the process that asks for it, and no others."""
    return _lua("control", "call('HSET', keys.state, 'cancel', job.run)", "")


PLANTED: dict[str, Plant] = {
    plant.__name__: plant
    for plant in (
        unconditional_release,
        trust_from_the_reply,
        keeper_stops_first,
        claim_without_comparing,
        ownership_by_the_lease,
        no_lease_left,
        finish_applied_twice,
        near_future_is_due,
        token_by_counting,
        new_id_each_time,
        begun_when_claimed,
        due_by_the_wall_clock,
        begins_without_trust,
        keeper_in_the_hub,
        nobody_is_told,
        fence_at_commit_only,
        request_taken_and_left,
        claim_after_its_give_back,
        pause_by_hearsay,
        deaf_to_people,
        cancel_where_it_is_asked,
    )
}


@contextmanager
def _lua(name: str, line: str, worse: str) -> Iterator[None]:
    """In the script of that name, and what stands in front of it, another line."""
    real = getattr(scripts, name)
    assert line in real.source, f"{name}.lua has no {line!r} any more: plant this bug anew"
    script = copy.copy(real)
    script.source = real.source.replace(line, worse)
    script.digest = hashlib.sha1(script.source.encode(), usedforsecurity=False).hexdigest()
    with patched(scripts, name, script):
        yield
