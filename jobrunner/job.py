"""A job: what a user writes, and the checked definition that the engine works with."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .errors import InvalidJobError
from .keys import JobKeys, default_sync_key
from .schedules import Schedule, every_interval

if TYPE_CHECKING:
    from .context import JobContext


class Job:
    """A named piece of work with a schedule. Subclass it, or decorate a function.

    `name` and one of `interval` (a `timedelta` or seconds) and `schedule` are required;
    `sync_key` is the Redis key of the last start, by default `{NAMESPACE}:job:NAME`.
    """

    name: str
    interval: timedelta | float | None = None
    schedule: Schedule | None = None
    sync_key: str | None = None
    #: Whether a run that was abandoned (its instance died) is run again at once, with its due
    #: time; else the job waits for its next one.
    recover: bool = False
    #: Whether a superseded run of this job is kept from committing; None: as JOBRUNNER_FENCED says.
    fenced: bool | None = None

    def run(self, ctx: JobContext) -> object:
        """Do the work. Each run calls this on a shallow copy of the registered job, so what
        a run assigns to `self` is its own, and what the attributes refer to is shared.
        """
        raise NotImplementedError

    def origin(self) -> str:
        """Where the code of the job stands: two jobs of one origin are the same job."""
        return f"{type(self).__module__}.{type(self).__qualname__}"


class FunctionJob(Job):
    """A decorated function as a job."""

    def __init__(
        self,
        function: Callable[[Any], object],
        schedule: Schedule,
        *,
        name: str | None = None,
        sync_key: str | None = None,
        recover: bool = False,
        fenced: bool | None = None,
    ) -> None:
        if not callable(function):
            raise InvalidJobError(
                f"job(…) was given {function!r}: decorate a function that takes ctx."
            )
        named = name if name is not None else getattr(function, "__name__", None)
        if named is None:
            raise InvalidJobError(f"{function!r} has no __name__: give job(…, name='…').")
        self.name = named
        self.schedule = schedule
        self.sync_key = sync_key
        self.recover = recover
        self.fenced = fenced
        self._function = function

    def run(self, ctx: JobContext) -> object:
        return self._function(ctx)

    def origin(self) -> str:
        function = self._function
        module = getattr(function, "__module__", None) or type(function).__module__
        return f"{module}.{getattr(function, '__qualname__', self.name)}"


@dataclass(frozen=True)
class JobDefinition:
    """A job that has been checked: what the engine schedules, claims and runs."""

    job: Job
    name: str
    schedule: Schedule
    keys: JobKeys
    origin: str
    recover: bool = False
    fenced: bool | None = None

    @classmethod
    def of(cls, job: Job, namespace: str) -> JobDefinition:
        """Check `job`; `InvalidJobError` or `InvalidScheduleError` quotes what cannot work."""
        if isinstance(job, type) and issubclass(job, Job):
            raise InvalidJobError(f"{job.__name__} is a class: register {job.__name__}().")
        if not isinstance(job, Job):
            raise InvalidJobError(
                f"{job!r} is not a job: subclass jobrunner.Job, or decorate a function "
                f"with @runner.job(every(minutes=5))."
            )
        name = _checked_name(job)
        sync_key = job.sync_key
        if sync_key is None:
            sync_key = default_sync_key(namespace, name)
        if type(job).run is Job.run:
            raise InvalidJobError(f"job {name!r} has no run: define `def run(self, ctx): …`.")
        return cls(
            job,
            name,
            _schedule_of(job, name),
            JobKeys.of(sync_key),
            job.origin(),
            recover=_word(job, name, "recover", (True, False)),
            fenced=_word(job, name, "fenced", (True, False, None)),
        )

    @cached_property
    def encoded_keys(self) -> tuple[bytes, ...]:
        """The keys as Redis takes them, encoded once a job and not once a call."""
        return tuple(key.encode() for key in self.keys.all())

    def copy_job(self) -> Job:
        """A shallow copy for one run."""
        return copy.copy(self.job)


def _checked_name(job: Job) -> str:
    name = getattr(job, "name", None)
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise InvalidJobError(
            f"{type(job).__name__}.name is {name!r}: it must be a printable string, "
            f'such as name = "purge sessions".'
        )
    return name


def _word(job: Job, name: str, attribute: str, allowed: tuple[bool | None, ...]) -> Any:
    value = getattr(job, attribute)
    if not any(value is word for word in allowed):
        raise InvalidJobError(
            f"job {name!r} has {attribute} = {value!r}: it must be one of "
            f"{', '.join(map(repr, allowed))}."
        )
    return value


def _schedule_of(job: Job, name: str) -> Schedule:
    if job.schedule is not None and job.interval is not None:
        raise InvalidJobError(
            f"job {name!r} has both interval = {job.interval!r} and schedule = "
            f"{job.schedule!s}: keep one of them."
        )
    if job.interval is not None:
        return every_interval(job.interval)
    if isinstance(job.schedule, Schedule):
        return job.schedule
    raise InvalidJobError(
        f"job {name!r} has schedule = {job.schedule!r}: it needs one, such as "
        f"every(minutes=5), cron('0 3 * * *'), or interval = timedelta(minutes=5)."
    )
