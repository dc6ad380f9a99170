"""What one call changes in Redis: is each claim a right one, and is nothing taken from anybody?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobrunner.schedules import Every, Schedule

from .conduct import check_death
from .ledger import JobRecord, RunRecord
from .rules import A_MOMENT, quarantined_until, tolerance, unmoved
from .server import Holding
from .words import Stands

if TYPE_CHECKING:
    from .watch import Watch
    from .wire import Call


def compare(watch: Watch, job: JobRecord, call: Call) -> None:
    """See what a call has changed at one job, and write it down."""
    before, after = job.holding, watch.world.redis.look(job.definition.keys)
    job.holding = after
    if before.run != after.run:
        watch.world.note("    in Redis: %s", Stands(job.definition.name, after))
        if before.run is not None:
            _taken_away(watch, job, watch.runs[before.run], call)
        if after.run is not None:
            _claimed(watch, job, after.run, before, call)
    if after.abandoned_in_row < before.abandoned_in_row and before.run is None:
        # A finish came late: what waited for an abandoned run's sake waits no more.
        job.free_since, job.has_surprised = watch.now, True
    if before.trigger and after.trigger != before.trigger and after.request != before.trigger:
        watch.object_to(3, f"{call} loses the request {before.trigger} of {job.definition.name}")
    if call.kind == "finish":
        _amended(watch, job, before, call)
    if after.run is not None:
        _lease(watch, watch.runs[after.run], after, call)


def look_anew(watch: Watch, job: JobRecord, *, surprise: bool) -> None:
    """After what befell Redis itself: see what stands there now, and blame nobody."""
    job.holding = held = watch.world.redis.look(job.definition.keys)
    job.free_since = max(watch.now, job.free_since)
    job.has_surprised |= surprise
    if held.run is not None:
        ends_at = held.lease_until
        watch.runs[held.run].lease_until = (
            watch.now if ends_at is None else watch.world_second(ends_at)
        )


def _lease(watch: Watch, record: RunRecord, held: Holding, call: Call) -> None:
    if held.lease_until is None:
        if record.lease_until > watch.now + A_MOMENT:
            watch.object_to(1, f"{call} took the lease of run {record.id}")
            record.lease_until = watch.now
        return
    until = watch.world_second(held.lease_until)
    if abs(until - record.lease_until) > A_MOMENT / 4:
        record.kept_at, record.lease_until = watch.now, until


def _claimed(watch: Watch, job: JobRecord, run_id: str, before: Holding, call: Call) -> None:
    held, earlier = job.holding, watch.runs.get(run_id)
    if earlier is not None and not earlier.given_back and not earlier.excused:
        watch.object_to(1, f"run {run_id} of {job.definition.name} was claimed twice")
    if held.token <= job.largest_token and not watch.may_repeat_tokens:
        watch.object_to(5, f"token {held.token} of run {run_id} is not above {job.largest_token}")
    job.largest_token = max(job.largest_token, held.token)
    record = watch.runs[run_id] = RunRecord(
        id=run_id,
        job=job.definition.name,
        process=watch.world.processes[held.instance],
        token=held.token,
        number=len(watch.runs),
        kept_at=watch.now,
        lease_until=watch.now,
        due=held.due,
        started=held.last or 0.0,
        request=held.request,
        before=before,
        belated=call.sent_at < max(watch.lost_data_at, job.given_back_at),
    )
    if watch.given_back.get(run_id, -1.0) > watch.lost_data_at:
        watch.object_to(3, f"run {run_id} of {record.job} is claimed, and was given back before")
    _check_claim(watch, job, record, call)
    job.claims.append(record)


def _check_claim(watch: Watch, job: JobRecord, record: RunRecord, call: Call) -> None:
    """May it be claimed: for a request, for what was abandoned, or by the schedule?"""
    if record.request:
        _check_request(watch, record)
        return
    definition, before = record.process.definitions[record.job], record.before
    last = job.claims[-1] if job.claims else None
    if definition.policies.recover and last is not None and before.abandoned_due is not None:
        record.repeats = last
        if record.due != before.abandoned_due:
            watch.object_to(
                3,
                f"run {record.id} repeats {last.id}, which was due for {last.due}, and is due "
                f"for {record.due}",
            )
    until = quarantined_until(before, watch.world.plan.quarantine_after)
    if record.started < until:
        watch.object_to(7, f"run {record.id} of {record.job} is claimed in its quarantine")
    if before.paused_until > record.started:
        watch.object_to(2, f"run {record.id} of {record.job} is claimed, and the job is paused")
    if record.repeats is None:
        _check_finish(watch, record, definition.schedule)
        _check_lateness(watch, record, definition.policies.grace, call)


def _check_request(watch: Watch, record: RunRecord) -> None:
    """A request is answered once; what is lost with Redis's data is another matter."""
    other = watch.answered.get(record.request)
    if other is not None and not other.given_back and not other.excused:
        watch.object_to(3, f"{other.id} and {record.id} both answer request {record.request}")
    watch.answered[record.request] = record


