"""One instance: the parts of a runner, wired and alive in one process.

Made after fork, and bound to the process that made it: in a forked child it does nothing.
"""

from __future__ import annotations

import atexit
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import gevent
from gevent.lock import RLock

from ..clock import Clock, RedisClock
from ..context import JobContext
from ..database.fencing import install as install_fences
from ..engine import controls
from ..engine.by_hand import hear_of_cancels
from ..engine.conditions import Conditions
from ..engine.executor import ActiveRun, Executor
from ..engine.keeper import LeaseKeeper
from ..engine.progress import ProgressBoard
from ..engine.scheduler import Scheduler
from ..errors import ConfigurationError, RefusedError, StoreError
from ..job import JobDefinition
from ..registry import Registry
from ..run import HistoryEntry, Progress, new_id
from ..settings import Settings
from ..signals import Notify, instance_started, instance_stopped
from ..store.connect import Client, Connect, servers_of
from ..store.redis import RedisStore
from ..store.servers import Replicas
from .drain import drain
from .interrupts import cancelled_by_interrupt
from .loops import GreenletHome, Home, ThreadHome, is_patched

logger = logging.getLogger("jobrunner")

#: Seconds between two looks at whether the server stops.
_WATCH_SECONDS = 0.2

#: So many jobs get a line each in the log of every instance that starts; more only at DEBUG.
_MOST_ANNOUNCED = 50

#: Seconds after which a step that failed for no foreseen reason is tried again.
_RETRY_SECONDS = 0.1


