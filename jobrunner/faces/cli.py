"""`flask jobs`: the jobs of the application on the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import AppGroup

from ..errors import JobRunnerError

if TYPE_CHECKING:
    from ..application import AppState
    from ..status import JobStatus

jobs = AppGroup("jobs", help="Show and run the recurring jobs of this application.")


@jobs.command("list")
def list_jobs() -> None:
    """Each job: its schedule, last run, next due time and last outcome."""
    try:
        statuses = _state().status()
    except JobRunnerError as error:
        raise click.ClickException(str(error)) from None
    rows = [("JOB", "SCHEDULE", "LAST RUN", "NEXT DUE", "OUTCOME"), *map(_row, statuses)]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


@jobs.command("serve")
def serve() -> None:
    """Run the jobs in this process, without a web server, until TERM or INT."""
    try:
        _state().run_jobs()
    except JobRunnerError as error:
        raise click.ClickException(str(error)) from None


@jobs.command("init-db")
def init_db() -> None:
    """Create the table that fenced jobs need, in the database of the jobs."""
    try:
        database = _state().create_fence_table()
    except JobRunnerError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"The table jobrunner_fence is in {database}.")


def _state() -> AppState:
    state: AppState | None = current_app.extensions.get("jobrunner")
    if state is None:
        raise click.ClickException(
            f"the application {current_app.name!r} has no job runner. "
            f"Did you forget to call JobRunner(app) or runner.init_app(app)?"
        )
    return state


def _row(status: JobStatus) -> tuple[str, str, str, str, str]:
    outcome = "running" if status.running else (status.problem or status.last_outcome or "-")
    return (
        status.name,
        status.schedule,
        _moment(status.last_run),
        _moment(status.next_due),
        str(outcome),
    )


def _moment(unix_seconds: float | None) -> str:
    if unix_seconds is None:
        return "-"
    try:
        return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"{unix_seconds:g}"
