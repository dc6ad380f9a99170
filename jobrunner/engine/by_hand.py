"""Runs that a person starts in this process, where nobody ticks around them."""

from __future__ import annotations

import contextlib

from ..errors import StoreError
from ..job import JobDefinition
from ..run import new_id
from ..store.answers import ANY, BY_HAND, UNKNOWN, Answer, Ask
from ..store.redis import MAX_BATCH, RedisStore
from .due import LONG_AGO_MS
from .executor import Executor


def claim_by_hand(store: RedisStore, definition: JobDefinition) -> Answer:
    """Claim a job now, due or not, paused or not.

    `StoreError` when Redis does not answer; then the claim is not granted later either.
    """
    ask = Ask(definition, new_id(), ANY, LONG_AGO_MS, BY_HAND)
    try:
        (answer,) = store.claim([ask])
        if isinstance(answer, StoreError):
            raise answer
    except StoreError:
        with contextlib.suppress(StoreError):  # as lost as the claim: its lease ends by itself
            store.give_back([(definition, ask.run_id)])
        raise
    return answer


def hear_of_cancels(store: RedisStore, executor: Executor) -> None:
    """Look at the jobs whose runs are under way here, and stop what a person has cancelled."""
    runs = executor.active()[:MAX_BATCH]
    asks = [Ask(active.definition, "", UNKNOWN, LONG_AGO_MS, 0) for active in runs]
    try:
        answers = store.claim(asks)
    except StoreError:
        return  # the link has logged it; asked again soon
    for active, answer in zip(runs, answers, strict=True):
        touched = None if isinstance(answer, StoreError) else answer.known.touched
        if touched is not None and touched.cancel == active.run_id:
            executor.cancel(active.run_id)
