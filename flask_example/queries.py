"""What pages and jobs ask the database."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from .models import Visit, VisitsPerMinute, minute_of


def total_visits(session: Session) -> int:
    """Return how many visits there have ever been: those in minutes rolled up, and the newer ones.

    One statement, so that a roll-up that commits in between counts no visit twice.
    """
    rolled_up = select(func.coalesce(func.sum(VisitsPerMinute.visits), 0)).scalar_subquery()
    newer = (
        select(func.count(Visit.id))
        .where(minute_of(Visit.at).not_in(select(VisitsPerMinute.minute)))
        .scalar_subquery()
    )
    return int(session.execute(select(rolled_up + newer)).scalar_one())


def latest_minutes(session: Session, limit: int = 30) -> list[VisitsPerMinute]:
    """Return the newest minutes with visits that were rolled up, oldest first."""
    newest = select(VisitsPerMinute).order_by(VisitsPerMinute.minute.desc()).limit(limit)
    return list(session.scalars(newest))[::-1]


def busiest_minute(session: Session) -> VisitsPerMinute | None:
    """Return the first of the minutes with the most visits, or None before the first roll-up."""
    return session.scalar(
        select(VisitsPerMinute)
        .order_by(VisitsPerMinute.visits.desc(), VisitsPerMinute.minute)
        .limit(1)
    )