class Instance:
    """A scheduler, an executor and a keeper over stores of their own, and where they live."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        connect: Connect,
        *,
        context: JobContext,
        scope: Callable[[], AbstractContextManager[object]],
        injected_clock: Callable[[], Clock | None],
        notify: Notify,
        in_threads: bool = False,
    ) -> None:
        self.id = new_id()
        if settings.fenced or any(definition.policies.fenced for definition in registry):
            install_fences()  # now, and not while other threads use their sessions
        self._pid = os.getpid()
        self._settings = settings
        self._registry = registry
        self._notify = notify
        self.clock = RedisClock(injected_clock)
        self._trust = self.clock.trust
        client = connect(settings.call_timeout)
        self._in_process = servers_of(client).in_process
        self.store = self._store_over(client)
        self._keeper_store = self._store_over(connect(settings.call_timeout))
        self.keeper: LeaseKeeper[ActiveRun] = LeaseKeeper(
            self._keeper_store,
            lease=settings.lease,
            trust=self._trust,
            on_lost=lambda lease, why: self.executor.tell(lease, why),
            on_failure=self.store.link.failed,
        )
        self.progress = ProgressBoard(
            self.store,
            interval=settings.progress_interval,
            trust=self._trust,
            now_ms=self.clock.now_ms,
        )
        self.executor = Executor(
            self.store,
            self.keeper,
            context=context,
            scope=scope,
            slots=settings.max_concurrent_runs,
            in_threads=in_threads,
            trust=self._trust,
            instance=self.id,
            fenced_by_default=settings.fenced,
            check_interval=settings.check_interval,
            max_traceback=settings.max_traceback,
            max_result=settings.max_result,
            progress=self.progress,
            notify=notify,
        )
        self.scheduler = Scheduler(
            registry,
            self.store,
            self.executor,
            self.keeper,
            instance=self.id,
            clock=self.clock,
            check_interval=settings.check_interval,
            resync_interval=settings.resync_interval,
            quarantine_after=settings.quarantine_after,
            tags=settings.tags,
            conditions=Conditions(scope, in_threads),
            notify=notify,
        )
        # Greenlets live on in a forked child, which must not claim in our name.
        self.scheduler.may_claim = lambda: self.is_here
        self._home: Home | None = None
        self._draining = RLock()
        self._drained: bool | None = None
        self._closed = False
        #: How long a drain may take, when nobody says.
        self._drain_seconds = settings.drain_timeout
        self._deadline: float | None = None

    @property
    def is_here(self) -> bool:
        """Whether it was made by this process, and not by one that forked it."""
        return self._pid == os.getpid()

    @property
    def is_started(self) -> bool:
        return self._home is not None

    def start(self) -> None:
        """Begin to check and run jobs, in the hub of the caller or in a thread."""
        self._home = home = ThreadHome() if self.executor.in_threads else GreenletHome()
        self._announce()
        self._notify(instance_started, instance=self.id)
        if self._in_process:  # fakeredis: a server in this thread, which no other may use
            home.spawn(lambda: self._loop_around(self.keeper.renew))
        else:
            home.call(self.keeper.start)
        home.spawn(lambda: self._loop_around(self.keeper.expire))
        home.spawn(lambda: self._loop_around(self._remind))
        home.spawn(lambda: self.progress.loop(lambda: self.is_here))
        home.spawn(lambda: self.scheduler.loop(lambda: self.is_here))
        atexit.register(self.stop)

    def tick(self, *, wait: bool) -> None:
        """One check of every job; with `wait`, until the runs that it started have ended."""
        if self._home is None:
            self._tick(wait)
        else:
            self._home.call(lambda: self._tick(wait))

    def look_at(self, name: str) -> None:
        """Look at a job soon: somebody in this process has touched it."""
        if self._home is not None and self._drained is None:
            self._home.call(lambda: self.scheduler.look_at(name))

    def answer_to(
        self, definition: JobDefinition, request: str, timeout: float | None
    ) -> HistoryEntry | None:
        """The run that answered a request, once it has ended."""
        return controls.answer_to(
            self.store,
            definition,
            request,
            timeout=timeout,
            trust=self._trust,
            sleep=time.sleep if isinstance(self._home, ThreadHome) else gevent.sleep,
        )

    def run_here(
        self, definition: JobDefinition, on_progress: Callable[[Progress], None] | None
    ) -> HistoryEntry:
        """Claim a job now, due or not, and run it in this process; what the history says of it.

        `RefusedError` while it runs already. An interrupt (Ctrl-C) cancels the run, and
        `KeyboardInterrupt` is raised once that has ended.
        """
        active, answer = self.scheduler.claim_by_hand(definition)
        if active is None:
            raise RefusedError(
                f"job {definition.name!r} is running already (run {answer.known.running}): wait "
                f"until it has ended, or cancel it."
            )
        self.progress.listen(active.run_id, on_progress)
        with self._leases_kept(), cancelled_by_interrupt(self.executor, active) as interrupts:
            self._join([active])
            self.executor.finishes.record([active])
        if interrupts:
            raise KeyboardInterrupt
        for entry in self.store.history(definition, 100):
            if entry.run_id == active.run_id:
                return entry
        raise StoreError(
            f"run {active.run_id} of job {definition.name!r} ended, and is not in the history: "
            f"Redis is away, or keeps too few entries (JOBRUNNER_HISTORY)"
        )

    def watch(
        self, alive: Callable[[], bool], most_seconds: float, still_here: Callable[[], None]
    ) -> None:
        """Follow the server: drain from the moment that `alive` turns false."""
        assert self._home is not None
        self.scheduler.may_claim = lambda: self.is_here and alive()
        self._drain_seconds = min(self._drain_seconds, most_seconds)
        self._home.spawn(lambda: self._watch(alive, still_here))

    def stop(self, timeout: float | None = None) -> bool:
        """Drain within `timeout` seconds, by default the drain timeout; once, however often it
        is called. True when all runs ended by themselves.
        """
        if not self.is_here:
            return True
        if self._closed:
            return bool(self._drained)
        atexit.unregister(self.stop)
        seconds = self._drain_seconds if timeout is None else timeout
        if self._home is None:
            return self._drain(seconds)
        home = self._home
        by_themselves = home.call(lambda: self._drain(seconds))
        home.close()
        self._closed = True
        return by_themselves

    def _store_over(self, client: Client) -> RedisStore:
        settings = self._settings
        return RedisStore(
            client,
            namespace=settings.namespace,
            instance=self.id,
            lease_ms=int(settings.lease * 1000),
            history=settings.history,
            forget_after_ms=int(max(60.0, 10 * settings.check_interval) * 1000),
            clock=self.clock,
            replicas=Replicas(settings.min_replicas, int(settings.call_timeout * 500))
            if settings.min_replicas
            else None,
            history_age_ms=None
            if settings.history_age is None
            else int(settings.history_age * 1000),
        )

    def _announce(self) -> None:
        logger.info(
            "Instance %s checks %d jobs of %r every %g s at most",
            self.id,
            len(self._registry),
            self._settings.namespace,
            self._settings.check_interval,
        )
        level = logging.INFO if len(self._registry) <= _MOST_ANNOUNCED else logging.DEBUG
        for definition in self._registry if logger.isEnabledFor(level) else ():
            logger.log(level, "Job %s: %s", definition.name, definition.schedule)

    def _loop_around(self, step: Callable[[], float]) -> None:
        while self.is_here:
            try:
                seconds = step()
            except Exception:  # a keeper that dies silently loses all runs
                logger.exception("Could not keep leases: an error of jobrunner itself")
                seconds = _RETRY_SECONDS
            gevent.sleep(seconds)

    def _remind(self) -> float:
        seconds = self.executor.remind()
        if self.scheduler.is_stopping and self.executor.active():
            hear_of_cancels(self.store, self.executor)  # nobody ticks any more
        return seconds

    def _tick(self, wait: bool) -> None:
        started = self.scheduler.tick(everything=True)
        if wait and started:
            with self._leases_kept():
                self._join(started)
                with suppress(StoreError):  # the link has logged it; the next tick sends them
                    self.executor.finishes.record(started)

    @contextmanager
    def _leases_kept(self) -> Iterator[None]:
        """Keep the leases of an instance that was not started, and send what its runs tell of
        their progress; a started one does it itself.

        In a thread here too: a job that blocks the hub must not lose its job to another instance.
        """
        in_thread = self._home is None and not self._in_process
        sender = gevent.spawn(self.progress.loop) if self._home is None else None
        if in_thread:
            self.keeper.start()
        try:
            yield
        finally:
            if sender is not None:
                sender.kill()
            if in_thread:
                self.keeper.stop()

    def _join(self, runs: list[ActiveRun]) -> None:
        are_over = False
        while not are_over:
            seconds = None
            if self._home is None:
                seconds = min(self.keeper.expire(), self._settings.check_interval)
                if self._in_process:
                    seconds = min(seconds, self.keeper.renew())
            are_over = self.executor.join(runs, timeout=seconds)
            if self._home is None and self.executor.active():
                hear_of_cancels(self.store, self.executor)

    def _watch(self, alive: Callable[[], bool], still_here: Callable[[], None]) -> None:
        while alive() and self._drained is None:
            gevent.sleep(_WATCH_SECONDS)
        if not self.is_here:
            return
        draining = gevent.spawn(self._drain, self._drain_seconds)
        while not draining.dead:
            still_here()
            draining.join(timeout=1.0)

    def _drain(self, seconds: float) -> bool:
        if self._deadline is None:
            self._deadline = self._trust() + seconds
        with self._draining:  # who comes second waits for the first
            if self._drained is None:
                self._drained = drain(
                    self.scheduler,
                    self.executor,
                    self.keeper,
                    self.store,
                    deadline=self._deadline,
                    trust=self._trust,
                )
                self.store.close()
                if self._home is not None:
                    self._notify(instance_stopped, instance=self.id)
            return self._drained


def runs_in_threads(mode: str) -> bool:
    """Whether an instance of this process has a thread of its own, by the MODE setting.

    `ConfigurationError` for threads under monkey patching: what looks like one is a greenlet of
    this hub there, and native threads beside it would share pools and locks that belong to hubs.
    """
    if mode == "thread" and is_patched():
        raise ConfigurationError(
            "JOBRUNNER_MODE = 'thread' cannot be had in a process that gevent has patched: "
            "leave it at 'auto', and the jobs are greenlets here and threads elsewhere."
        )
    return mode == "thread" or (mode == "auto" and not is_patched())
