"""What must be so when the story is over: each claim accounted for, once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from jobrunner.run import HistoryEntry, Outcome

if TYPE_CHECKING:
    from .ledger import JobRecord, RunRecord
    from .watch import Watch


def check(watch: Watch) -> None:
    """Object to what does not add up."""
    store = watch.world.redis.store()
    for job in watch.jobs.values():
        entries = store.history(job.definition, 10_000)
        job.holding = watch.world.redis.look(job.definition.keys)
        _history(watch, job, entries)
        _counters(watch, job, entries)


def _history(watch: Watch, job: JobRecord, entries: list[HistoryEntry]) -> None:
    """One entry for each run that was claimed and not given back, with its outcome."""
    name, outcomes = job.definition.name, {entry.run_id: entry.outcome for entry in entries}
    for run_id, times in Counter(entry.run_id for entry in entries).items():
        if times > 1:
            watch.object_to(3, f"the history of {name} has run {run_id} {times} times")
        if run_id not in watch.runs:
            watch.object_to(3, f"the history of {name} has run {run_id}, which nobody claimed")
    for record in watch.runs.values():
        if record.job != name or record.excused or record.id == job.holding.run:
            continue
        outcome = outcomes.get(record.id)
        if record.given_back:
            if outcome is not None:
                watch.object_to(3, f"run {record.id} was given back, and recorded as {outcome}")
        elif outcome not in _allowed(record):
            watch.object_to(
                3, f"run {record.id} of {name} was recorded as {outcome}, not {_allowed(record)}"
            )


def _allowed(record: RunRecord) -> list[str | None]:
    # Cancelled before its code began, or between two attempts.
    more: list[str | None] = [Outcome.CANCELLED] if record.is_cancelled else []
    if record.outcome is None:
        return [Outcome.ABANDONED, *more]
    retry = record.process.definitions[record.job].policies.retry
    if retry is None or record.attempt == retry.attempts or record.outcome == Outcome.SUCCEEDED:
        more = []
    elif record.outcome in (Outcome.FAILED, Outcome.TIMED_OUT):
        more += [Outcome.LEASE_LOST, Outcome.INTERRUPTED]
    told = all(active.run.id != record.id for active in record.process.executor.active())
    # Its process may have died after Redis was told, and before it knew that.
    return [record.outcome, *more] if told else [record.outcome, Outcome.ABANDONED, *more]


def _counters(watch: Watch, job: JobRecord, entries: list[HistoryEntry]) -> None:
    """Claims are what has ended and what is running; who is not running has no lease."""
    keys, name, holding = job.definition.keys, job.definition.name, job.holding
    counted = {
        str(outcome): number
        for outcome in Outcome
        if (number := watch.world.redis.counter(keys, f"count_{outcome}"))
    }
    found = Counter(str(entry.outcome) for entry in entries)
    if counted != found:
        watch.object_to(7, f"{name} counts {counted}, and its history has {dict(found)}")
    if holding.runs != sum(counted.values()) + (holding.run is not None):
        watch.object_to(7, f"{name} counts {holding.runs} claims, and {counted}")
    if holding.lease is not None and holding.lease != holding.run:
        watch.object_to(9, f"the lease of {name} is left to {holding.lease}")
