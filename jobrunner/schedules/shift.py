"""`shifted`: the due times of one job moved later, so that a fleet's jobs do not start at once.

What a due time is moved by follows from the job's name and the due time alone: all instances,
of any host and Python, agree on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b

from ..errors import InvalidScheduleError
from .base import Around, Schedule, whole_ms
from .union import AnyOf
from .words import HOUR_MS, length


@dataclass(frozen=True, slots=True)
class Shifted(Around):
    """The due times of a schedule, each moved later but not as far as the next one.

    **Spread** moves all due times of the job by the same part of the window, **jitter** each
    by another amount below its limit. The due times of a grid stay in order and none is lost:
    where the two together reach beyond the gap to the next due time, less is made of them. An
    interval is never shortened: jitter adds to it, and spread moves the first run only.
    """

    schedule: Schedule
    job_name: str
    jitter_ms: int
    #: The window of the spread; None: the gap to the next due time, an hour at most; 0: none.
    spread_ms: int | None

    @property
    def tz(self) -> str | None:  # type: ignore[override]
        return self.schedule.tz

    def next_after(self, unix_seconds: float) -> float:
        if not self.on_grid:
            due = self.schedule.next_after(unix_seconds)
            return due + self._jitter(math.ceil(due * 1000), self.jitter_ms) / 1000
        due_ms = self._next_on_grid(whole_ms(unix_seconds))
        if due_ms / 1000 <= unix_seconds:  # a float cannot tell the two apart
            due_ms = self._next_on_grid(due_ms)
        return due_ms / 1000

    def first_due_ms(self, first_seen_ms: int) -> int:
        if self.on_grid:
            return self._next_on_grid(first_seen_ms)
        due_ms = self.schedule.first_due_ms(first_seen_ms)
        if self.spread_ms == 0:
            return due_ms
        start_ms = max(due_ms, first_seen_ms)
        return start_ms + self._spread(self.schedule.next_due_ms(start_ms) - start_ms)

    def next_due_ms(self, last_ms: int) -> int:
        if self.on_grid:
            return self._next_on_grid(last_ms)
        due_ms = self.schedule.next_due_ms(last_ms)
        return due_ms + self._jitter(due_ms, self.jitter_ms)

    def next_due_from_ms(self, last_ms: int, from_ms: int) -> int:
        if self.on_grid:
            return self._next_on_grid(max(last_ms, from_ms - 1))
        due_ms = self.schedule.next_due_from_ms(last_ms, from_ms)
        return due_ms + self._jitter(due_ms, self.jitter_ms)

    def early_until_ms(self, due_ms: int) -> int:
        return due_ms - 1 if self.on_grid else self.schedule.early_until_ms(due_ms)

    def in_timezone(self, name: str) -> Schedule:
        inner = self.schedule.in_timezone(name)
        return Shifted(inner, self.job_name, self.jitter_ms, self.spread_ms)

    def explain(self) -> str:
        return f"{self.schedule.explain()}{self._shift_in_words()}"

    def __str__(self) -> str:
        return f"{self.schedule}{self._shift_in_words()}"

    def _shift_in_words(self) -> str:
        words = ""
        if self.spread_ms is None:
            words += ", spread"
        elif self.spread_ms:
            words += f", spread over {length(self.spread_ms)}"
        if self.jitter_ms:
            words += f", up to {length(self.jitter_ms)} later"
        return words

    def _next_on_grid(self, after_ms: int) -> int:
        """The first moved due time after `after_ms`.

        Each lies before the next due time as it was, so only the last one that was due by
        `after_ms`, and what follows it, can be the one.
        """
        due_ms = self._due_before(after_ms)
        while True:
            following_ms = self.schedule.next_due_ms(due_ms)
            moved_ms = due_ms + self._shift(due_ms, following_ms - due_ms)
            if moved_ms > after_ms:
                return moved_ms
            due_ms = following_ms

    def _due_before(self, after_ms: int) -> int:
        """A due time near `after_ms` before which none can be moved past it."""
        farthest_ms = self.jitter_ms + (HOUR_MS if self.spread_ms is None else self.spread_ms)
        first_ms = self.schedule.next_due_ms(after_ms)
        gap_ms = self.schedule.next_due_ms(first_ms) - first_ms
        back_ms = min(gap_ms, farthest_ms)  # on an even grid that is where it is
        due_ms = self.schedule.next_due_ms(after_ms - back_ms)
        while due_ms > after_ms and back_ms < farthest_ms:
            back_ms = min(2 * back_ms, farthest_ms)
            due_ms = self.schedule.next_due_ms(after_ms - back_ms)
        return due_ms

    def _shift(self, due_ms: int, gap_ms: int) -> int:
        offset_ms = self._spread(gap_ms)
        return offset_ms + self._jitter(due_ms, min(self.jitter_ms, gap_ms - offset_ms))

    def _spread(self, gap_ms: int) -> int:
        window_ms = HOUR_MS if self.spread_ms is None else self.spread_ms
        return _part_of(min(window_ms, gap_ms), self.job_name)

    def _jitter(self, due_ms: int, window_ms: int) -> int:
        return _part_of(window_ms, f"{due_ms} {self.job_name}")


def shifted(
    schedule: Schedule, job_name: str, *, jitter_ms: int = 0, spread_ms: int | None = 0
) -> Schedule:
    """The schedule of one job with its due times moved later, see `Shifted`.

    `jitter_ms`: by less than so much, another amount each time. `spread_ms`: by an offset
    within so much that stays the job's own; None: within the gap to the next due time, an hour
    at most. 0 is none of either. Raises `InvalidScheduleError` for less than that.
    """
    for name, value in (("jitter_ms", jitter_ms), ("spread_ms", spread_ms)):
        if value is not None and value < 0:
            raise InvalidScheduleError(
                f"shifted({schedule}, {job_name!r}, {name}={value!r}): a due time is moved "
                f"later, never earlier; give 0 or more."
            )
    if jitter_ms == 0 and spread_ms == 0:
        return schedule
    if isinstance(schedule, AnyOf) and not schedule.on_grid:
        # The grid in it is one grid, whose due times keep their order; an interval is apart.
        grid = tuple(part for part in schedule.parts if part.on_grid)
        parts = [part for part in schedule.parts if not part.on_grid]
        parts += [AnyOf(grid) if len(grid) > 1 else grid[0]] if grid else []
        return AnyOf(tuple(Shifted(part, job_name, jitter_ms, spread_ms) for part in parts))
    return Shifted(schedule, job_name, jitter_ms, spread_ms)


def _part_of(window_ms: int, text: str) -> int:
    """A number below the window, or 0, that the text alone decides; all are equally likely."""
    digest = blake2b(text.encode(), digest_size=8).digest()
    return max(0, window_ms) * int.from_bytes(digest) >> 64
