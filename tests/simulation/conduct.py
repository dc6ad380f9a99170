"""How runs and processes behave: what is asked when a run begins, loses its lease, is refused, and
when a process ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobrunner.run import Outcome, Run
from jobrunner.schedules import Every

from .ledger import JobRecord, RunRecord
from .rules import A_HAIR, A_MOMENT, unmoved

if TYPE_CHECKING:
    from .process import Process
    from .watch import Watch


def check_beginning(watch: Watch, job: JobRecord, record: RunRecord, run: Run) -> None:
    """Promises 2, 4 and 9: not too early, not without trust, not in a drain."""
    name, process = f"run {run.id} of {run.job}", record.process
    if not record.is_trusted:
        watch.object_to(4, f"{name} begins without trust in its lease")
    if process.drains_since is not None and watch.now > process.drains_since:
        watch.object_to(9, f"{name} begins while {process} drains")
    if record.active is not None and record.active.stop_reason is not None:
        watch.object_to(4, f"{name} begins, and was told to stop")
    if run.attempt == 1:
        _check_moment(watch, record, run)
        if record.repeats is None and not record.excused:
            _check_start(watch, job, record, run)


def _check_moment(watch: Watch, record: RunRecord, run: Run) -> None:
    """What is claimed before its time waits for that, by Redis's clock as it was at the claim; of
    a process whose own clock is wrong it is not known how long it waits.
    """
    early = run.started_at - watch.world.redis.time()
    if early > A_HAIR and watch.jumped_at < record.kept_at and record.process.hub.rate == 1.0:
        watch.object_to(2, f"run {run.id} of {run.job} begins {early:.6f} s before it starts")


def _check_start(watch: Watch, job: JobRecord, record: RunRecord, run: Run) -> None:
    name, last = f"run {run.id} of {run.job}", job.last
    if run.due_at > run.started_at + A_MOMENT:
        watch.object_to(2, f"{name} begins before it is due")
    if last is None or last.run is None or last.excused or last.in_future or record.request:
        return
    # What Redis held as the last start may be a claim whose run never began.
    at = job.claims.index(record) if record in job.claims else 0
    if at > 0 and job.claims[at - 1].in_future:
        return
    schedule = unmoved(record.process.definitions[run.job].schedule)
    apart = run.started_at - last.run.started_at
    if isinstance(schedule, Every):
        if apart <= schedule.interval_ms / 1000:
            watch.object_to(2, f"{name} starts {apart:.3f} s after {last.id}, and is {schedule}")
    elif run.due_at <= last.run.due_at:
        watch.object_to(2, f"{name} is for {run.due_at}, and {last.id} was for {last.run.due_at}")


def check_attempt(watch: Watch, record: RunRecord, run: Run) -> None:
    """A run is begun once; another attempt follows one that failed, as often as it may."""
    retry = record.process.definitions[run.job].policies.retry
    most = 1 if retry is None else retry.attempts
    if run.attempt != record.attempt + 1 or run.attempt > most:
        watch.object_to(1, f"{record.process} runs {run.id} of {run.job} a second time")
    elif run.attempt > 1 and record.outcome not in (Outcome.FAILED, Outcome.TIMED_OUT):
        watch.object_to(1, f"{run.id} of {run.job} is tried again, and has {record.outcome}")


def check_death(watch: Watch, record: RunRecord) -> None:
    """Promise 3: the lease of a run ends only when its process died, or could not renew it."""
    process = record.process
    if record.excused or record.belated or process.is_dead:
        return
    known = any(active.run.id == record.id for active in process.executor.active())
    until = min(watch.now, record.lease_until)
    well = process.health.longest_well(record.kept_at, until, hub=not known)
    if well > 0.5 * watch.world.plan.lease:
        watch.object_to(
            3,
            f"run {record.id} of {record.job} was recorded as abandoned; its lease was last "
            f"renewed at {record.kept_at:.3f}, and {process} was well for {well:.3f} s since then",
        )


def check_loss(watch: Watch, record: RunRecord) -> None:
    """Promise 4: a run is told that its lease is lost only when something was wrong lately."""
    process, lease = record.process, watch.world.plan.lease
    if record.excused:
        return
    well = process.health.longest_well(watch.now - 0.9 * lease, watch.now, hub=True)
    if well > 0.5 * lease:
        watch.object_to(
            4,
            f"run {record.id} of {record.job} was told that its lease is lost, and {process} was "
            f"well for {well:.3f} s just before",
        )


def check_refusal(watch: Watch, job: JobRecord, record: RunRecord) -> None:
    """Promise 5, the other way round: the newest run is not stale.

    But for one: with a clock behind, after a loss of data, a token may be given a second time,
    and an equal one is refused, as the design has it.
    """
    if record.excused or watch.may_repeat_tokens:
        return
    if job.claims[-1:] == [record]:
        watch.object_to(5, f"{record.id} is refused as stale, and it is the newest run")


def check_drain(watch: Watch, process: Process) -> None:
    """Promises 3 and 9: a process that could speak with Redis leaves nothing behind, unless it
    ignored its interruption.
    """
    since = process.drains_since
    if since is None or not process.health.was_well_since(since):
        return
    for job in watch.jobs.values():
        holder = watch.runs.get(job.holding.run or "")
        if holder is None or holder.process is not process:
            continue
        if holder.excused or holder.belated:
            continue
        if holder.active is None:
            watch.object_to(3, f"{process} ends and has not given back {holder.id}")
        elif holder.outcome is not None:
            watch.object_to(9, f"{process} ends and has not released {holder.id}")
