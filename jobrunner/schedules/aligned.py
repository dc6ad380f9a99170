"""`every(..., align=True)`: an interval on the clock, counted from midnight."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isqrt
from zoneinfo import ZoneInfo

from ..errors import InvalidScheduleError
from .base import Schedule, in_timezone, whole_ms
from .wall import next_due_ms
from .words import DAY_MS, HOUR_MS, UNITS_MS, length, rhythm, unit_of
from .zones import zone_of

#: Where whole days are counted from: Monday, 5 January 1970. So whole weeks begin on Mondays.
_FIRST_MONDAY_MS = 4 * DAY_MS


@dataclass(frozen=True, slots=True)
class Aligned(Schedule):
    """Due at the multiples of the interval since midnight, as the clock on the wall shows them.

    An interval of up to an hour follows elapsed time, as `*/n` in a cron expression: it is due
    in both halves of a repeated hour. A longer one has each of its times once a day: what the
    clock skips is due when it has jumped, what it repeats is due the first time.
    """

    interval_ms: int
    tz: str | None = None
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        shown = f"every(…, align=True, tz={self.tz!r})"
        object.__setattr__(self, "_zone", zone_of("UTC" if self.tz is None else self.tz, shown))
        if not _has_grid(self.interval_ms):
            raise InvalidScheduleError(
                f"every(…, align=True): {length(self.interval_ms)} cannot be aligned: "
                f"an interval on the clock must divide a day, or be whole days; "
                f"{_nearest(self.interval_ms)} would do."
            )

    def first(self, wall_ms: int) -> int:
        """The first time of the grid at or after a wall time, see `wall`."""
        # A divisor of a day that is counted from midnight is counted from any midnight.
        since_ms = wall_ms - _FIRST_MONDAY_MS
        return _FIRST_MONDAY_MS - (-since_ms // self.interval_ms) * self.interval_ms

    def next_due_ms(self, last_ms: int) -> int:
        return next_due_ms(self, self._zone, last_ms, fixed=self.interval_ms > HOUR_MS)

    def next_after(self, unix_seconds: float) -> float:
        due_ms = self.next_due_ms(whole_ms(unix_seconds))
        if due_ms / 1000 <= unix_seconds:  # a float cannot tell the two apart
            due_ms = self.next_due_ms(due_ms)
        return due_ms / 1000

    def in_timezone(self, name: str) -> Schedule:
        return in_timezone(self, name) if self.tz is None else self

    def explain(self) -> str:
        return f"{rhythm(self.interval_ms)}, on the clock{self._where()}"

    def __str__(self) -> str:
        return f"{rhythm(self.interval_ms)} on the clock{self._where()}"

    def _where(self) -> str:
        return "" if self.tz is None else f" in {self.tz}"


def _has_grid(interval_ms: int) -> bool:
    return DAY_MS % interval_ms == 0 or interval_ms % DAY_MS == 0


def _nearest(interval_ms: int) -> str:
    """The next smaller and the next larger interval that can be aligned, in the same unit."""
    if interval_ms > DAY_MS:
        days = interval_ms // DAY_MS
        return f"{length(days * DAY_MS)} or {length((days + 1) * DAY_MS)}"
    unit_ms = UNITS_MS[unit_of(interval_ms)[0]]
    if interval_ms % unit_ms:
        unit_ms = 1
    small = [n for n in range(1, isqrt(DAY_MS) + 1) if DAY_MS % n == 0]
    found = [n for n in {*small, *(DAY_MS // n for n in small)} if n % unit_ms == 0]
    below = max(n for n in found if n < interval_ms)
    return f"{length(below)} or {length(min(n for n in found if n > interval_ms))}"
