"""The drain: stop claiming, let runs finish, interrupt the rest, record, release.

The lease keeper stops last: a run that is still finishing keeps its lease until then.
"""

from __future__ import annotations

import logging

from ..clock import Clock
from ..engine.executor import Executor
from ..engine.keeper import LeaseKeeper
from ..engine.scheduler import Scheduler
from ..errors import StoreError
from ..store.redis import RedisStore

logger = logging.getLogger("jobrunner")

#: Seconds that interrupted runs have for their `finally` blocks.
INTERRUPT_SECONDS = 1.0


def drain(
    scheduler: Scheduler,
    executor: Executor,
    keeper: LeaseKeeper,
    store: RedisStore,
    *,
    deadline: float,
    trust: Clock,
) -> bool:
    """Stop one instance until trust second `deadline`. True when all runs ended by themselves."""
    running = len(executor.active())
    logger.info("Stopping: %d runs may finish within %.1f s", running, deadline - trust())
    executor.stop_starting()
    _unless_redis_is_away(scheduler.stop_claiming)
    by_themselves = executor.drain(deadline, INTERRUPT_SECONDS)
    _unless_redis_is_away(executor.flush)
    _unless_redis_is_away(store.forget_instance)
    keeper.stop()
    logger.info("Stopped%s", "" if by_themselves else ": some runs did not end by themselves")
    return by_themselves


def _unless_redis_is_away(step: object) -> None:
    assert callable(step)
    try:
        step()
    except StoreError as error:
        logger.warning("While stopping: %s; what was not recorded is left to its lease", error)
