"""`cron`: the moments of a cron expression in a timezone, as Debian's cron keeps them."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from ..errors import InvalidScheduleError
from .base import Schedule, in_timezone
from .wall import next_due_ms
from .zones import zone_of

_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_FIELDS = (
    "The fields are minute, hour, day of month, month, day of week, and before them, if there "
    "are six, second: '0 3 * * *' is each day at three."
)
_YEARS = 50  # a 29th of February on a given weekday comes every 28 years, or 40 around 2100
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Cron(Schedule):
    """A cron expression in a timezone, as Debian's cron reads it.

    When minute or hour begin with `*` it is due at every instant at which the clock shows a
    time of it. Else its times are fixed: what the clock skips is due when it has jumped, what
    it repeats is due the first time.
    """

    expression: str
    tz: str | None = None
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)
    _times: CronTimes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        shown = f"cron({self.expression!r}, tz={self.tz!r})"
        object.__setattr__(self, "_zone", zone_of("UTC" if self.tz is None else self.tz, shown))
        object.__setattr__(self, "_times", _times_of(self.expression))

    def next_due_ms(self, last_ms: int) -> int:
        return next_due_ms(self._times, self._zone, last_ms, fixed=self._times.fixed)

    def next_after(self, unix_seconds: float) -> float:
        # A due time is a whole second, so the milliseconds of now do not matter.
        return self.next_due_ms(int(unix_seconds // 1) * 1000) / 1000

    def in_timezone(self, name: str) -> Schedule:
        return in_timezone(self, name) if self.tz is None else self

    def explain(self) -> str:
        words = self._times.words()
        return f"{words} in {self._zone.key}" if words else str(self)

    def __str__(self) -> str:
        return f"cron {self.expression!r} in {self._zone.key}"


def cron(expression: str, *, tz: str | None = None) -> Cron:
    """A schedule of a cron expression: `cron("0 3 * * *", tz="Europe/Vienna")`.

    Five fields: minute, hour, day of month, month, day of week (0 and 7 are Sunday; when
    neither day of month nor day of week begins with `*`, either makes the day). With six, the
    first is the second. Months and days have names (`JAN`, `MON`); `L` is the last day of the
    month, `LW` its last weekday, `5L` its last Friday, `5#2` its second. `@hourly`, `@daily`,
    `@midnight`, `@weekly`, `@monthly`, `@yearly` and `@annually` are what they say.

    The job is due from each such moment on; a moment before the job was first deployed does
    not count. Without `tz` the runner's timezone rules, else UTC. Raises
    `InvalidScheduleError` for an expression or timezone that does not exist.
    """
    return Cron(expression, tz)


class CronTimes:
    """The wall times of an expression; `first` is what `wall` asks for."""

    def __init__(self, fields: list[str]) -> None:
        # The second is read as a minute is, and apart: older versions know five fields only.
        try:
            seconds = CronSim(f"{fields[0]} * * * *", datetime(2024, 1, 1)).minutes
        except CronSimError:
            raise CronSimError("Bad second") from None
        self._days = CronSim(" ".join(fields[1:]), datetime(2024, 1, 1))
        self._fields = fields
        self._seconds = sorted(seconds)
        self._minutes = sorted(self._days.minutes)
        self._hours = sorted(self._days.hours)
        self._first_of_hour = self._minutes[0] * 60 + self._seconds[0]
        #: Whether each time is due once a day, whatever the clock does.
        self.fixed = not fields[1].startswith("*") and not fields[2].startswith("*")

    def first(self, wall_ms: int) -> int:
        """The first due wall time at or after `wall_ms`."""
        day, second = divmod(-(-wall_ms // 1000), 24 * 3600)
        found = self._in_day(second) if self._is_due_on(_date_of(day)) else None
        if found is None:
            day, found = self._next_day(day), self._hours[0] * 3600 + self._first_of_hour
        return (day * 24 * 3600 + found) * 1000

    def words(self) -> str:
        """In words, without the timezone; empty: there are none."""
        fields = self._fields[1:] if self._fields[0] == "0" else self._fields
        try:
            text = CronSim(" ".join(fields), datetime(2024, 1, 1)).explain()
        except (CronSimError, ValueError):
            return ""  # explained by newer versions only
        return text[0].lower() + text[1:]

    def _in_day(self, second: int) -> int | None:
        """The first due second of a due day, at or after the given one."""
        hour, rest = divmod(second, 3600)
        minute, second = divmod(rest, 60)
        for due_hour in self._hours[bisect_left(self._hours, hour) :]:
            if due_hour > hour:
                return due_hour * 3600 + self._first_of_hour
            for due_minute in self._minutes[bisect_left(self._minutes, minute) :]:
                start = due_hour * 3600 + due_minute * 60
                if due_minute > minute:
                    return start + self._seconds[0]
                at = bisect_left(self._seconds, second)
                if at < len(self._seconds):
                    return start + self._seconds[at]
        return None

    def _is_due_on(self, day: date) -> bool:
        return day.month in self._days.months and self._days.match_day(day)

    def _next_day(self, day: int) -> int:
        """The first due day after the given one, both counted from 1970."""
        due = _date_of(day + 1)
        last = due.year + _YEARS
        while not self._is_due_on(due):
            if due.month in self._days.months:
                due += timedelta(days=1)
            else:
                due = (due.replace(day=1) + timedelta(days=32)).replace(day=1)
            if due.year > last:
                raise InvalidScheduleError(
                    f"cron({' '.join(self._fields)!r}): no such moment comes in fifty years."
                )
        return due.toordinal() - _EPOCH


def _date_of(day: int) -> date:
    return date.fromordinal(_EPOCH + day)


@lru_cache(maxsize=1000)
def _parsed(expression: str) -> CronTimes:
    fields = _NICKNAMES.get(expression.strip().lower(), expression).upper().split()
    if len(fields) not in (5, 6):
        raise CronSimError("Wrong number of fields")
    return CronTimes(fields if len(fields) == 6 else ["0", *fields])


def _times_of(expression: str) -> CronTimes:
    """What an expression says; `InvalidScheduleError` quotes one that says nothing."""
    if not isinstance(expression, str):
        raise InvalidScheduleError(
            f"cron({expression!r}): an expression is a string, such as '*/5 * * * *'."
        )
    name = expression.strip().lower()
    if name.startswith("@") and name not in _NICKNAMES:
        hint = f"the names are {', '.join(_NICKNAMES)}."
        if name == "@reboot":
            hint = (
                "a fleet has no reboot, its instances come and go; run what must be done at "
                "the start of each where the application is made."
            )
        raise InvalidScheduleError(f"cron({expression!r}): there are no such times: {hint}")
    try:
        times = _parsed(expression)
        times.first(0)
    except InvalidScheduleError:
        raise InvalidScheduleError(
            f"cron({expression!r}): no such moment comes in fifty years; check day and month. "
            f"{_FIELDS}"
        ) from None
    except (CronSimError, ValueError) as error:
        raise InvalidScheduleError(f"cron({expression!r}): {error}. {_FIELDS}") from error
    return times
