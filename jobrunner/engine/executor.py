"""The executor: one greenlet (or native thread) a run, from its claim to its recorded end.

A run reads: trust checked, application context, `JobContext`, `job.run`, outcome, finish.
Finishes gather: the first to end sends for all that have ended, who ends meanwhile is sent by
it next, and when there is no load nobody waits.
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, TypeVar

import gevent
from gevent.event import Event
from gevent.threadpool import ThreadPool

from ..clock import Clock
from ..context import JobContext
from ..errors import (
    LeaseLostError,
    RunCancelledError,
    RunInterruptedError,
    RunStopped,
    StaleRunError,
    StoreError,
)
from ..job import JobDefinition
from ..run import Outcome, Run
from ..signals import Notify, lease_lost, send_nothing
from ..store.answers import Ending, Known
from ..store.redis import MAX_BATCH, RedisStore
from .fenced import fenced
from .keeper import Lease, LeaseKeeper

Q = TypeVar("Q")
A = TypeVar("A")

logger = logging.getLogger("jobrunner")

#: Characters of an exception's text that Redis keeps.
MAX_ERROR = 500

#: Told of each run that is over; None: it was given back, or nothing is known of its job.
OnOver = Callable[[JobDefinition, Known | None], None]


class ActiveRun:
    """One claimed run of this instance, until Redis has acknowledged its end."""

    __slots__ = (
        "definition",
        "ended",
        "greenlet",
        "in_body",
        "interruptible",
        "lease",
        "run",
        "stop_reason",
        "told_at",
    )

    def __init__(self, definition: JobDefinition, run: Run, lease: Lease) -> None:
        self.definition = definition
        self.run = run
        self.lease = lease
        self.stop_reason: RunStopped | None = None
        #: Trust seconds at which it was told to stop.
        self.told_at = 0.0
        #: Whether the user's code is running: only then may something be thrown into it.
        self.in_body = False
        #: A native thread can only be told.
        self.interruptible = True
        #: Over here, though Redis may not have acknowledged it.
        self.ended = False
        self.greenlet: gevent.Greenlet | None = None

    @property
    def extra(self) -> dict[str, object]:
        """What each log record of this run carries."""
        return {"job": self.run.job, "run_id": self.run.id, "token": self.run.token}

    def why_stop(self, now: float) -> RunStopped | None:
        """Why the run should stop, at trust second `now`; None: it may go on."""
        if self.stop_reason is None and now >= self.lease.trusted_until:
            return LeaseLostError(
                f"run {self.run.id} of job {self.run.job!r} cannot trust its lease any more"
            )
        return self.stop_reason


class _Ended(NamedTuple):
    """A run that is over here, and not yet in Redis. Without an outcome it never started."""

    active: ActiveRun
    outcome: Outcome | None
    error: str
    ended_at: float


class Executor:
    """Runs what was claimed, and records how it ended."""

    def __init__(
        self,
        store: RedisStore,
        keeper: LeaseKeeper,
        *,
        context: JobContext,
        scope: Callable[[], AbstractContextManager[object]],
        slots: int,
        in_threads: bool,
        trust: Clock,
        fenced_by_default: bool = False,
        check_interval: float = 1.0,
        notify: Notify = send_nothing,
    ) -> None:
        self._store = store
        self._keeper = keeper
        self._context = context
        self._scope = scope
        self._slots = slots
        #: Whether runs are native threads, beside a loop that has one of its own.
        self.in_threads = in_threads
        self._trust = trust
        self._fenced_by_default = fenced_by_default
        self._check_interval = check_interval
        self._notify = notify
        self._active: dict[str, ActiveRun] = {}
        self._ended: list[_Ended] = []
        #: Set while nobody sends what has ended.
        self._sent = Event()
        self._sent.set()
        self._draining = False
        self._under_way = 0
        #: Set while no run is under way.
        self._idle = Event()
        self._idle.set()
        self._pool: ThreadPool | None = None
        self.on_over: OnOver = lambda definition, known: None

    @property
    def free_slots(self) -> int:
        """How many more runs this instance may claim now."""
        return 0 if self._draining else self._slots - len(self._active)

    def active(self) -> list[ActiveRun]:
        """The runs that are not over."""
        return list(self._active.values())

    def start(self, definition: JobDefinition, run: Run, lease: Lease) -> ActiveRun:
        """Run what was claimed, in a greenlet of its own."""
        active = ActiveRun(definition, run, lease)
        self._keeper.hold(lease)
        self._active[run.id] = active
        self._under_way += 1
        self._idle.clear()
        # A plain spawn: the greenlet's context is empty, so no request's `g` leaks into the run.
        active.greenlet = gevent.spawn(self._live, active)
        return active

    def tell(self, lease: Lease, why: str) -> None:
        """Stop the run of a lease that is lost."""
        active = self._active.get(lease.run_id)
        if active is not None and not active.ended:
            name = active.run.job
            logger.warning("Job %s lost its lease: %s", name, why, extra=active.extra)
            self._stop(active, LeaseLostError(f"job {name!r} lost its lease: {why}"))
            self._notify(lease_lost, run=active.run, why=why)

    def cancel(self, run_id: str) -> None:
        """Stop a run that a person has cancelled, if it runs here."""
        active = self._active.get(run_id)
        if active is not None and not active.ended and active.stop_reason is None:
            self._stop(active, RunCancelledError(f"job {active.run.job!r} was cancelled"))

    def remind(self) -> float:
        """Stop again what was told to stop and goes on. Returns the seconds until the next time.

        Its lease is not released under it: while it is ours it is renewed until the run ends.
        """
        now = self._trust()
        for active in self._living():
            if active.stop_reason is not None and now - active.told_at >= self._check_interval:
                logger.warning(
                    "Job %s goes on, %.1f s after it was told to stop",
                    active.run.job,
                    now - active.told_at,
                    extra=active.extra,
                )
                self._throw_soon(active, active.stop_reason)
        return self._check_interval

    def flush(self) -> None:
        """Send what has ended to Redis, unless somebody is sending already.

        `StoreError` leaves it here, lease and all, for the next flush.
        """
        if not self._sent.is_set():
            return
        self._sent.clear()
        try:
            while self._ended:
                self._send(self._ended[:MAX_BATCH])
        finally:
            self._sent.set()

    def stop_starting(self) -> None:
        """Begin no run any more: what is claimed from now on is given back."""
        self._draining = True

    def drain(self, deadline: float, interrupt_for: float) -> bool:
        """Let the runs finish until trust second `deadline`, then interrupt the rest and give
        them `interrupt_for` seconds to end. True when all ended by themselves.

        What ignores the interrupt keeps its lease, which nobody renews after us.
        """
        self.stop_starting()
        by_themselves = self._idle.wait(max(0.0, deadline - self._trust()))
        if not by_themselves:
            self._interrupt_all(interrupt_for)
        # Who ended first may still be sending for the others, though its own run is over already.
        self._sent.wait()
        return bool(by_themselves)

    def _interrupt_all(self, interrupt_for: float) -> None:
        for active in self._living():
            reason = RunInterruptedError(f"job {active.run.job!r}: its instance is stopping")
            self._stop(active, reason)
        if not self._idle.wait(interrupt_for):
            for active in self._living():
                logger.error(
                    "Job %s ignores its interruption: its lease is left to expire",
                    active.run.job,
                    extra=active.extra,
                )

    def _living(self) -> list[ActiveRun]:
        return [active for active in self._active.values() if not active.ended]

    # -- one run, from top to bottom ---------------------------------------------------------

    def _live(self, active: ActiveRun) -> None:
        outcome, error = self._in_its_place(active)
        active.ended = True
        self._ended.append(_Ended(active, outcome, error, self._trust()))
        self._under_way -= 1
        if self._under_way == 0:
            self._idle.set()
        if self.in_threads:
            # A call blocks the hub here, so nobody gathers meanwhile: let those join who are ready.
            gevent.sleep(0)
        try:
            self.flush()
        except StoreError:
            return  # the link has logged it; the next tick flushes again

    def _in_its_place(self, active: ActiveRun) -> tuple[Outcome | None, str]:
        if not self.in_threads:
            return self._perform(active)
        active.interruptible = False
        if self._pool is None:
            self._pool = ThreadPool(self._slots)
        # An empty context, as a greenlet has: pool threads are used again.
        result = self._pool.spawn(contextvars.Context().run, self._perform, active)
        outcome: tuple[Outcome | None, str] = result.get()
        return outcome

    def _perform(self, active: ActiveRun) -> tuple[Outcome | None, str]:
        """Run the job and say how that ended. Nothing that a job raises leaves this method."""
        if self._draining or active.why_stop(self._trust()):
            return None, ""  # the user's code has not begun: the claim is given back
        name = active.run.job
        logger.info("Starting job %s", name, extra=active.extra)
        try:
            self._run_job(active)
        except BaseException as error:
            return self._outcome_of(active, error)
        logger.info("Job %s finished successfully", name, extra=active.extra)
        return Outcome.SUCCEEDED, ""

    def _run_job(self, active: ActiveRun) -> None:
        context = self._context.for_run(active.run, lambda: active.why_stop(self._trust()))
        # The fence outside: what teardown functions of the application commit is the run's too.
        with self._fence(active.definition, context), self._scope():
            active.in_body = True
            try:
                active.definition.copy_job().run(context)
            finally:
                active.in_body = False

    def _fence(
        self, definition: JobDefinition, context: JobContext
    ) -> AbstractContextManager[object]:
        fenced_here = definition.policies.fenced
        wanted = self._fenced_by_default if fenced_here is None else fenced_here
        return fenced(context, definition, self._store) if wanted else nullcontext()

    def _outcome_of(self, active: ActiveRun, error: BaseException) -> tuple[Outcome, str]:
        name, extra = active.run.job, active.extra
        text = _describe(error)
        if isinstance(error, LeaseLostError):
            logger.error("Job %s stopped: its lease was lost", name, extra=extra)
            return Outcome.LEASE_LOST, text
        if isinstance(error, StaleRunError):
            logger.error("Job %s stopped: a newer run has superseded it", name, extra=extra)
            return Outcome.STALE, text
        if isinstance(error, RunCancelledError):
            logger.warning("Job %s was cancelled", name, extra=extra)
            return Outcome.CANCELLED, text
        if isinstance(error, RunInterruptedError):
            logger.warning("Job %s was interrupted: its instance stops", name, extra=extra)
            return Outcome.INTERRUPTED, text
        logger.error("Job %s finished with error: %s", name, text, exc_info=error, extra=extra)
        return Outcome.FAILED, text

    # -- the end of runs ---------------------------------------------------------------------

    def _send(self, batch: list[_Ended]) -> None:
        finished = [ended for ended in batch if ended.outcome is not None]
        unstarted = [ended for ended in batch if ended.outcome is None]
        unanswered: list[tuple[_Ended, StoreError]] = []
        if unstarted:
            claims = [(ended.active.definition, ended.active.run.id) for ended in unstarted]
            for ended, undone in _tried(self._store.give_back, claims, unstarted):
                if isinstance(undone, StoreError):
                    unanswered.append((ended, undone))
                else:
                    self._over(ended, None)
        if finished:
            endings = [_ending(ended) for ended in finished]
            for ended, answer in _tried(self._store.finish, endings, finished):
                if isinstance(answer, StoreError):
                    unanswered.append((ended, answer))
                    continue
                self._over(ended, answer.known)
                if answer.problem:
                    logger.error("Job %s: %s", ended.active.run.job, answer.problem)
        if unanswered:
            # A part of Redis may be away: what belongs to the others goes before these.
            waiting = [ended for ended, _ in unanswered]
            self._ended = [e for e in self._ended if e not in waiting] + waiting
            raise unanswered[0][1]

    def _over(self, ended: _Ended, known: Known | None) -> None:
        self._ended.remove(ended)
        active = ended.active
        self._keeper.release(active.run.id)
        self._active.pop(active.run.id, None)
        self.on_over(active.definition, known)

    def _stop(self, active: ActiveRun, reason: RunStopped) -> None:
        """Tell a run to stop, and throw `reason` into it where that is possible."""
        active.stop_reason = reason
        active.told_at = self._trust()
        self._throw_soon(active, reason)

    def _throw_soon(self, active: ActiveRun, reason: RunStopped) -> None:
        if active.interruptible:
            gevent.get_hub().loop.run_callback(self._throw, active, reason)

    def _throw(self, active: ActiveRun, reason: RunStopped) -> None:
        # Looked at here, in the hub, right before the throw: never into the recording of its end.
        if active.in_body and active.greenlet is not None and not active.greenlet.dead:
            active.greenlet.throw(reason)


def _tried(
    call: Callable[[list[Q]], list[A | StoreError]], questions: list[Q], whose: list[_Ended]
) -> list[tuple[_Ended, A | StoreError]]:
    """What the store answers for each; the error itself, where it answers nothing at all."""
    answers: list[A | StoreError]
    try:
        answers = call(questions)
    except StoreError as error:
        answers = [error] * len(questions)
    return list(zip(whose, answers, strict=True))


def _ending(ended: _Ended) -> Ending:
    assert ended.outcome is not None
    active = ended.active
    return Ending(active.definition, active.run.id, ended.outcome, ended.error, ended.ended_at)


def _describe(error: BaseException) -> str:
    try:
        text = str(error).encode("utf-8", "replace").decode()  # Redis takes no lone surrogate
    except Exception:
        text = "(its text cannot be made)"
    named = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return named if len(named) <= MAX_ERROR else named[: MAX_ERROR - 1] + "…"
