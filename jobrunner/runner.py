"""`JobRunner`: what a user holds. It wires the floors below, and has no logic of its own.

The way of one run, downwards: `hosting` decides where the loop lives; `engine.scheduler` ticks,
asking `engine.agenda` which jobs may be due; `store` claims them in Redis, in one atomic step;
`engine.executor` runs each in a greenlet while `engine.keeper` renews its lease; the outcome goes
back to `store`, and the next due time to the agenda.
"""

from __future__ import annotations

import copy
import os
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from .clock import Clock
from .context import JobContext
from .database.fence_table import create_fence_table
from .database.sessions import session_factory_of
from .engine import controls
from .errors import ConfigurationError
from .hosting import fork, gunicorn
from .hosting.detect import Process, detect, find_worker
from .hosting.instance import Instance, runs_in_threads
from .hosting.request import StartWithRequest
from .hosting.signals import wait_for_stop_signal
from .job import FunctionJob, Job
from .policies import PolicyKeywords
from .policies import check_keywords as check_policies
from .registry import Registry
from .run import HistoryEntry
from .schedules import Schedule
from .settings import Settings, SettingsKeywords, check_keywords
from .signals import send
from .status import JobStatus
from .store.connect import Connect, connector

if TYPE_CHECKING:
    from flask import Flask
    from redis import Redis

F = TypeVar("F", bound=Callable[..., object])


class AppState:
    """The runner's state of one application, as `app.extensions["jobrunner"]` holds it."""

    def __init__(self, runner: JobRunner, app: Flask | None, settings: Settings) -> None:
        self.settings = settings
        self.registry = Registry(settings.namespace)
        self._runner = runner
        self._app = app
        self._connect: Connect = connector(runner.redis, settings.redis_url)
        self._context = _context_for(app, runner.context)
        self._instance: Instance | None = None
        self._planned_in: int | None = None

    def start(self) -> None:
        """Start where this process is to run jobs: now, with its server, or not at all."""
        if not self.settings.enabled or self._planned_in == os.getpid():
            return
        self._planned_in = os.getpid()
        process = detect()
        # In gunicorn an explicit MODE says how the jobs run; when they run, the worker's life says.
        if process is Process.GUNICORN_WORKER:
            gunicorn.attach(find_worker(), self.start_here)
        elif process is Process.GUNICORN_MASTER:
            fork.on_worker_fork(self._adopt_worker)
        elif process is Process.SERVING or self.settings.mode != "auto":
            self.start_here()
        elif process is Process.UNKNOWN:
            self._start_with_server()

    def start_here(self) -> Instance:
        """Start in this process, whatever it is; the instance that runs already, if one does."""
        instance = self._instance
        if instance is None or not instance.is_here or not instance.is_started:
            instance = self._new_instance(in_threads=runs_in_threads(self.settings.mode))
            instance.start()
        return instance

    def instance(self) -> Instance:
        """The instance of this process; one that was not started, if none was."""
        if self._instance is None or not self._instance.is_here:
            return self._new_instance(in_threads=False)
        return self._instance

    def stop(self, timeout: float | None = None) -> bool:
        """Drain the instance of this process, if there is one."""
        instance, self._instance, self._planned_in = self._instance, None, None
        return instance is None or instance.stop(timeout)

    def run_jobs(self) -> None:
        """Run jobs in this process until TERM or INT, then drain."""
        if not self.settings.enabled:
            raise ConfigurationError(
                "JOBRUNNER_ENABLED is false, so this process runs no jobs: set it to true."
            )
        self.start_here()
        wait_for_stop_signal()
        self.stop()

    def status(self) -> list[JobStatus]:
        return controls.status(
            list(self.registry),
            self.instance().store,
            self.settings.quarantine_after,
            self.settings.tags,
        )

    def history(self, name: str, limit: int) -> list[HistoryEntry]:
        return self.instance().store.history(self.registry.get(name), limit)

    @property
    def context(self) -> JobContext:
        """What runs get copies of."""
        return self._context

    def create_fence_table(self) -> str:
        """Create the table of fenced sessions in the jobs' database, unless it is there. Returns
        the database, in words.
        """
        sessions = self._context.session_factory
        if sessions is None:
            raise ConfigurationError(
                "the jobs have no database: set SQLALCHEMY_DATABASE_URI, initialise "
                "Flask-SQLAlchemy before the runner, or give JobContext(session_factory=…)."
            )
        with self._scope(), sessions() as session, session.begin():
            connection = session.connection()
            create_fence_table(connection)
            return str(connection.engine.url.render_as_string(hide_password=True))

    def _new_instance(self, *, in_threads: bool) -> Instance:
        self._instance = Instance(
            self.settings,
            self.registry,
            self._connect,
            context=self._context,
            scope=self._scope,
            injected_clock=lambda: self._runner.clock,
            notify=self._notify,
            in_threads=in_threads,
        )
        return self._instance

    def _notify(self, signal: Any, **arguments: Any) -> None:
        send(signal, self._runner if self._app is None else self._app, **arguments)

    def _scope(self) -> AbstractContextManager[object]:
        return nullcontext() if self._app is None else self._app.app_context()

    def _adopt_worker(self, worker: Any) -> None:
        gunicorn.attach(worker, self.start_here)

    def _start_with_server(self) -> None:
        if self._app is None:
            self.start_here()  # no request will ever tell
        elif not self._app.testing:
            start = StartWithRequest(self._app.wsgi_app, self.start_here)
            self._app.wsgi_app = start  # type: ignore[method-assign]


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
        arguments are the policies of `Policies`.
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
        class again replaces itself; a different job of the same name or key is an error.
        """
        for registry in [self._registry, *(state.registry for state in self._all_states())]:
            registry.register(job)

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
        """Where each job stands in the fleet. `StoreError` when Redis is away."""
        return self._state(app).status()

    def history(self, name: str, limit: int = 20, app: Flask | None = None) -> list[HistoryEntry]:
        """The newest runs of a job, the newest first; `UnknownJobError` for a wrong name."""
        return self._state(app).history(name, limit)

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


def _context_for(app: Flask | None, given: JobContext | None) -> JobContext:
    """The context that runs get copies of: the given one, with what it lacks."""
    context = JobContext() if given is None else copy.copy(given)
    context.app = app
    if context.session_factory is None and app is not None:
        context.session_factory = session_factory_of(app)
    return context
