"""The two pages. Both answer while Redis is away: serving does not depend on the jobs."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

from flask import Blueprint, render_template
from redis import RedisError

from jobrunner import HistoryEntry, JobStatus, StoreError

from .database import new_session
from .extensions import runner
from .models import Visit, minute_of, now
from .queries import latest_minutes, total_visits
from .shared import Summary, read_summary, redis_client

#: How many runs of each job, and how many minutes, the pages show.
RUNS_SHOWN = 5
MINUTES_SHOWN = 30

pages = Blueprint("pages", __name__)


@pages.get("/")
def index() -> str:
    """Count this visit, and show what is known about all of them."""
    with new_session() as session, session.begin():
        session.add(Visit())
        session.flush()
        total = total_visits(session)
        counted = {row.minute: row.visits for row in latest_minutes(session, MINUTES_SHOWN)}
    summary, redis_away = shared_summary()
    return render_template(
        "index.html",
        total=total,
        minutes=timeline(counted),
        summary=summary,
        redis_away=redis_away,
    )


@pages.get("/jobs")
def jobs() -> str:
    """Show every job of the fleet: its schedule, what it does now, and how its last runs ended."""
    known, redis_away = job_reports()
    return render_template("jobs.html", jobs=known, redis_away=redis_away)


def shared_summary() -> tuple[Summary | None, bool]:
    """Return the summary, if there is one, and whether Redis is away."""
    try:
        return read_summary(redis_client()), False
    except RedisError:
        return None, True


def job_reports() -> tuple[list[tuple[JobStatus, list[HistoryEntry]]], bool]:
    """Return each job with its latest runs, and whether Redis is away."""
    try:
        return [(job, runner.history(job.name, RUNS_SHOWN)) for job in runner.status()], False
    except StoreError:
        return [], True


def timeline(counted: dict[int, int]) -> list[tuple[int, int]]:
    """Return the last whole minutes with their visits, oldest first, also those without any."""
    end = minute_of(now())
    return [(minute, counted.get(minute, 0)) for minute in range(end - 60 * MINUTES_SHOWN, end, 60)]


@pages.app_context_processor
def about_this_worker() -> dict[str, object]:
    return {"pid": os.getpid()}


@pages.app_template_filter()
def clock(seconds: float, form: str = "%H:%M:%S") -> str:
    """Unix seconds as a time of day, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime(form)


@pages.app_template_filter()
def distance(seconds: float | None) -> str:
    """Unix seconds as "12 s ago" or "in 3 min"."""
    if seconds is None:
        return "never"
    ahead = seconds - time.time()
    if abs(ahead) < 1:
        return "now"
    return f"in {span(ahead)}" if ahead > 0 else f"{span(-ahead)} ago"


@pages.app_template_filter()
def span(seconds: float) -> str:
    """A duration in its largest fitting unit."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
