"""The fleet with a fault planted: a claim that reads, decides in Python, and then writes."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import redis

from jobrunner.store.answers import Answer, Ask, Known, Status
from jobrunner.store.redis import RedisStore
from tests.cluster.apps.fleet import create_app

__all__ = ["create_app"]


@cache
def client() -> Any:
    """One of this worker's own: made after the fork."""
    setup = json.loads(Path("fleet.json").read_text())
    return redis.Redis.from_url(setup["config"]["JOBRUNNER_REDIS_URL"])


def _get_then_set(self: RedisStore, asks: Sequence[Ask], *, ahead_ms: int = 0) -> list[Answer]:
    sent_at = self._clock.trust()
    seconds, micros = client().time()
    self._clock.heard(seconds * 1000 + micros / 1000, sent_at)
    now_ms = seconds * 1000 + micros // 1000
    peeks = self.peek([ask.definition.keys for ask in asks])
    # Here lies the fault: what others write from now on is not seen.
    pipeline = client().pipeline(transaction=False)
    answers = [
        _decide(ask, peek.state, now_ms, peek.lease_left_ms, pipeline, self)
        for ask, peek in zip(asks, peeks, strict=True)
    ]
    pipeline.execute()
    return answers


def _decide(
    ask: Ask,
    state: Any,
    now_ms: int,
    lease_left_ms: int,
    pipeline: Any,
    store: RedisStore,
) -> Answer:
    """The rule of the claiming script, in Python."""
    last_ms = int(state["last_ms"]) if "last_ms" in state else None
    running = state.get("run") or None
    token = int(state.get("token", 0))

    def answer(status: Status) -> Answer:
        known = Known(last_ms, None, running, max(0, lease_left_ms))
        return Answer(status, known, None, token, ask.due_ms or now_ms, "")

    if ("-" if last_ms is None else str(last_ms)) != ask.computed_from:
        return answer(Status.CHANGED)
    if running:
        return answer(Status.HELD)
    if now_ms <= ask.early_until_ms:
        return answer(Status.EARLY)
    if not ask.run_id:
        return answer(Status.DUE)
    keys = ask.definition.keys
    last_ms, running, token = now_ms, ask.run_id, max(token + 1, now_ms * 1000)
    lease_left_ms = store._lease_ms
    written = {"last_ms": now_ms, "run": running, "token": token, "instance": store._instance}
    pipeline.hset(keys.state, mapping=written)
    pipeline.set(keys.sync_key, now_ms // 1000)
    pipeline.set(keys.lease, running, px=lease_left_ms)
    return answer(Status.CLAIMED)


RedisStore.claim = _get_then_set  # type: ignore[method-assign]
