"""The commands that look: list, show, next, history, instances."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING, NamedTuple

import click

from ...run import HistoryEntry, Outcome
from ...status import JobStatus
from . import words
from .as_json import show_json
from .group import Problem, as_json, command, complete_name, job_name, state
from .screen import say, show_facts, show_table

if TYPE_CHECKING:
    from ...application import AppState


@command("list")
@as_json
def list_jobs(as_json: bool) -> None:
    """Each job: schedule, runs and outcome."""
    app = state()
    statuses = app.status()
    if as_json:
        show_json(statuses)
        return
    where = words.zone(app.settings.timezone)
    head = ("JOB", "SCHEDULE", "LAST RUN", "NEXT DUE", "OUTCOME")
    show_table(head, [_row(status, where) for status in statuses], coloured=("OUTCOME",))


@command("show")
@job_name
@as_json
def show(name: str, as_json: bool) -> None:
    """All that is known of one job."""
    app = state()
    status = status_of(app, name)
    if as_json:
        show_json(status)
        return
    show_facts(_facts(status, app.instance().store.now_ms() / 1000, _zone(app)))


@dataclass(frozen=True, slots=True)
class Due:
    """One coming due time."""

    job: str
    due: float


@command("next")
@click.argument("name", required=False, shell_complete=complete_name)
@click.option(
    "--count", type=click.IntRange(1, 10_000), default=10, show_default=True, help="How many."
)
@as_json
def upcoming(name: str | None, count: int, as_json: bool) -> None:
    """The coming due times, soonest first.

    Of one job, or of all.
    """
    app = state()
    if name is not None:
        app.registry.get(name)
    dues = [Due(job, at) for at, job in app.upcoming(count, name)]
    if as_json:
        show_json(dues)
        return
    now, where = app.instance().store.now_ms() / 1000, _zone(app)
    rows = [(words.moment(it.due, where), words.from_now(it.due, now), it.job) for it in dues]
    show_table(("DUE", "THAT IS", "JOB"), rows)


@command("history")
@job_name
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many runs."
)
@click.option(
    "--outcome",
    type=click.Choice([str(outcome) for outcome in Outcome]),
    help="Only the runs that ended so.",
)
@as_json
def history(name: str, limit: int, outcome: str | None, as_json: bool) -> None:
    """Past runs of a job, newest first."""
    app = state()
    app.registry.get(name)
    entries = app.history(name, limit, None if outcome is None else Outcome(outcome))
    if as_json:
        show_json(entries)
        return
    if not entries:
        say(f"No run of {name!r} is recorded{f' that {outcome}' if outcome else ''}.")
        return
    where = _zone(app)
    head = ("STARTED", "TOOK", "OUTCOME", "ATTEMPTS", "INSTANCE", "WHAT")
    show_table(head, [_run_row(entry, where) for entry in entries], coloured=("OUTCOME",))


@command("instances")
@as_json
def instances(as_json: bool) -> None:
    """The instances that run jobs now."""
    app = state()
    alive = app.instances()
    if as_json:
        show_json(alive)
        return
    if not alive:
        say("No instance checks the jobs now.")
        return
    now, where = app.instance().store.now_ms() / 1000, _zone(app)
    rows = [
        (
            one.id,
            one.host or "-",
            "-" if one.pid is None else str(one.pid),
            " ".join(one.tags) or "-",
            words.moment(one.started_at, where),
            words.from_now(one.last_seen, now),
        )
        for one in alive
    ]
    show_table(("INSTANCE", "HOST", "PID", "TAGS", "STARTED", "LAST CHECK"), rows)


def status_of(app: AppState, name: str) -> JobStatus:
    """Where one job stands; `UnknownJobError` for a wrong name."""
    app.registry.get(name)
    found = next((status for status in app.status() if status.name == name), None)
    if found is None:
        raise Problem(f"nothing is told of the job {name!r}")
    return found


def _zone(app: AppState) -> tzinfo:
    return words.zone(app.settings.timezone)


def _row(status: JobStatus, where: tzinfo) -> tuple[str, ...]:
    return (
        status.name,
        status.schedule,
        words.moment(status.last_run, where),
        words.moment(status.next_due, where),
        words.state_of(status),
    )


def _run_row(entry: HistoryEntry, where: tzinfo) -> tuple[str, ...]:
    return (
        words.moment(entry.started_at, where),
        words.duration(entry.finished_at - entry.started_at),
        str(entry.outcome),
        str(entry.attempts),
        entry.instance,
        entry.error or entry.result or "",
    )


class _Moment(NamedTuple):
    """A time, shown with how far it is from now."""

    label: str
    at: float | None


def _facts(status: JobStatus, now: float, where: tzinfo) -> list[tuple[str, str]]:
    facts: list[tuple[str, str | None] | _Moment] = [
        ("job", status.name),
        ("state", words.state_of(status)),
        ("schedule", status.schedule),
        ("sync key", status.sync_key),
        ("runs here", None if status.runs_here else "no: it is meant for other instances"),
        ("problem", status.problem),
        _Moment("last run", status.last_run),
        _Moment("next due", status.next_due),
        ("running", status.running),
        ("on instance", status.instance),
        ("lease ends in", words.duration(status.lease_left) if status.running else None),
        ("progress", words.progress(status.progress) or None),
        ("requested run", status.requested),
        ("pause ends", _pause_end(status, where)),
        ("paused because", status.pause_reason or None),
        _Moment("quarantined until", status.quarantined_until),
        _Moment("overdue since", status.overdue_since),
        _Moment("last finish", status.last_finish),
        ("last outcome", None if status.last_outcome is None else str(status.last_outcome)),
        ("last error", status.last_error),
        _Moment("last success", status.last_success),
        ("last result", status.last_result),
        ("runs", _counts(status)),
        ("skips", ", ".join(f"{n} {skip}" for skip, n in status.skips.items()) or None),
        ("last skip", None if status.last_skip is None else str(status.last_skip)),
        _Moment("it was due", status.last_skip_due),
    ]
    told = []
    for fact in facts:
        if isinstance(fact, _Moment):
            if fact.at is not None:
                far = words.from_now(fact.at, now)
                told.append((fact.label, f"{words.moment(fact.at, where)} ({far})"))
        elif fact[1] is not None:
            told.append((fact[0], fact[1]))
    return told


def _pause_end(status: JobStatus, where: tzinfo) -> str | None:
    if not status.paused:
        return None
    if status.paused_until is None:
        return "when it is resumed"
    return words.moment(status.paused_until, where)


def _counts(status: JobStatus) -> str:
    ended = [(outcome, getattr(status, str(outcome))) for outcome in Outcome]
    parts = [f"{number} {outcome}" for outcome, number in ended if number]
    return f"{status.runs} ({', '.join(parts)})" if parts else str(status.runs)
