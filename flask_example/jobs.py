"""The jobs. Each runs once per due time, in whichever worker gets hold of it.

They are written so that one run more, or a run cut short by a power failure, does no harm: what a
transaction does is done whole or not at all, and doing it again leads to the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import current_app
from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects import postgresql, sqlite

from jobrunner import Job, JobContext, cron, every

from .extensions import ExampleContext, runner
from .models import Visit, VisitsPerMinute, minute_of, now
from .queries import busiest_minute, total_visits
from .shared import Summary, write_summary

#: "INSERT ... ON CONFLICT" is no standard SQL: SQLAlchemy has one for each database.
INSERT: dict[str, Callable[[Any], postgresql.Insert | sqlite.Insert]] = {
    "postgresql": postgresql.insert,
    "sqlite": sqlite.insert,
}


@runner.job(every(seconds=10))
def roll_up_visits(ctx: JobContext) -> None:
    """Count the visits of every minute that is over; counted again, it gets the same row again."""
    minute = minute_of(Visit.at).label("minute")
    counted = (
        select(minute, func.count(Visit.id)).where(Visit.at < minute_of(now())).group_by(minute)
    )
    with ctx.session() as session:
        insert = INSERT[session.get_bind().dialect.name](VisitsPerMinute)
        upsert = insert.from_select(["minute", "visits"], counted)
        session.execute(
            upsert.on_conflict_do_update(
                index_elements=["minute"], set_={"visits": upsert.excluded.visits}
            )
        )


@runner.job(cron("*/5 * * * *"))
def purge_old_visits(ctx: JobContext) -> None:
    """Delete old visits, by whole minutes that have been rolled up.

    So no visit goes uncounted, and no later roll-up counts what is left of half a minute.
    """
    keep: timedelta = current_app.config["KEEP_VISITS"]
    oldest = minute_of(now() - int(keep.total_seconds()))
    rolled_up = minute_of(Visit.at).in_(select(VisitsPerMinute.minute))
    with ctx.session() as session:
        session.execute(delete(Visit).where(Visit.at < oldest, rolled_up))


@runner.job(every(seconds=10))
def share_summary(ctx: ExampleContext) -> None:
    """Work out a summary once, and put it where every worker's page finds it."""
    # Read first, then talk to Redis: no transaction stays open while we wait for another server.
    # On SQLite it would hold the write lock, and every other request would wait for it.
    with ctx.session() as session:
        total = total_visits(session)
        busiest = busiest_minute(session)
        summary = Summary(
            total=total,
            busiest_minute=busiest.minute if busiest else None,
            busiest_minute_visits=busiest.visits if busiest else 0,
            written_at=now(),
            written_by=os.getpid(),
        )
    write_summary(ctx.redis, summary)


class DummyJob(Job):
    """A job as a class: worth it when it has parameters or state, or shares code with others."""

    name = "DUMMY JOB"
    interval = timedelta(seconds=15)
    # The Redis key of its last start. Left out, it would be "{flask_example}:job:DUMMY JOB". With a
    # key of your choice, services in other languages can read it, or share the job.
    sync_key = "DUMMY_JOB_LAST_RUN"

    def run(self, ctx: JobContext) -> None:
        with ctx.session() as session:
            session.execute(text("SELECT 1"))


class SecondDummyJob(DummyJob):
    """The same work, three times as often."""

    name = "SECOND DUMMY JOB"
    interval = timedelta(seconds=5)
    sync_key = "SECOND_DUMMY_JOB_LAST_RUN"
