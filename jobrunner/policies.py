"""The policies of a job: one table, from which the job's attributes, the decorator's keywords,
errors and documentation come.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any, TypedDict

from .checks import Check, count, optional, refuse_unknown
from .errors import InvalidJobError
from .retry import Retry

#: The longest time that a policy may name, in seconds: a hundred years.
_LONGEST = 100 * 366 * 24 * 3600.0

#: How late `misfire="skip"` lets a run be when the job names no grace, in seconds.
SKIP_GRACE = 60.0


class PolicyKeywords(TypedDict, total=False):
    """The policies as keywords. Durations are seconds or a `timedelta`."""

    recover: bool
    fenced: bool | None
    retry: Retry | None
    timeout: float | timedelta | None
    run_in: str
    misfire: str
    grace: float | timedelta | None
    max_catch_up: int
    jitter: float | timedelta
    spread: bool | float | timedelta
    enabled: bool
    when: Callable[[], object] | None
    instances: str | tuple[str, ...] | None
    tags: str | tuple[str, ...]
    expect: float | timedelta | None


def _word(*allowed: Any) -> Check:
    def check(value: Any) -> Any:
        if not any(value is word or (isinstance(word, str) and value == word) for word in allowed):
            raise ValueError("one of " + ", ".join(map(repr, allowed)))
        return value

    return check


def _seconds(*, least: float = 0.0) -> Check:
    def check(value: Any) -> float:
        seconds = value.total_seconds() if isinstance(value, timedelta) else value
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise ValueError("a number of seconds or a timedelta")
        if not math.isfinite(seconds) or not least <= seconds <= _LONGEST:
            raise ValueError(f"from {least:g} seconds to a hundred years")
        return float(seconds)

    return check


def _spread(value: Any) -> bool | float:
    if isinstance(value, bool):
        return value
    try:
        return float(_seconds(least=0.001)(value))
    except ValueError as error:
        raise ValueError(f"True, False, {error}") from None


def _retry(value: Any) -> Retry:
    if not isinstance(value, Retry):
        raise ValueError("a Retry, such as Retry(attempts=3), or None")
    return value


def _callable(value: Any) -> Any:
    if not callable(value):
        raise ValueError("a function without arguments, or None")
    return value


def _words(value: Any) -> tuple[str, ...]:
    words = (value,) if isinstance(value, str) else value
    if not isinstance(words, tuple | list | set | frozenset) or not all(
        isinstance(word, str) and word for word in words
    ):
        raise ValueError("a string, or several, such as ('web', 'reports')")
    return tuple(sorted(words)) if isinstance(words, set | frozenset) else tuple(words)


def _policy(default: Any, check: Check, sentence: str) -> Any:
    return field(default=default, metadata={"check": check, "sentence": sentence})


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """What one job goes by beside its schedule. `Policies.of` is the way to make one."""

    recover: bool = _policy(
        False,
        _word(True, False),
        "Whether a run that was abandoned (its instance died) is run again at once, with its due "
        "time; else the job waits for its next one.",
    )
    fenced: bool | None = _policy(
        None,
        _word(True, False, None),
        "Whether a superseded run is kept from committing; None: as JOBRUNNER_FENCED says.",
    )
    retry: Retry | None = _policy(  # noqa: RUF009
        None, optional(_retry), "How often a job that raised is tried again, in the same run."
    )
    timeout: float | None = _policy(
        None,
        optional(_seconds(least=0.001)),
        "Seconds that one attempt may take; then it is stopped, and has timed out.",
    )
    run_in: str = _policy(
        "greenlet",
        _word("greenlet", "thread"),
        "Where a run lives: a greenlet of this hub (in a process without monkey patching a thread "
        "all the same), or a native thread, for work that would block the hub.",
    )
    misfire: str = _policy(
        "once",
        _word("once", "skip", "all"),
        "What becomes of due times that passed while nobody could run: one run for all of them, "
        "none, or one run for each.",
    )
    grace: float | None = _policy(
        None,
        optional(_seconds()),
        "Seconds after which a due time is too old to be run for; None: for ever (a minute with "
        "misfire='skip').",
    )
    max_catch_up: int = _policy(
        100, count(1, 10_000), "So many missed due times misfire='all' makes good at most."
    )
    jitter: float = _policy(
        0.0,
        _seconds(),
        "Seconds within which each due time moves later, by chance, the same in the whole fleet.",
    )
    spread: bool | float = _policy(
        False,
        _spread,
        "Whether all due times move later by an offset that follows from the job's name: within "
        "so many seconds, or (True) within the gap to the next one, an hour at most.",
    )
    enabled: bool = _policy(True, _word(True, False), "Whether the job is run at all.")
    when: Callable[[], object] | None = _policy(  # noqa: RUF009
        None,
        optional(_callable),
        "Asked before each claim; while it returns something false, this instance does not run "
        "the job.",
    )
    instances: tuple[str, ...] = _policy(
        (),
        lambda value: () if value is None else _words(value),
        "Patterns such as 'web-*': only instances run the job whose host name, or one of whose "
        "JOBRUNNER_TAGS, matches one of them.",
    )
    tags: tuple[str, ...] = _policy(
        (), _words, "Only instances run the job whose JOBRUNNER_TAGS hold all of these."
    )
    expect: float | None = _policy(
        None,
        optional(_seconds(least=0.001)),
        "A job without a success for so many seconds is overdue, and says so.",
    )

    @classmethod
    def of(cls, job: object, name: str) -> Policies:
        """The policies that `job` has as attributes; `InvalidJobError` quotes a wrong one."""
        values: dict[str, Any] = {}
        for spec in fields(cls):
            value = getattr(job, spec.name, spec.default)
            try:
                values[spec.name] = spec.metadata["check"](value)
            except ValueError as error:
                raise InvalidJobError(
                    f"job {name!r} has {spec.name} = {value!r}: it must be {error}."
                ) from None
        policies = cls(**values)
        return DEFAULT if policies == DEFAULT else policies

    @property
    def grace_ms(self) -> int | None:
        """How late a run may be, in milliseconds; None: as late as it likes."""
        seconds = SKIP_GRACE if self.grace is None and self.misfire == "skip" else self.grace
        return None if seconds is None else round(seconds * 1000)

    @property
    def keeps_no_account(self) -> bool:
        """Whether one run makes good all due times that passed, however long ago."""
        return self is DEFAULT or (self.misfire == "once" and self.grace is None)

    def may_run_on(self, host: str, tags: tuple[str, ...]) -> bool:
        """Whether an instance on `host` with these tags may run the job."""
        named = any(fnmatchcase(word, p) for p in self.instances for word in (host, *tags))
        return (named or not self.instances) and set(self.tags) <= set(tags)


#: Of a job that names none; one object for all of them.
DEFAULT = Policies()


def check_keywords(keywords: Mapping[str, Any]) -> None:
    """`TypeError` for a keyword that is no policy, as for any function's keyword."""
    refuse_unknown(
        keywords, (spec.name for spec in fields(Policies)), whose="a job", what="policies"
    )
