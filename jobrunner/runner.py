"""`JobRunner`: what a user holds. It finds the application, whose `AppState` wires the floors
below; neither has logic of its own.

The way of one run, downwards: `hosting` decides where the loop lives; `engine.scheduler` ticks,
asking `engine.agenda` which jobs may be due; `store` claims them in Redis, in one atomic step;
`engine.executor` runs each in a greenlet while `engine.keeper` renews its lease; the outcome goes
back to `store`, and the next due time to the agenda.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from .application import AppState
from .clock import Clock
from .context import JobContext
from .errors import ConfigurationError, InvalidRequestError
from .job import FunctionJob, Job
from .policies import PolicyKeywords
from .policies import check_keywords as check_policies
from .registry import Registry
from .run import HistoryEntry, Outcome
from .schedules import Schedule
from .settings import Settings, SettingsKeywords, check_keywords
from .status import InstanceStatus, JobStatus

if TYPE_CHECKING:
    from flask import Flask
    from redis import Redis


F = TypeVar("F", bound=Callable[..., object])


class JobRunner:
    """Recurring jobs inside a Flask application, each run once per due time in the whole fleet.

    `JobRunner(app, jobs=[…]).start()`, or `runner = JobRunner()` beside the application and
    `runner.init_app(app)`, `runner.start()` in its factory. Every setting of `Settings` is a
    keyword, and else `JOBRUNNER_X` in the configuration or the environment.

    `redis`: a client whose connection settings are taken, instead of `redis_url`; fakeredis in
    tests. `context`: a `JobContext` that each run gets a copy of. `clock`: returns Unix seconds
    and rules every decision about what is due; None: Redis's clock. It may be set at any time.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        jobs: Iterable[Job] = (),
        redis: Redis | None = None,
        context: JobContext | None = None,
        clock: Clock | None = None,
        **settings: Unpack[SettingsKeywords],
    ) -> None:
        check_keywords(settings)
        if context is not None and not isinstance(context, JobContext):
            raise ConfigurationError(
                f"context={context!r}: it must be a JobContext, such as "
                f"JobContext(session_factory=sessionmaker(engine))."
            )
        self.clock = clock
        self.redis = redis
        self.context = context
        self._keywords = settings
        # Checks names and keys before an application, and so the namespace, is known.
        self._registry = Registry("jobrunner")
        self._states: weakref.WeakSet[AppState] = weakref.WeakSet()
        self._initialised = 0
        self._latest: weakref.ref[AppState] | None = None
        self._without_app: AppState | None = None
        for job in jobs:
            self.register(job)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, jobs: Iterable[Job] = ()) -> None:
        """Give `app` the runner's jobs, and `jobs` that are its alone. Once for an application.

        `ConfigurationError` for a setting that is not allowed, `InvalidJobError` for a job.
        """
        if "jobrunner" in app.extensions:
            raise ConfigurationError(
                f"the application {app.name!r} has a job runner already: "
                f"call JobRunner(app) or runner.init_app(app) once."
            )
        state = self._new_state(app)
        for job in jobs:
            state.registry.register(job)
        app.extensions["jobrunner"] = state
        self._initialised += 1
        self._latest = weakref.ref(state)

    def job(
        self,
        schedule: Schedule,
        *,
        name: str | None = None,
        sync_key: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        **policies: Unpack[PolicyKeywords],
    ) -> Callable[[F], F]:
        """Register the decorated function, and return it unchanged. Its name is the job's
        unless `name` is given; `parameters` are keywords that each run hands to it; the other
        arguments are the policies of `Policies`, durations as seconds or a `timedelta`.

        `TypeError` for a keyword that is no policy, `InvalidJobError` for a value that cannot
        work, `DuplicateJobError` for the name or the key of another job.
        """

        check_policies(policies)

        def decorate(function: F) -> F:
            self.register(
                FunctionJob(
                    function,
                    schedule,
                    name=name,
                    sync_key=sync_key,
                    parameters=parameters,
                    **policies,
                )
            )
            return function

        return decorate

    def register(self, job: Job) -> None:
        """Add a job for every application, those initialised already too. The same function or
        class again replaces itself; a different job of the same name or key is a
        `DuplicateJobError`, one that cannot work an `InvalidJobError`. In this process; a started
        runner follows with its next check.
        """
        for registry in self._registries():
            registry.register(job)

    def replace(self, job: Job) -> None:
        """Put `job` in the place of the one that has its name, whatever that is; while running,
        too. A run that goes on is the old job's. In this process: other instances keep what they
        have. `InvalidJobError` (`DuplicateJobError` for another job's key) changes nothing.
        """
        for registry in self._registries():
            registry.check(job)
        for registry in self._registries():
            registry.replace(job)

    def unregister(self, name: str) -> None:
        """Take a job away from every application of this process; a run that goes on ends as it
        will. Other processes keep it, and what it left in Redis stays. `UnknownJobError` for a
        wrong name.
        """
        registries = [registry for registry in self._registries() if name in registry]
        if not registries:
            self._registry.get(name)
        for registry in registries:
            registry.unregister(name)

    def start(self, app: Flask | None = None) -> JobRunner:
        """Start where this process is to run jobs; call it in the application factory.

        In a gunicorn worker the loop lives as long as the worker runs; under the development
        server it starts at once; under any other server with its first request; for a command
        (`flask shell`) and in tests not at all. Calling it again changes nothing. Without `app`
        it is the application that was initialised last: in a factory, its own.
        """
        latest = None if self._latest is None else self._latest()
        (self._state(app) if app is not None or latest is None else latest).start()
        return self

    def stop(self, timeout: float | None = None, app: Flask | None = None) -> bool:
        """Stop claiming, let runs finish for `timeout` seconds (None: the drain timeout),
        interrupt the rest. True when all runs ended by themselves.
        """
        return self._state(app).stop(timeout)

    def run_jobs(self, app: Flask | None = None) -> None:
        """Run jobs in this process, and nothing else, until TERM or INT; then drain."""
        self._state(app).run_jobs()

    def tick(self, wait: bool = False, app: Flask | None = None) -> None:
        """Check every job now, whether started or not, and start what is due.

        With `wait` it returns when the runs that it started have ended. `StoreError` when Redis
        is away.
        """
        self._state(app).instance().tick(wait=wait)

    def status(self, app: Flask | None = None) -> list[JobStatus]:
        """Where each job that is registered here stands in the fleet, read from Redis now; what
        cannot be read is its `problem`. `StoreError` when Redis is away.
        """
        return self._state(app).status()

    def history(
        self,
        name: str,
        limit: int = 20,
        outcome: Outcome | str | None = None,
        app: Flask | None = None,
    ) -> list[HistoryEntry]:
        """The newest `limit` runs of a job that have ended, the newest first; with `outcome` only
        those that ended so. `UnknownJobError` for a wrong name, `InvalidRequestError` for what is
        no `Outcome`, `StoreError` when Redis is away.
        """
        return self._state(app).history(name, limit, None if outcome is None else _word(outcome))

    def upcoming(
        self, count: int = 10, name: str | None = None, app: Flask | None = None
    ) -> list[tuple[float, str]]:
        """The next `count` due times, of all jobs or of the one named, as (Redis's Unix seconds,
        name), the soonest first: as if each job ran when it is due and took no time. What is late
        is due now, and what is paused when that is over.
        `UnknownJobError` for a wrong name; `StoreError` when Redis is away.
        """
        return self._state(app).upcoming(count, name)

    def instances(self, app: Flask | None = None) -> list[InstanceStatus]:
        """The instances of the fleet that live, those seen last first; one that died is forgotten
        after ten check intervals, a minute at least. `StoreError` when Redis is away.
        """
        return self._state(app).instances()

    def trigger(
        self,
        name: str,
        wait: bool = False,
        queue: bool = False,
        timeout: float | None = None,
        app: Flask | None = None,
    ) -> str | HistoryEntry | None:
        """Run a job once, out of turn, by whichever instance comes first, also when it is paused
        or quarantined; its `when` and `tags` hold all the same.

        Returns the id of the request, of the one that waits already if there is one. With `wait`
        it returns the entry of the run that answered it, once that has ended, however it ended;
        None: not within `timeout` seconds (None: as long as it takes), and the request stays.
        While Redis keeps its data a request is answered by one run at most.

        `RefusedError` while the job runs, unless with `queue` the request may wait for that;
        `UnknownJobError`, `LastRunParseError`; `StoreError`: whether it was asked is not known.
        """
        return self._state(app).trigger(name, wait=wait, queue=queue, timeout=timeout)

    def pause(
        self,
        name: str,
        until: float | datetime | None = None,
        reason: str = "",
        app: Flask | None = None,
    ) -> None:
        """Let no run of a job's schedule begin in the fleet until then (Unix seconds, or a
        `datetime`, local time if it has no timezone; None: until it is resumed). What runs goes
        on, requests are answered. `reason` is shown in the status. `InvalidJobError` for what is
        no such time; `UnknownJobError`, `LastRunParseError`, `StoreError`.
        """
        self._state(app).pause(name, until, reason)

    def resume(self, name: str, app: Flask | None = None) -> None:
        """End a job's pause, and its quarantine: it goes on as its schedule and `misfire` say.
        `UnknownJobError`, `LastRunParseError`, `StoreError`.
        """
        self._state(app).resume(name)

    def reset(self, name: str, app: Flask | None = None) -> None:
        """Make a job due at once, as if it had never run, and end its quarantine; it stays paused
        if it is. Mends a last run that cannot be read. `UnknownJobError`, `StoreError`;
        `LastRunParseError` where its state is no hash: delete that key.
        """
        self._state(app).reset(name)

    def cancel(self, name: str, app: Flask | None = None) -> str:
        """Stop the run of a job that runs now, wherever it is; returns its id, without waiting
        for its end. Within one check interval a greenlet is interrupted; a thread, or what does
        not yield, is told (`ctx.cancelled`, `ctx.check()`). `RefusedError` when nothing runs;
        `UnknownJobError`, `LastRunParseError`, `StoreError`.
        """
        return self._state(app).cancel(name)

    def _new_state(self, app: Flask | None) -> AppState:
        settings = Settings.load(
            self._keywords,
            {} if app is None else app.config,
            os.environ,
            default_namespace=None if app is None else app.name,
        )
        state = AppState(self, app, settings)
        for definition in self._registry:
            state.registry.register(definition.job)
        self._states.add(state)
        return state

    def _registries(self) -> list[Registry]:
        return [self._registry, *(state.registry for state in self._all_states())]

    def _all_states(self) -> list[AppState]:
        return list(self._states)

    def _state(self, app: Flask | None) -> AppState:
        """Of the application given, else the current one, else the only one, else of none."""
        from flask import current_app, has_app_context

        if app is None and has_app_context():
            state: AppState | None = current_app.extensions.get("jobrunner")
            if state is not None and state in self._states:
                return state
        if app is not None:
            given: AppState | None = app.extensions.get("jobrunner")
            if given is not None and given in self._states:
                return given
            raise ConfigurationError(
                f"the application {app.name!r} does not have this job runner. "
                f"Did you forget to call runner.init_app(app)?"
            )
        if self._initialised == 0:
            if self._without_app is None:
                self._without_app = self._new_state(None)
            return self._without_app
        states = [state for state in self._all_states() if state is not self._without_app]
        if self._initialised == 1 and states:
            return states[0]
        if self._initialised == 1:
            raise ConfigurationError(
                "the application of this job runner is gone: keep a reference to what "
                "create_app() returned while its jobs are to run."
            )
        raise ConfigurationError(
            f"this job runner serves {self._initialised} applications: say which one, with app=…, "
            f"or call it inside `with app.app_context():`."
        )


def _word(outcome: Outcome | str) -> Outcome:
    try:
        return Outcome(outcome)
    except ValueError:
        words = ", ".join(repr(str(one)) for one in Outcome)
        raise InvalidRequestError(f"outcome={outcome!r}: it must be one of {words}.") from None
