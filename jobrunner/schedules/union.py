"""`any_of`: due when any of several schedules is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import InvalidScheduleError
from .base import Schedule


@dataclass(frozen=True, slots=True)
class AnyOf(Schedule):
    """Due at the earliest due time of its parts, all counted from the same last run.

    It is on a grid if all of its parts are. With an interval among them the job is due at once
    when it never ran, as the interval alone would be; and a missed time of the grid is served
    by the next run, whichever part that is due by.
    """

    parts: tuple[Schedule, ...]

    @property
    def future_tolerance_ms(self) -> int:  # type: ignore[override]
        return min(part.future_tolerance_ms for part in self.parts)

    @property
    def counts_from(self) -> Literal["start", "finish"]:  # type: ignore[override]
        finish = any(part.counts_from == "finish" for part in self.parts)
        return "finish" if finish else "start"

    @property
    def on_grid(self) -> bool:  # type: ignore[override]
        return all(part.on_grid for part in self.parts)

    @property
    def tz(self) -> str | None:  # type: ignore[override]
        zones = {part.tz for part in self.parts}
        return zones.pop() if len(zones) == 1 else None

    def next_after(self, unix_seconds: float) -> float:
        return min(part.next_after(unix_seconds) for part in self.parts)

    def first_due_ms(self, first_seen_ms: int) -> int:
        return min(part.first_due_ms(first_seen_ms) for part in self.parts)

    def next_due_ms(self, last_ms: int) -> int:
        return min(part.next_due_ms(last_ms) for part in self.parts)

    def next_due_from_ms(self, last_ms: int, from_ms: int) -> int:
        return min(part.next_due_from_ms(last_ms, from_ms) for part in self.parts)

    def early_until_ms(self, due_ms: int) -> int:
        # A moment of a grid is due when it comes; only what an interval gave needs to be over.
        return min(
            part.early_until_ms(due_ms)
            for part in self.parts
            if not part.on_grid or self.on_grid or part.next_due_ms(due_ms - 1) == due_ms
        )

    def in_timezone(self, name: str) -> Schedule:
        return AnyOf(tuple(part.in_timezone(name) for part in self.parts))

    def explain(self) -> str:
        return ", or ".join(part.explain() for part in self.parts)

    def __str__(self) -> str:
        return " or ".join(str(part) for part in self.parts)


def any_of(*schedules: Schedule) -> Schedule:
    """A schedule that is due when any of the given ones is.

    Raises `InvalidScheduleError` for what is no schedule, and for an interval from the last
    start beside one from the last finish: a job's due time is counted from one of them.
    """
    if not schedules:
        raise InvalidScheduleError(
            "any_of(): give it schedules, such as any_of(every(hours=1), cron('0 3 * * *'))."
        )
    parts: list[Schedule] = []
    for schedule in schedules:
        if not isinstance(schedule, Schedule):
            raise InvalidScheduleError(
                f"any_of(…): {schedule!r} is no schedule; every(hours=1) or cron('0 3 * * *') is."
            )
        flat = schedule.parts if isinstance(schedule, AnyOf) else (schedule,)
        parts += [part for part in flat if part not in parts]
    origins = {part.counts_from for part in parts if not part.on_grid}
    if len(origins) > 1:
        raise InvalidScheduleError(
            f"any_of({', '.join(map(str, schedules))}): one interval is counted from the last "
            f"start and another from the last finish; count all of them from one."
        )
    return AnyOf(tuple(parts)) if len(parts) > 1 else parts[0]
