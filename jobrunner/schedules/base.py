"""What every schedule is."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal


class Schedule(ABC):
    """When a job is due. Subclasses are immutable and read no clock.

    The defaults are those of a *grid*: due times that stand fast, whenever the job last ran.
    A subclass of your own needs `next_after` and `__str__`.
    """

    #: A last run further ahead of now than this many milliseconds was written by a wrong clock.
    future_tolerance_ms: int = 3600 * 1000
    #: What `next_due_ms` is to be given: the last start of the job, or its last finish.
    counts_from: Literal["start", "finish"] = "start"
    #: Whether the due times stand fast. If so, those before the job was first deployed never
    #: count, and each one that was missed can be named.
    on_grid: bool = True
    #: The timezone that the due times are told in; None: none was given, or there is none.
    tz: str | None = None

    @abstractmethod
    def next_after(self, unix_seconds: float) -> float:
        """The first due time later than `unix_seconds`, both in Unix seconds."""

    @abstractmethod
    def __str__(self) -> str:
        """In short, as the log and the command line show it."""

    def explain(self) -> str:
        """In words, for people."""
        return str(self)

    def in_timezone(self, name: str) -> Schedule:
        """This schedule, with `name` wherever no timezone was given.

        A schedule that was given none goes by UTC. Raises `InvalidScheduleError` for a name
        that the tz database does not have.
        """
        return self

    def first_due_ms(self, first_seen_ms: int) -> int:
        """When a job that never ran is due, from when the fleet first saw it; 0: at once."""
        return self.next_due_ms(first_seen_ms)

    def next_due_ms(self, last_ms: int) -> int:
        """The due time that follows a start (or a finish, see `counts_from`) at `last_ms`, in
        Unix milliseconds.
        """
        return math.ceil(self.next_after(last_ms / 1000) * 1000)

    def next_due_from_ms(self, last_ms: int, from_ms: int) -> int:
        """The first due time at or after `from_ms`, in the row that begins after `last_ms` when
        no run follows that.
        """
        return self.next_due_ms(max(last_ms, from_ms - 1))

    def early_until_ms(self, due_ms: int) -> int:
        """The last millisecond at which a run for `due_ms` would be too early."""
        return due_ms - 1


class Around(Schedule):
    """A schedule around another one, whose rules it keeps."""

    schedule: Schedule

    @property
    def future_tolerance_ms(self) -> int:  # type: ignore[override]
        return self.schedule.future_tolerance_ms

    @property
    def counts_from(self) -> Literal["start", "finish"]:  # type: ignore[override]
        return self.schedule.counts_from

    @property
    def on_grid(self) -> bool:  # type: ignore[override]
        return self.schedule.on_grid


@lru_cache(maxsize=1000)
def in_timezone(schedule: Any, name: str) -> Any:
    """The schedule, a dataclass, with that `tz`: one object for all jobs that have an equal one."""
    return replace(schedule, tz=name)


def whole_ms(unix_seconds: float) -> int:
    """The last whole millisecond that is not later; what follows it is later than the argument."""
    ms = math.floor(unix_seconds * 1000)
    return ms - 1 if ms / 1000 > unix_seconds else ms
