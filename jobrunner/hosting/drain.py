"""The drain: stop claiming, let runs finish, interrupt the rest, record, release.

The lease keeper stops last: a run that is still finishing keeps its lease until then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..clock import Clock
from ..engine.executor import ActiveRun, Executor
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
    keeper: LeaseKeeper[ActiveRun],
    store: RedisStore,
    *,
    deadline: float,
    trust: Clock,
) -> bool:
    """Stop one instance until trust second `deadline`. True when all runs ended by themselves."""
    running = len(executor.active())
    left = max(0.0, deadline - trust())
    logger.info("Stopping: %d runs may finish within %.1f s", running, left)
    executor.stop_starting()
    faults = [_tried(scheduler.stop_claiming)]
    by_themselves = executor.drain(deadline, INTERRUPT_SECONDS)
    faults += [_tried(executor.finishes.flush), _tried(store.forget_instance)]
    keeper.stop()
    fault = next(filter(None, faults), None)
    if fault is not None:
        logger.warning("While stopping: %s; what is not recorded is left to its lease", fault)
    logger.info("Stopped%s", "" if by_themselves else ": some runs did not end by themselves")
    return by_themselves


def _tried(step: Callable[[], None]) -> StoreError | None:
    """Do one step of the drain; what Redis has against it, which must not stop the others."""
    try:
        step()
    except StoreError as error:
        return error
    return None
