"""The rules of the design, once more: what the watch goes by must not be the library's own."""

from __future__ import annotations

from jobrunner.schedules import Every, Schedule
from jobrunner.schedules.shift import Shifted

from .server import Holding

#: Redis counts milliseconds; in seconds.
A_MOMENT = 0.002

#: What floating-point numbers of today's Unix seconds leave open.
A_HAIR = 0.000_001


def quarantined_until(holding: Holding, after: int) -> float:
    """Until when a job waits whose last runs were abandoned, in Redis's seconds."""
    if holding.abandoned_in_row < after or holding.abandoned_at is None:
        return 0.0
    return holding.abandoned_at + min(60.0 * 2 ** (holding.abandoned_in_row - after), 3600.0)


def unmoved(schedule: Schedule) -> Schedule:
    """The schedule without its jitter."""
    return schedule.schedule if isinstance(schedule, Shifted) else schedule


def tolerance(schedule: Schedule) -> float:
    """How far ahead a last run may be, in seconds, and still be believed."""
    schedule = unmoved(schedule)
    return schedule.interval_ms / 1000 if isinstance(schedule, Every) else 3600.0
