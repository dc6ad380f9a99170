"""Retry: how often a job that raised is tried again inside the same run, and after what pause."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

from .errors import InvalidJobError

#: Attempts at most: a run that fails that often fails for ever.
MAX_ATTEMPTS = 1000

#: The longest pause between two attempts, in seconds: a day.
LONGEST_PAUSE = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Retry:
    """Try a job again that raised, inside the same run and under the same lease.

    `attempts`: in all, the first one too. After the n-th failure the run pauses for at most
    `base * factor ** (n - 1)` seconds, never longer than `cap`; with `jitter` for a random part of
    that ("full jitter": instances that failed together do not come back together). Tried again
    are exceptions of `on` that are not of `give_up_on`, and attempts that ran out of time unless
    `give_up_on` names `RunTimedOutError`. Seconds or `timedelta`; `InvalidJobError` for values
    that cannot work.
    """

    attempts: int = 3
    base: float | timedelta = 1.0
    factor: float = 2.0
    cap: float | timedelta = 60.0
    jitter: bool = True
    on: tuple[type[BaseException], ...] = (Exception,)
    give_up_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        self._check_attempts()
        for name in ("base", "cap"):
            object.__setattr__(self, name, self._seconds(name, getattr(self, name)))
        factor: Any = self.factor
        if isinstance(factor, bool) or not isinstance(factor, int | float):
            self._refuse("factor", "a number from 1 to 1000")
        if not 1 <= factor <= 1000:
            self._refuse("factor", "a number from 1 to 1000")
        jitter: Any = self.jitter
        if not isinstance(jitter, bool):
            self._refuse("jitter", "True or False")
        for name in ("on", "give_up_on"):
            object.__setattr__(self, name, self._classes(name, getattr(self, name)))

    def tries_again(self, error: BaseException, attempt: int, *, always: bool = False) -> bool:
        """Whether attempt number `attempt`, which `error` ended, is followed by another one.

        `always`: the kind of `error` need not be named in `on`.
        """
        if attempt >= self.attempts or isinstance(error, self.give_up_on):
            return False
        return always or isinstance(error, self.on)

    def pause(self, attempt: int, chance: random.Random) -> float:
        """Seconds between attempt number `attempt`, which failed, and the next."""
        cap, base = float(self.cap), float(self.base)  # type: ignore[arg-type]
        try:
            longest = min(cap, base * float(self.factor) ** (attempt - 1))
        except OverflowError:
            longest = cap if base else 0.0
        return chance.uniform(0.0, longest) if self.jitter else longest

    def _check_attempts(self) -> None:
        attempts: Any = self.attempts
        if isinstance(attempts, bool) or not isinstance(attempts, int):
            self._refuse("attempts", "a whole number, such as 3")
        if not 1 <= attempts <= MAX_ATTEMPTS:
            self._refuse("attempts", f"a whole number from 1 to {MAX_ATTEMPTS}")

    def _seconds(self, name: str, value: Any) -> float:
        seconds = value.total_seconds() if isinstance(value, timedelta) else value
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            self._refuse(name, "a number of seconds or a timedelta")
        if not 0 <= seconds <= LONGEST_PAUSE:
            self._refuse(name, f"from 0 to {LONGEST_PAUSE:g} seconds")
        return float(seconds)

    def _classes(self, name: str, value: Any) -> tuple[type[BaseException], ...]:
        classes = (value,) if isinstance(value, type) else value
        if not isinstance(classes, tuple | list) or not all(
            isinstance(one, type) and issubclass(one, BaseException) for one in classes
        ):
            self._refuse(name, "exception classes, such as (OSError,)")
        return tuple(classes)

    def _refuse(self, name: str, allowed: str) -> NoReturn:
        raise InvalidJobError(f"Retry({name}={getattr(self, name)!r}): it must be {allowed}.")
