"""The tables. Times are whole Unix seconds: the same in every database and in every time zone."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import BigInteger
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def now() -> int:
    return int(time.time())


def minute_of(seconds: Any) -> Any:
    """Return the start of the minute that `seconds`, a number or a column, falls into."""
    return seconds - seconds % 60


class Base(DeclarativeBase):
    pass


class Visit(Base):
    """One request of the front page."""

    __tablename__ = "visit"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[int] = mapped_column(BigInteger, default=now, index=True)


class VisitsPerMinute(Base):
    """How many visits one whole minute had, written by the job `roll_up_visits`."""

    __tablename__ = "visits_per_minute"

    minute: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    visits: Mapped[int]
