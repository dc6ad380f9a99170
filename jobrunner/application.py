"""The runner's state of one application: it wires the floors below, and has no logic of its own."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from .context import JobContext
from .database.fence_table import create_fence_table
from .database.sessions import session_factory_of
from .engine import controls, report
from .errors import ConfigurationError, RefusedError
from .hosting import fork, gunicorn
from .hosting.detect import Process, detect, find_worker
from .hosting.instance import Instance, runs_in_threads
from .hosting.request import StartWithRequest
from .hosting.signals import wait_for_stop_signal
from .job import JobDefinition
from .registry import Registry
from .run import HistoryEntry, Outcome, Progress
from .settings import Settings
from .signals import send
from .status import InstanceStatus, JobStatus
from .store.connect import Connect, connector
from .store.redis import RedisStore

if TYPE_CHECKING:
    from flask import Flask

    from .runner import JobRunner

T = TypeVar("T")


class AppState:
    """The runner's state of one application, as `app.extensions["jobrunner"]` holds it."""

    def __init__(self, runner: JobRunner, app: Flask | None, settings: Settings) -> None:
        self.settings = settings
        self.registry = Registry(settings.namespace, settings.timezone)
        self._runner = runner
        self._app = app
        #: What is around the code of each attempt.
        self._scope: Callable[[], AbstractContextManager[object]] = (
            nullcontext if app is None else app.app_context
        )
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
        return report.status(
            list(self.registry),
            self.instance().store,
            self.settings.quarantine_after,
            self.settings.tags,
        )

    def history(self, name: str, limit: int, outcome: Outcome | None = None) -> list[HistoryEntry]:
        return self.instance().store.history(self.registry.get(name), limit, outcome)

    def upcoming(self, count: int, name: str | None = None) -> list[tuple[float, str]]:
        jobs = list(self.registry) if name is None else [self.registry.get(name)]
        now_ms = self.instance().store.now_ms()
        return report.upcoming(self.status(), jobs, count, now_ms / 1000)

    def instances(self) -> list[InstanceStatus]:
        return self.instance().store.instances()

    def trigger(
        self, name: str, *, wait: bool = False, queue: bool = False, timeout: float | None = None
    ) -> str | HistoryEntry | None:
        definition, instance = self.registry.get(name), self.instance()
        if not definition.policies.enabled:
            raise RefusedError(
                f"job {name!r} is switched off (enabled=False): switch it on, or no instance "
                f"runs it."
            )
        request = controls.trigger(instance.store, definition, queue=queue)
        instance.look_at(name)
        return instance.answer_to(definition, request, timeout) if wait else request

    def pause(self, name: str, until: float | datetime | None = None, reason: str = "") -> None:
        self._control(name, lambda store, job: controls.pause(store, job, until, reason))

    def resume(self, name: str) -> None:
        self._control(name, controls.resume)

    def reset(self, name: str) -> None:
        self._control(name, controls.reset)

    def cancel(self, name: str) -> str:
        return self._control(name, controls.cancel)

    def _control(self, name: str, act: Callable[[RedisStore, JobDefinition], T]) -> T:
        instance = self.instance()
        result = act(instance.store, self.registry.get(name))
        instance.look_at(name)
        return result

    def run_here(
        self, name: str, on_progress: Callable[[Progress], None] | None = None
    ) -> HistoryEntry:
        instance, definition = self.instance(), self.registry.get(name)
        try:
            return instance.run_here(definition, on_progress)
        finally:
            if not instance.is_started:
                self.stop(0)  # it was here for this one run

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

    def _adopt_worker(self, worker: Any) -> None:
        gunicorn.attach(worker, self.start_here)

    def _start_with_server(self) -> None:
        if self._app is None:
            self.start_here()  # no request will ever tell
        elif not self._app.testing:
            start = StartWithRequest(self._app.wsgi_app, self.start_here)
            self._app.wsgi_app = start  # type: ignore[method-assign]


def _context_for(app: Flask | None, given: JobContext | None) -> JobContext:
    """The context that runs get copies of: the given one, with what it lacks."""
    context = JobContext() if given is None else copy.copy(given)
    context.app = app
    if context.session_factory is None and app is not None:
        context.session_factory = session_factory_of(app)
    return context
