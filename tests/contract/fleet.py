"""A fleet as the contract sees it: stores of several instances on one server, under one clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis

from jobrunner import Schedule, every
from jobrunner.clock import Clock, RedisClock
from jobrunner.job import FunctionJob, JobDefinition
from jobrunner.run import Outcome
from jobrunner.store.answers import Answer, Ask, Ending, Finish, Known, Status
from jobrunner.store.connect import own_client
from jobrunner.store.redis import RedisStore

NAMESPACE = "shop"

#: A whole second, at which the fleet's clock starts.
NOON = 1_700_000_000_000

MINUTE = 60_000

#: Never early: what the engine sends for a job without a last start.
LONG_AGO = -(10**15)

NOTHING_KNOWN = Known(None, None, None, 0)

#: Makes a client of the server under test, with these options.
MakeClient = Callable[..., redis.Redis]


def nothing(ctx: object) -> None:
    """What the jobs of these tests do; no store ever runs them."""


def job(
    name: str = "purge", schedule: Schedule | None = None, sync_key: str | None = None
) -> JobDefinition:
    """A job, by default every minute."""
    written = FunctionJob(nothing, schedule or every(minutes=1), name=name, sync_key=sync_key)
    return JobDefinition.of(written, NAMESPACE)


def ask(
    definition: JobDefinition,
    run_id: str = "",
    last_ms: int | None = None,
    due_ms: int = 0,
    abandoned: tuple[int, int | None] = (0, None),
) -> Ask:
    """The question of an instance that knows `last_ms` as the last start: what the engine asks.

    `abandoned`: how many runs were in a row, and when the last of them was recorded.
    """
    version = Known(last_ms, None, None, 0, None, *abandoned).version
    if last_ms is None:
        return Ask(definition, run_id, version, LONG_AGO, due_ms)
    due_ms = definition.schedule.next_due_ms(last_ms)
    early_until_ms = definition.schedule.early_until_ms(due_ms)
    return Ask(definition, run_id, version, early_until_ms, due_ms)


class Fleet:
    """One server, the clocks that its instances go by, and `client` for the test's own look.

    `now_ms` is the injected clock; None: the server's own. `trust` are the trust seconds.
    """

    def __init__(self, make_client: MakeClient) -> None:
        self.make_client = make_client
        self.client: Any = make_client(decode_responses=True)
        self.now_ms: int | None = NOON
        self.trust = 1000.0
        self._stores: list[RedisStore] = []
        #: What the answers to claims told, by run id.
        self._claimed: dict[str, Known] = {}
        self.one = self.store("one")
        self.two = self.store("two")

    def store(
        self,
        instance: str,
        *,
        client: redis.Redis | None = None,
        lease_ms: int = 30_000,
        history: int = 100,
        forget_after_ms: int = 60_000,
        history_age_ms: int | None = None,
    ) -> RedisStore:
        """The store of one instance."""
        store = RedisStore(
            own_client(client or self.client, 5.0),
            namespace=NAMESPACE,
            instance=instance,
            lease_ms=lease_ms,
            history=history,
            forget_after_ms=forget_after_ms,
            clock=self.clock(),
            history_age_ms=history_age_ms,
        )
        self._stores.append(store)
        return store

    def clock(self) -> RedisClock:
        def injected() -> Clock | None:
            now_ms = self.now_ms
            return None if now_ms is None else lambda: now_ms / 1000

        return RedisClock(injected, lambda: self.trust)

    def look(self, definition: JobDefinition, last_ms: int | None = None) -> Answer:
        return self.claim(definition, "", last_ms)

    def claim(
        self,
        definition: JobDefinition,
        run_id: str,
        last_ms: int | None = None,
        store: RedisStore | None = None,
        *,
        ahead_ms: int = 0,
    ) -> Answer:
        question = ask(definition, run_id, last_ms, abandoned=self.abandoned(definition))
        (answer,) = (store or self.one).claim([question], ahead_ms=ahead_ms)
        self._claimed[run_id] = answer.known
        return answer

    def abandoned(self, definition: JobDefinition) -> tuple[int, int | None]:
        """How many runs in a row are recorded as abandoned, and when the last of them was: part
        of the version.
        """
        in_row = self._number(definition, "abandoned_in_row") or 0
        return in_row, self._number(definition, "abandoned_ms")

    def _number(self, definition: JobDefinition, field: str) -> int | None:
        try:
            stored = self.client.hget(definition.keys.state, field)
            return None if stored is None else int(stored)
        except (ValueError, redis.ResponseError):
            return None  # a test put something else there

    def claimed(
        self, definition: JobDefinition, run_id: str, last_ms: int | None = None
    ) -> tuple[int, int]:
        """Claim, which must work; the token and the millisecond of the start."""
        answer = self.claim(definition, run_id, last_ms)
        if answer.abandoned:  # news, which the engine takes in before it asks again
            answer = self.claim(definition, run_id, last_ms)
        assert Status.CLAIMED == answer.status, answer
        assert answer.known.last_ms is not None
        return answer.token, answer.known.last_ms

    def finish(
        self,
        definition: JobDefinition,
        run_id: str,
        outcome: Outcome = Outcome.SUCCEEDED,
        error: str = "",
        seconds_ago: float = 0,
        store: RedisStore | None = None,
        **more: Any,
    ) -> Finish:
        """Record an end; `more`: the attempts, the traceback, the result."""
        known = self._claimed.get(run_id, NOTHING_KNOWN)
        ended_at = self.trust - seconds_ago
        ending = Ending(definition, run_id, known, outcome, error, ended_at, **more)
        (answer,) = (store or self.one).finish([ending])
        return answer

    def give_back(self, definition: JobDefinition, run_id: str) -> bool:
        (answer,) = self.one.give_back([(definition, run_id)])
        return answer

    def renew(self, definition: JobDefinition, run_id: str) -> bool:
        (answer,) = self.one.renew([(definition, run_id)])
        return answer

    def lease_ends(self, definition: JobDefinition) -> None:
        """The lease's time is over: what Redis then does is to delete it."""
        assert 1 == self.client.delete(definition.keys.lease)

    def known(self, definition: JobDefinition, last_ms: int | None = None) -> Known:
        return self.look(definition, last_ms).known

    def stored(self, definition: JobDefinition) -> dict[str, Any]:
        """All that Redis holds of a job, but for the time that is left of its lease, and the id
        that a give-back leaves behind.
        """
        keys = definition.keys
        state = self.client.hgetall(keys.state)
        state.pop("given_back", None)
        return {
            "k": self.client.get(keys.sync_key),
            "state": state,
            "lease": self.client.get(keys.lease),
            "history": self.client.xrange(keys.history),
        }

    def close(self) -> None:
        for store in self._stores:
            store.close()
        self.client.close()
