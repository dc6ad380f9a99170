"""How the jobs stand, and when they are due next."""

from __future__ import annotations

import heapq
import json
import logging
import platform
import re
from collections.abc import Sequence

from ..errors import StoreError
from ..job import JobDefinition
from ..quarantine import quarantined_until_ms
from ..run import Outcome, Progress, Skip
from ..status import JobStatus
from ..store.answers import Known, Peek
from ..store.redis import RedisStore
from .due import LONG_AGO_MS, due_again

logger = logging.getLogger("jobrunner")

_WHOLE = re.compile("-?[0-9]+")


def status(
    definitions: Sequence[JobDefinition],
    store: RedisStore,
    quarantine_after: int,
    tags: tuple[str, ...],
) -> list[JobStatus]:
    """Where each job stands, read from Redis now; `StoreError` when it is away."""
    host = platform.node()
    now_ms = store.now_ms()
    peeks = store.peek([definition.keys for definition in definitions])
    since = _since(definitions, store)
    return [
        _status(definition, peek, now_ms, since_ms, quarantine_after, host, tags)
        for definition, peek, since_ms in zip(definitions, peeks, since, strict=True)
    ]


def _since(definitions: Sequence[JobDefinition], store: RedisStore) -> list[int | None]:
    try:
        return store.since(definitions)
    except StoreError as error:
        if not store.link.up:
            raise
        # A key of a wrong type: what changed with a deploy is not known, and all else is.
        logger.debug("The announced jobs cannot be read: %s", error)
        return [None] * len(definitions)


def _status(
    definition: JobDefinition,
    peek: Peek,
    now_ms: int,
    since_ms: int | None,
    quarantine_after: int,
    host: str,
    tags: tuple[str, ...],
) -> JobStatus:
    state = peek.state
    known, problem = _known(peek)
    waits_until_ms = quarantined_until_ms(
        known.abandoned_in_row, known.abandoned_ms, quarantine_after
    )
    # A run without a lease is over, though nobody has recorded it yet.
    running = (state.get("run") or None) if peek.lease_left_ms else None
    paused = _paused(state.get("paused"), now_ms)
    return JobStatus(
        name=definition.name,
        schedule=str(definition.schedule),
        sync_key=definition.keys.sync_key,
        last_run=_seconds(known.last_ms),
        next_due=None
        if problem
        else _next_due(definition, known, now_ms, since_ms, waits_until_ms),
        running=running,
        instance=state.get("instance") if running else None,
        lease_left=peek.lease_left_ms / 1000 if running else None,
        last_finish=_seconds(_number(state.get("finished_ms"))),
        last_outcome=_outcome(state.get("outcome")),
        last_error=state.get("error") or None,
        runs=_number(state.get("runs")) or 0,
        succeeded=_number(state.get("count_succeeded")) or 0,
        failed=_number(state.get("count_failed")) or 0,
        interrupted=_number(state.get("count_interrupted")) or 0,
        lease_lost=_number(state.get("count_lease_lost")) or 0,
        stale=_number(state.get("count_stale")) or 0,
        abandoned=_number(state.get("count_abandoned")) or 0,
        timed_out=_number(state.get("count_timed_out")) or 0,
        cancelled=_number(state.get("count_cancelled")) or 0,
        quarantined_until=_seconds(waits_until_ms),
        paused=paused is not None,
        paused_until=_seconds(_number(paused)),
        pause_reason=state.get("pause_reason", "") if paused else "",
        requested=state.get("trigger") or None,
        progress=_progress(state.get("progress")) if running else None,
        last_result=state.get("result") or None,
        last_success=_seconds(_number(state.get("succeeded_ms"))),
        overdue_since=_seconds(_number(state.get("overdue_ms"))),
        skips={skip: n for skip in Skip if (n := _number(state.get(f"count_skip_{skip}")))},
        last_skip=_skip(state.get("skip_reason")),
        last_skip_due=_seconds(_number(state.get("skip_due_ms"))),
        enabled=definition.policies.enabled,
        runs_here=definition.policies.may_run_on(host, tags),
        problem=problem,
    )


def _known(peek: Peek) -> tuple[Known, str | None]:
    """The last start and first sight, as the scripts read them; and what cannot be read."""
    state = peek.state
    second = _number(peek.last_start)
    known = Known(
        None,
        _number(state.get("first_seen_ms")),
        None,
        0,
        _number(state.get("abandoned_due_ms")),
        _number(state.get("abandoned_in_row")) or 0,
        _number(state.get("abandoned_ms")),
        _number(state.get("served_ms")),
        _number(state.get("finished_ms")),
    )
    problem = peek.problem
    if problem is None and peek.last_start is not None and second is None:
        problem = f"the last run is {peek.last_start!r}, not a Unix time in whole seconds"
    if second is None:
        return known, problem
    refined = _number(state.get("last_ms"))
    last_ms = refined if refined is not None and refined // 1000 == second else second * 1000 + 999
    return known._replace(last_ms=last_ms), problem


def _next_due(
    definition: JobDefinition,
    known: Known,
    now_ms: int,
    since_ms: int | None,
    waits_until_ms: int | None,
) -> float | None:
    try:
        due_ms = max(0, due_again(definition, known, now_ms, since_ms or LONG_AGO_MS).at_ms)
    except Exception:  # a user's schedule; the scheduler logs the same as an error
        return None
    return max(due_ms or now_ms, waits_until_ms or 0) / 1000


def _number(text: str | None) -> int | None:
    # As strict as the scripts: Python's int() takes '1_000', ' 7' and any script's digits.
    return int(text) if text is not None and _WHOLE.fullmatch(text) and len(text) <= 20 else None


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _outcome(text: str | None) -> Outcome | None:
    return Outcome(text) if text in set(Outcome) else None


def _skip(text: str | None) -> Skip | None:
    return Skip(text) if text in set(Skip) else None


def _paused(text: str | None, now_ms: int) -> str | None:
    """Until when the job is paused, as it is stored; None: it is not, or not any more."""
    until_ms = _number(text)
    return None if not text or (until_ms is not None and until_ms <= now_ms) else text


def _progress(text: str | None) -> Progress | None:
    try:
        told = json.loads(text or "null")
        return Progress(told["done"], told["total"], str(told["message"]), told["at_ms"] / 1000)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def upcoming(
    statuses: Sequence[JobStatus], definitions: Sequence[JobDefinition], count: int, now: float
) -> list[tuple[float, str]]:
    """The next `count` due times of all these jobs, with their names, the soonest first.

    As if each ran when it is due, and at once: what is overdue is due `now`, and what is paused
    when that is over.
    """
    by_name = {definition.name: definition for definition in definitions}
    heap = [
        (round(max(now, status.next_due, status.paused_until or 0) * 1000), status.name)
        for status in statuses
        if status.name in by_name
        and status.next_due is not None
        and status.enabled
        and not (status.paused and status.paused_until is None)
    ]
    heapq.heapify(heap)
    found: list[tuple[float, str]] = []
    while heap and len(found) < count:
        due_ms, name = heapq.heappop(heap)
        found.append((due_ms / 1000, name))
        try:
            heapq.heappush(heap, (by_name[name].schedule.next_due_ms(due_ms), name))
        except Exception:  # a user's schedule that ends, or overflows: it has no more due times
            logger.debug("Job %s has no due time after %d ms", name, due_ms)
    return found
