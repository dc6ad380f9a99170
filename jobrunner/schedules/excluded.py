"""`except_on`: a schedule that is never due on some dates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from ..errors import InvalidScheduleError
from .base import Around, Schedule
from .union import AnyOf, any_of
from .zones import date_at, start_of, zone_of

#: So many excluded due times may follow each other: each is a day of its own, so ten years.
_MOST_EXCLUDED = 3660
_LONGEST_MS = 50 * 366 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class ExceptOn(Around):
    """The due times of a schedule, without those on excluded dates.

    A grid goes on with its first due time after such a date; an interval that ends on one ends
    when the date does. A run that is late may start on such a date all the same.
    """

    schedule: Schedule
    dates: frozenset[date] | Callable[[date], object]
    tz: str | None = None
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        shown = f"except_on(…, tz={self.tz!r})"
        object.__setattr__(self, "_zone", zone_of("UTC" if self.tz is None else self.tz, shown))

    def next_after(self, unix_seconds: float) -> float:
        due = self.schedule.next_after(unix_seconds)
        due_ms = math.ceil(due * 1000)
        allowed_ms = self._allowed_ms(due_ms)
        return due if allowed_ms == due_ms else allowed_ms / 1000

    def first_due_ms(self, first_seen_ms: int) -> int:
        due_ms = self.schedule.first_due_ms(first_seen_ms)
        if due_ms:
            return self._allowed_ms(due_ms)
        # At once is when it was first seen; where that will not do, when the date is over.
        allowed_ms = self._allowed_ms(first_seen_ms)
        return 0 if allowed_ms == first_seen_ms else allowed_ms

    def next_due_ms(self, last_ms: int) -> int:
        return self._allowed_ms(self.schedule.next_due_ms(last_ms))

    def early_until_ms(self, due_ms: int) -> int:
        return self.schedule.early_until_ms(due_ms)

    def in_timezone(self, name: str) -> Schedule:
        inner = self.schedule.in_timezone(name)
        return ExceptOn(inner, self.dates, name if self.tz is None else self.tz)

    def explain(self) -> str:
        return f"{self.schedule.explain()}, except on {self._dates_in_words(12)}"

    def __str__(self) -> str:
        return f"{self.schedule} except on {self._dates_in_words(2)}"

    def _dates_in_words(self, most: int) -> str:
        if not isinstance(self.dates, frozenset):
            return f"the dates of {_name_of(self.dates)}()"
        if len(self.dates) > most:
            return f"{len(self.dates)} dates"
        return ", ".join(day.isoformat() for day in sorted(self.dates))

    def _allowed_ms(self, due_ms: int) -> int:
        """The due time, or what comes in its place when it is on an excluded date."""
        start_ms = due_ms
        for _ in range(_MOST_EXCLUDED):
            day = date_at(self._zone, due_ms // 1000)
            if not self._is_excluded(day):
                return due_ms
            end_ms = start_of(self._zone, day + timedelta(days=1)) * 1000
            due_ms = self.schedule.next_due_ms(end_ms - 1) if self.on_grid else end_ms
            if due_ms - start_ms > _LONGEST_MS:
                break
        last = date_at(self._zone, due_ms // 1000)
        raise InvalidScheduleError(
            f"{self}: every due time from {date_at(self._zone, start_ms // 1000)} to {last} is "
            f"on an excluded date; exclude less."
        )

    def _is_excluded(self, day: date) -> bool:
        if isinstance(self.dates, frozenset):
            return day in self.dates
        try:
            return bool(self.dates(day))
        except Exception as error:
            raise InvalidScheduleError(
                f"{self}: {_name_of(self.dates)}({day!r}) raised {error!r}; "
                f"it must say of any date whether it is excluded."
            ) from error


def except_on(
    schedule: Schedule,
    dates: Iterable[date] | Callable[[date], object],
    *,
    tz: str | None = None,
) -> Schedule:
    """`schedule` without its due times on some dates: `except_on(nightly, [date(2026, 12, 24)])`.

    `dates` are the dates, or a function that says of a date whether it is excluded. They are
    dates in `tz`, by default in the timezone of the schedule. The function must be quick, and
    must answer the same in the whole fleet. Raises `InvalidScheduleError` for what is no
    schedule or no date, and when the schedule has parts in several timezones and `tz` is not
    given. The due times raise it when the function raises, or excludes everything for ten years.
    """
    if not isinstance(schedule, Schedule):
        raise InvalidScheduleError(
            f"except_on({schedule!r}, …): that is no schedule; cron('0 3 * * *') is."
        )
    excluded = dates if callable(dates) else _checked_dates(dates)
    if isinstance(schedule, AnyOf):
        if tz is None:
            tz = _common_timezone(schedule)
        # What is due when either is, is not due when neither is: the parts go on apart.
        return any_of(*(except_on(part, excluded, tz=tz) for part in schedule.parts))
    return ExceptOn(schedule, excluded, schedule.tz if tz is None else tz)


def _checked_dates(dates: object) -> frozenset[date]:
    hint = "give it dates, such as [date(2026, 12, 24)], or a function that takes a date."
    if isinstance(dates, str) or not isinstance(dates, Iterable):
        raise InvalidScheduleError(f"except_on(…, {dates!r}): {hint}")
    checked = []
    for day in dates:
        if isinstance(day, datetime) or not isinstance(day, date):
            raise InvalidScheduleError(f"except_on(…): {day!r} is no datetime.date; {hint}")
        checked.append(day)
    return frozenset(checked)


def _common_timezone(union: AnyOf) -> str | None:
    """The timezone of all parts that have times of a clock; None: they were given none."""
    zones = {part.tz for part in union.parts if part.on_grid or part.tz is not None}
    if len(zones) > 1:
        shown = ", ".join(sorted("none" if zone is None else zone for zone in zones))
        raise InvalidScheduleError(
            f"except_on({union}, …): its parts go by several timezones ({shown}), and a date "
            f"is another time in each; give tz= for the dates."
        )
    return zones.pop() if zones else None


def _name_of(function: object) -> str:
    return getattr(function, "__name__", None) or repr(function)
