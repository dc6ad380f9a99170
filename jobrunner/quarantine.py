"""Quarantine: a job whose last runs were abandoned, one after the other, waits."""

from __future__ import annotations

#: The first pause of a quarantined job, and the longest, in milliseconds.
FIRST_QUARANTINE_MS = 60_000
LONGEST_QUARANTINE_MS = 3_600_000


def quarantined_until_ms(
    abandoned_in_row: int, abandoned_ms: int | None, quarantine_after: int
) -> int | None:
    """Until when a job waits whose last runs were abandoned; None: it does not.

    A job that kills its worker would kill the fleet, worker by worker: from `quarantine_after`
    abandoned runs in a row on it waits a minute, then twice as long each time, an hour at most.
    """
    if abandoned_in_row < quarantine_after or abandoned_ms is None:
        return None
    doublings = min(abandoned_in_row - quarantine_after, 30)
    return abandoned_ms + min(FIRST_QUARANTINE_MS << doublings, LONGEST_QUARANTINE_MS)
