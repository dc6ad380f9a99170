"""What must be so at every moment: whose code runs, who has been told, what is left lying."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from jobrunner.job import JobDefinition
from jobrunner.schedules import Every
from jobrunner.schedules.aligned import Aligned

from .rules import quarantined_until, tolerance, unmoved

if TYPE_CHECKING:
    from .ledger import JobRecord, RunRecord
    from .server import Holding
    from .watch import Watch


def check(watch: Watch) -> None:
    """Object to what is not so."""
    for process in watch.world.processes.values():
        if not process.is_dead and process.executor.free_slots <= 0:
            process.full_at = watch.now
    for job in watch.jobs.values():
        if job.executing:
            _executing(watch, job)
        if job.holding.run is not None:
            _cancelled(watch, watch.runs[job.holding.run])
        _left_lying(watch, job)


def _executing(watch: Watch, job: JobRecord) -> None:
    """Promises 1 and 4: one run of a job trusts its lease, rightly; what does not was told."""
    job.executing = [record for record in job.executing if record.is_executing]
    trusted = [record for record in job.executing if record.is_trusted]
    name = job.definition.name
    if len(trusted) > 1 and not any(record.excused for record in trusted):
        ids = " and ".join(record.id for record in trusted)
        watch.object_to(1, f"{ids} of {name} run at once, and each trusts its lease")
    for record in trusted:
        if record.excused:
            continue
        if job.holding.run != record.id:
            watch.object_to(1, f"{record.id} of {name} trusts a lease of {job.holding.run}")
        elif record.lease_until <= watch.now:
            watch.object_to(4, f"{record.id} of {name} trusts a lease that has ended")
    for record in job.executing:
        active, process = record.active, record.process
        assert active is not None
        late = process.trust() - active.trusted_until
        if late > 0.02 and active.stop_reason is None and not process.hub.stops:
            watch.object_to(4, f"{record.id} of {name} was not told that its lease is lost")


def _cancelled(watch: Watch, record: RunRecord) -> None:
    """A run that a person has cancelled is told."""
    well_since = record.process.could_work_since()
    if record.cancel_told_at is None or well_since is None or record.excused:
        return
    plan = watch.world.plan
    waited = watch.now - max(record.cancel_told_at, well_since)
    if waited <= plan.check_interval + plan.lease / 3:
        return
    for active in record.process.executor.active():
        if active.run.id == record.id and not active.ended and active.stop_reason is None:
            watch.object_to(3, f"{record.id} of {record.job} was cancelled and not told so")


def _left_lying(watch: Watch, job: JobRecord) -> None:
    """Promise 3: what is due is run, and a death is recorded, while anybody is there to do it."""
    since, what = _waits_since(watch, job)
    if since is None or since > watch.now:
        return
    plan, name = watch.world.plan, job.definition.name
    patience = 2 * plan.check_interval + plan.timeout + 0.1
    if job.has_surprised or job.is_untold:
        patience += plan.resync_interval + plan.check_interval
    if watch.now - since <= patience:
        return
    for process in watch.world.live():
        well_since = process.could_work_since()
        if name not in process.definitions or well_since is None:
            continue
        if job.holding.run is None:
            well_since = max(well_since, process.full_at)
        waited = watch.now - max(since, well_since)
        if waited > patience:
            watch.object_to(
                3, f"{what} for {watch.now - since:.3f} s; {process} could for {waited:.3f} s"
            )


def _waits_since(watch: Watch, job: JobRecord) -> tuple[float | None, str]:
    """Since when somebody has had reason to do something about a job; None: nobody has."""
    holding, name = job.holding, job.definition.name
    if holding.run is not None:
        until = watch.runs[holding.run].lease_until
        return until, f"the death of {holding.run} of {name} has not been recorded"
    dues = [
        _due(holding, definition, watch.world.redis.time(), process.started)
        for process in watch.world.live()
        if (definition := process.definitions.get(name)) is not None
    ]
    if not dues or None in dues:
        return None, ""
    # By the latest: while two versions live, each goes by its own schedule.
    due = max(quarantined_until(holding, watch.world.plan.quarantine_after), *filter(None, dues), 0)
    due = max(due, holding.paused_until)
    if holding.trigger:
        due = 0.0  # neither a pause nor a quarantine holds a request up
    return max(job.free_since, watch.world_second(due)), f"{name} is due and not run"


def _due(holding: Holding, definition: JobDefinition, now: float, known: float) -> float | None:
    """By when it is due at the latest, in Redis's seconds; None: who knows. The process that asks
    may have `known` the schedule since then only.
    """
    policies, last, rule = definition.policies, holding.last, unmoved(definition.schedule)
    if holding.trigger or (policies.recover and holding.abandoned_due is not None):
        return 0.0
    if last is None:
        return 0.0 if isinstance(rule, Every) or holding.is_reset else None
    if last > now + tolerance(rule):
        return 0.0
    if isinstance(rule, Every):
        if rule.counts_from == "finish":
            last = max(last, holding.finished or last)
        interval = rule.interval_ms / 1000
    else:
        interval = 60.0 if not isinstance(rule, Aligned) else rule.interval_ms / 1000
        last = max(last, known) // interval * interval
    due = last + interval
    if policies.grace is not None and due + policies.grace < now:
        due = last + math.ceil((now - policies.grace - last) / interval) * interval
    return due + policies.jitter
