"""What people ask: is it done, and is the fleet told?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .ledger import JobRecord
    from .watch import Watch


def done(watch: Watch, job: JobRecord, what: str, answer: Any) -> None:
    """Redis has done what a person asks of a job, or has refused it."""
    status, detail = (part.decode() for part in answer[:2])
    if status != "done":
        return
    # Until the fleet is told, only the rolling look finds it.
    job.free_since, job.is_untold = max(watch.now, job.free_since), True
    name, held = job.definition.name, job.holding
    if what == "trigger":
        if held.trigger != detail and detail not in watch.answered:
            watch.object_to(3, f"the request {detail} of {name} is accepted, and does not stand")
    elif what == "reset":
        if held.last is not None or not held.is_reset:
            watch.object_to(3, f"{name} was reset, and is not due at once")
        for record in watch.runs.values():
            record.forgotten |= record.job == name
        job.last = None
    elif what == "cancel":
        watch.runs[detail].is_cancelled = True


def told(watch: Watch, job: JobRecord) -> None:
    """The fleet is told that a person has touched a job."""
    job.free_since, job.is_untold = max(watch.now, job.free_since), False
    held = job.holding.run
    if held is not None and watch.runs[held].is_cancelled:
        record = watch.runs[held]
        record.cancel_told_at = record.cancel_told_at or watch.now