def _check_finish(watch: Watch, record: RunRecord, schedule: Schedule) -> None:
    """Promise 2, where an interval is counted from the last finish."""
    before, rule = record.before, unmoved(schedule)
    if not isinstance(rule, Every) or rule.counts_from != "finish":
        return
    if before.last is None or before.finished is None:
        return
    if before.last > record.started + tolerance(rule):
        return
    apart = record.started - before.finished
    if apart <= rule.interval_ms / 1000:
        watch.object_to(
            2, f"run {record.id} of {record.job} starts {apart:.3f} s after a finish; it is {rule}"
        )


def _check_lateness(watch: Watch, record: RunRecord, grace: float | None, call: Call) -> None:
    """A job that skips what is late does not start late: as of when it was asked for, with the
    clock that its process knew.
    """
    if grace is None or record.due is None or watch.jumped_at >= record.process.clock.heard_at:
        return
    sent = watch.world.redis.time() - (watch.now - call.sent_at)
    late = sent - record.due - grace
    if late > A_MOMENT + 0.03 * watch.world.plan.lease:
        watch.object_to(
            2, f"run {record.id} of {record.job} is asked for {late:.3f} s after its grace"
        )


def _amended(watch: Watch, job: JobRecord, before: Holding, call: Call) -> None:
    """A finish that came after the death was recorded takes back what that has set off."""
    name, held = job.definition.name, job.holding
    ids = [run_id for definition, run_id in call.about if definition.name == name]
    record = watch.runs[ids[0]]
    if len(ids) > 1 or not record.abandoned or record.amended or record.excused:
        return
    record.amended = True
    if held.abandoned_in_row != max(0, before.abandoned_in_row - 1):
        watch.object_to(
            3, f"{call} leaves {held.abandoned_in_row} of {before.abandoned_in_row} in the row"
        )
    if held.abandoned_due is not None and job.claims[-1:] == [record]:
        watch.object_to(3, f"{call} leaves {record.id} to be run again")


def _check_give_back(watch: Watch, job: JobRecord, record: RunRecord) -> None:
    """Promise 3: the job is as due as before."""
    if record.active is not None:
        watch.object_to(3, f"run {record.id} was given back after its code had begun")
    if record.excused:
        return
    before, held = record.before, job.holding
    if record.request and not held.trigger:
        watch.object_to(3, f"run {record.id} was given back, and its request is lost")
    if record.forgotten:
        return
    mark = None if job.claims and job.claims[-1].amended else before.abandoned_due
    if (before.last, before.due, mark) != (held.last, held.due, held.abandoned_due):
        watch.object_to(3, f"run {record.id} was given back, and {job.definition.name} is changed")


def _taken_away(watch: Watch, job: JobRecord, record: RunRecord, call: Call) -> None:
    job.free_since = watch.now
    if call.kind == "give back":
        record.given_back = True
        job.given_back_at = watch.now
        job.claims.remove(record)
        # Who saw it held looks again when that lease would have ended.
        job.free_since = max(watch.now, record.lease_until)
        _check_give_back(watch, job, record)
    elif call.kind != "finish":
        record.abandoned = True
        check_death(watch, record)
