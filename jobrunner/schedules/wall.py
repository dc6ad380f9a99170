"""From what the clock on the wall shows to instants, through every change of that clock.

A *wall time* is what the clock shows, counted in milliseconds as if it were UTC. Between two
changes of the clock it runs beside the instants at a fixed distance, the offset; so the search
goes from change to change, and is plain arithmetic in between.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from .words import HOUR_MS
from .zones import first_change, offset_at

#: Farther from a wall time than this no clock change matters to it: offsets stay within 16 hours.
_FAR_MS = 36 * HOUR_MS
_DAY = 24 * 3600
_LONG_AGO_MS = -(10**18)


class WallPattern(Protocol):
    """Which wall times are due."""

    def first(self, wall_ms: int) -> int:
        """The first due wall time at or after `wall_ms`."""


def next_due_ms(pattern: WallPattern, zone: ZoneInfo, after_ms: int, *, fixed: bool) -> int:
    """The first instant after `after_ms` at which the pattern is due, in Unix milliseconds.

    Where the clock goes back and shows times again, and where it jumps and shows some never:

    - `fixed`: each wall time is due once. The first time it is shown; or, if it never is, at
      the end of the gap (several in one gap: once).
    - not `fixed`: it is due whenever it is shown, so twice or never: the instants count.
    """
    if zone.key == "UTC":
        return pattern.first(after_ms + 1)  # that clock never changes
    second = after_ms // 1000
    offset = offset_at(zone, second)
    start_ms = after_ms + 1
    #: What the clock showed before: wall times below this are no news.
    shown_ms = _shown_until_ms(zone, second, offset) if fixed else _LONG_AGO_MS
    while True:  # the offset is known at `second`, which is not later than the start
        end = second + _DAY
        next_offset = offset_at(zone, end)
        if next_offset != offset:
            end = first_change(zone, second, end)
        end_wall_ms = (end + offset) * 1000
        wall_ms = pattern.first(max(start_ms + offset * 1000, shown_ms))
        if wall_ms < end_wall_ms:
            return wall_ms - offset * 1000
        if next_offset == offset:
            second = max(end, (wall_ms - _FAR_MS) // 1000)
            offset = offset_at(zone, second)
        elif fixed and wall_ms < (end + next_offset) * 1000:
            return end * 1000  # it fell into the gap
        else:
            second, offset = end, next_offset
            shown_ms = end_wall_ms if fixed else _LONG_AGO_MS
        start_ms = second * 1000


def _shown_until_ms(zone: ZoneInfo, second: int, offset: int) -> int:
    """The wall time up to which the clock repeats itself at this second; long ago: it does not."""
    local = datetime.fromtimestamp(second, zone)
    if not local.fold:
        return _LONG_AGO_MS
    before = local.replace(fold=0).utcoffset()
    assert before is not None  # a ZoneInfo always has one
    earlier = before // timedelta(seconds=1)
    change = first_change(zone, second - (earlier - offset), second)
    return (change + earlier) * 1000
