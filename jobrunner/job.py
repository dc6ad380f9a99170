"""A job: what a user writes, and the checked definition that the engine works with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Unpack

from .copies import shallow_copy
from .errors import InvalidJobError
from .keys import JobKeys, default_sync_key
from .policies import DEFAULT, Policies, PolicyKeywords, check_keywords
from .retry import Retry
from .schedules import Schedule, every_interval, shifted

if TYPE_CHECKING:
    from .context import JobContext


class Job:
    """A named piece of work with a schedule. Subclass it, or decorate a function.

    `name` and one of `interval` (a `timedelta` or seconds) and `schedule` are required;
    `sync_key` is the Redis key of the last start, by default `{NAMESPACE}:job:NAME`. Every policy
    of `Policies` is an attribute too, with the default that stands there.
    """

    name: str
    interval: timedelta | float | None = None
    schedule: Schedule | None = None
    sync_key: str | None = None

    recover: bool = False
    fenced: bool | None = None
    retry: Retry | None = None
    timeout: float | timedelta | None = None
    run_in: str = "greenlet"
    misfire: str = "once"
    grace: float | timedelta | None = None
    max_catch_up: int = 100
    jitter: float | timedelta = 0.0
    spread: bool | float | timedelta = False
    enabled: bool = True
    when: Callable[[], object] | None = None
    instances: str | tuple[str, ...] = ()
    tags: str | tuple[str, ...] = ()
    expect: float | timedelta | None = None

    def run(self, ctx: JobContext) -> object:
        """Do the work. Each run calls this on a shallow copy of the registered job, so what
        a run assigns to `self` is its own, and what the attributes refer to is shared.
        """
        raise NotImplementedError

    def origin(self) -> str:
        """Where the code of the job stands: two jobs of one origin are the same job."""
        return sys.intern(f"{type(self).__module__}.{type(self).__qualname__}")


class FunctionJob(Job):
    """A function as a job, called with the context, and with `parameters` as keywords: one
    function may be registered many times, under a name each, as a job per tenant.

    What is as the class says is not an attribute of each job: of those there may be many.
    """

    parameters: Mapping[str, Any] = MappingProxyType({})

    def __init__(
        self,
        function: Callable[..., object],
        schedule: Schedule,
        *,
        name: str | None = None,
        sync_key: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        **policies: Unpack[PolicyKeywords],
    ) -> None:
        if not callable(function):
            raise InvalidJobError(
                f"job(…) was given {function!r}: decorate a function that takes ctx."
            )
        named = name if name is not None else getattr(function, "__name__", None)
        if named is None:
            raise InvalidJobError(f"{function!r} has no __name__: give job(…, name='…').")
        check_keywords(policies)
        self.name = named
        self.schedule = schedule
        if sync_key is not None:
            self.sync_key = sync_key
        if parameters is not None:
            self.parameters = _checked_parameters(named, parameters)
        self._function = function
        for policy, value in policies.items():
            setattr(self, policy, value)

    def run(self, ctx: JobContext) -> object:
        # With none, a call with keywords takes several times as long.
        return self._function(ctx, **self.parameters) if self.parameters else self._function(ctx)

    def origin(self) -> str:
        function = self._function
        module = getattr(function, "__module__", None) or type(function).__module__
        return sys.intern(f"{module}.{getattr(function, '__qualname__', self.name)}")


@dataclass(frozen=True, slots=True)
class JobDefinition:
    """A job that has been checked: what the engine schedules, claims and runs."""

    job: Job
    name: str
    schedule: Schedule
    keys: JobKeys
    origin: str
    policies: Policies = DEFAULT

    @classmethod
    def of(cls, job: Job, namespace: str, timezone: str = "UTC") -> JobDefinition:
        """Check `job`; `InvalidJobError` or `InvalidScheduleError` quotes what cannot work.

        `timezone`: of schedules that name none.
        """
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
        policies = Policies.of(job, name)
        schedule = _moved(_schedule_of(job, name).in_timezone(timezone), name, policies)
        return cls(job, name, schedule, JobKeys.of(sync_key), job.origin(), policies)

    def copy_job(self) -> Job:
        """A shallow copy for one run; a function sees the context alone, and needs none."""
        return self.job if type(self.job) is FunctionJob else shallow_copy(self.job)


def _checked_name(job: Job) -> str:
    name = getattr(job, "name", None)
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise InvalidJobError(
            f"{type(job).__name__}.name is {name!r}: it must be a printable string, "
            f'such as name = "purge sessions".'
        )
    return name


def _checked_parameters(name: str, parameters: Any) -> dict[str, Any]:
    if not isinstance(parameters, Mapping) or not all(isinstance(key, str) for key in parameters):
        raise InvalidJobError(
            f"job {name!r} has parameters = {parameters!r}: they must be keywords of its "
            f"function, such as {{'tenant': 'acme'}}."
        )
    return dict(parameters)


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


def _moved(schedule: Schedule, name: str, policies: Policies) -> Schedule:
    """The schedule as the job's policies move its due times."""
    if policies.misfire == "all" and not schedule.on_grid:
        raise InvalidJobError(
            f"job {name!r} has misfire = 'all' and the schedule {schedule!s}, whose due times "
            f"follow from when it runs: none can be made good. Use cron(…) or every(…, align=True)."
        )
    spread_ms = None if policies.spread is True else round(policies.spread * 1000)
    return shifted(schedule, name, jitter_ms=round(policies.jitter * 1000), spread_ms=spread_ms)
