"""The executor: one greenlet a run, from its claim to its recorded end.

A run reads: trust checked, its attempts (see `attempts.py`), outcome, finish. Finishes gather:
the first to end sends for all that have ended, who ends meanwhile is sent by it next, and when
there is no load nobody waits.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, TypeVar

import gevent
from gevent.event import Event

from ..clock import Clock
from ..context import JobContext
from ..errors import LeaseLostError, RunCancelledError, RunInterruptedError, StoreError
from ..job import JobDefinition
from ..run import Outcome
from ..signals import (
    Notify,
    job_claimed,
    job_failed,
    job_succeeded,
    lease_lost,
    send_nothing,
)
from ..store.answers import Answer, Ending, Known, new
from ..store.redis import MAX_BATCH, RedisStore
from .active import ActiveRun as ActiveRun
from .active import Here
from .attempts import Attempts
from .ends import End, described, traceback_of
from .greenlets import RunGreenlet
from .keeper import LeaseKeeper
from .lines import RunLine, log_end
from .progress import ProgressBoard
from .stops import Stops
from .threads import RunThreads

Q = TypeVar("Q")
A = TypeVar("A")

logger = logging.getLogger("jobrunner")

#: Told of runs that are over; None: it was given back, or nothing is known of its job.
OnOver = Callable[[list[tuple[JobDefinition, Known | None]]], None]

#: Up to so many runs at once are made to begin one right after the other; of more the last ones
#: come late all the same, and this takes time of all.
_FEW = 100

#: Ended runs that wait for claims to be answered; what is more is sent at once.
_MOST_HELD_BACK = 100


class Executor:
    """Runs what was claimed, and records how it ended."""

    def __init__(
        self,
        store: RedisStore,
        keeper: LeaseKeeper[ActiveRun],
        *,
        context: JobContext,
        scope: Callable[[], AbstractContextManager[object]],
        slots: int,
        in_threads: bool,
        trust: Clock,
        instance: str = "",
        fenced_by_default: bool = False,
        check_interval: float = 1.0,
        max_traceback: int = 4000,
        max_result: int = 4000,
        progress: ProgressBoard | None = None,
        notify: Notify = send_nothing,
    ) -> None:
        self._store = store
        self._slots = slots
        #: Whether runs are native threads, beside a loop that has one of its own.
        self.in_threads = in_threads
        self._trust = trust
        self._max_traceback = max_traceback
        self._progress = progress or ProgressBoard(store, trust=trust)
        self._here = Here(instance, trust, self._progress)
        self._listeners = notify
        self._stops = Stops(trust, check_interval)
        self._attempts = Attempts(
            store,
            self._stops,
            context=context,
            scope=scope,
            # So many that no run waits for one: it holds its lease already.
            threads=RunThreads(slots),
            all_in_threads=in_threads,
            trust=trust,
            fenced_by_default=fenced_by_default,
            max_result=max_result,
            # Seeded by the instance: instances that failed together do not come back together.
            chance=random.Random(f"pauses of {instance}"),
            notify=self._notify,
        )
        self._finished = RunLine("Job %s finished successfully")
        #: By run id; the keeper's own: what is active has a lease that is kept.
        self._active = keeper.leases
        #: One for all: each look at a method makes an object.
        self._begin = self._live
        #: Over here and not yet in Redis, in the order in which they are to be sent. Without an
        #: ending a run never started.
        self._ended: dict[ActiveRun, Ending | None] = {}
        #: Set while nobody sends what has ended.
        self._sent = Event()
        self._sent.set()
        self._holds_back = False
        #: Set while no claims are under way.
        self._answered = Event()
        self._answered.set()
        self._draining = False
        self._under_way = 0
        #: Of those, how many greenlets have not had their first turn.
        self._unbegun = 0
        #: Set while no run is under way.
        self._idle = Event()
        self._idle.set()
        self.on_over: OnOver = lambda over: None

    @property
    def free_slots(self) -> int:
        """How many more runs this instance may claim now."""
        return 0 if self._draining else self._slots - len(self._active)

    def active(self) -> list[ActiveRun]:
        """The runs that are not over."""
        return list(self._active.values())

    def runs_here(self, run_id: str | None) -> bool:
        """Whether a run is under way here, or over and not yet recorded."""
        return run_id in self._active

    def start(self, definition: JobDefinition, granted: Answer, trusted_until: float) -> ActiveRun:
        """Run what an answer of Redis grants, in a greenlet of its own."""
        active = ActiveRun(definition, granted, trusted_until, self._here)
        if job_claimed.receivers:  # mostly nobody listens, and every run comes by
            self._notify(job_claimed, run=active.run)
        self._active[active.run_id] = active
        if self._under_way == 0:
            self._idle.clear()
        self._under_way += 1
        self._unbegun += 1
        # Its context is empty, so no request's `g` leaks into the run.
        hub = gevent.get_hub()
        active.greenlet = RunGreenlet(self._begin, hub)
        hub.loop.run_callback(active.greenlet.switch, active)
        return active

    def join(self, runs: list[ActiveRun], timeout: float | None = None) -> bool:
        """Wait until the greenlets of these runs are over, `timeout` seconds at most; whether they
        are.
        """
        ends = []
        for active in runs:
            if active.greenlet is not None:
                if active.left is None:
                    active.left = Event()
                ends.append(active.left)
        return len(gevent.wait(ends, timeout)) == len(ends)

    def tell(self, active: ActiveRun, why: str) -> None:
        """Stop a run whose lease is lost."""
        if not active.ended:
            name = active.name
            logger.warning("Job %s lost its lease: %s", name, why, extra=active.extra)
            self._stops.stop(active, LeaseLostError(f"job {name!r} lost its lease: {why}"))
            self._notify(lease_lost, run=active.run, why=why)

    def cancel(self, run_id: str, why: str = "") -> bool:
        """Stop a run because a person wants it; False: it is not, or not any more, at work here."""
        active = self._active.get(run_id)
        if active is None or active.ended:
            return False
        if active.stop_reason is None:
            name = active.name
            words = f"job {name!r} was cancelled{why and ': '}{why}"
            logger.warning("Job %s is being cancelled: %s", name, why or "no reason was given")
            self._stops.stop(active, RunCancelledError(words))
        return True

    def remind(self) -> float:
        """Stop again what was told to stop and goes on. Returns the seconds until the next time.

        Its lease is not released under it: while it is ours it is renewed until the run ends.
        """
        return self._stops.remind(self._living())

    def flush(self, *, gather: bool = False) -> None:
        """Send what has ended to Redis, unless somebody is sending already. With `gather` those
        join who are ready to end, too: that is no turn of the loop.

        `StoreError` leaves it here, lease and all, for the next flush.
        """
        if not self._sent.is_set():
            return
        self._sent.clear()
        try:
            if gather:
                gevent.sleep(0)  # the first lines of who has not begun
                gevent.sleep(0)  # the last ones of who has ended
            while self._ended:
                self._send(list(islice(self._ended.items(), MAX_BATCH)))
        finally:
            self._sent.set()

    def record(self, runs: list[ActiveRun]) -> None:
        """Return when the ends of these runs are in Redis; `StoreError` when that is away."""
        while any(active in self._ended for active in runs):
            self.flush()  # somebody may be sending already
            self._sent.wait()

    def hold_back(self) -> None:
        """Claims are under way: what ends meanwhile is sent behind them, for jobs that are due wait
        for their answer, and nobody waits for that of a finish.
        """
        self._holds_back = True
        self._answered.clear()

    def let_go(self) -> None:
        """The claims are answered: send what was held back, and what ends in this turn."""
        if self._holds_back:
            self._holds_back = False
            self._answered.set()
            if self._ended:
                self._flush_gathered()

    def stop_starting(self) -> None:
        """Begin no run any more, nor another attempt: what is claimed from now on is given back,
        and a run that pauses between two attempts ends as the last one did.
        """
        self._draining = True
        self._attempts.stop_beginning()
        for active in self._living():
            if active.pause is not None:
                active.pause.set()

    def drain(self, deadline: float, interrupt_for: float) -> bool:
        """Let the runs finish until trust second `deadline`, then interrupt the rest and give
        them `interrupt_for` seconds to end. True when all ended by themselves.

        What ignores the interrupt keeps its lease, which nobody renews after us.
        """
        self.stop_starting()
        self.let_go()
        by_themselves = self._idle.wait(max(0.0, deadline - self._trust()))
        if not by_themselves:
            self._interrupt_all(interrupt_for)
        # Who ended first may still be sending for the others, though its own run is over already.
        self._sent.wait()
        return bool(by_themselves)

    def _interrupt_all(self, interrupt_for: float) -> None:
        for active in self._living():
            reason = RunInterruptedError(f"job {active.name!r}: its instance is stopping")
            # What has a reason to stop already hears that one again.
            self._stops.stop(active, active.stop_reason or reason)
        if not self._idle.wait(interrupt_for):
            for active in self._living():
                logger.error(
                    "Job %s ignores its interruption: its lease is left to expire",
                    active.name,
                    extra=active.extra,
                )

    def _living(self) -> list[ActiveRun]:
        return [active for active in self._active.values() if not active.ended]

    # -- one run, from top to bottom ---------------------------------------------------------

    def _live(self, active: ActiveRun) -> None:
        try:
            self._unbegun -= 1
            try:
                end = self._attempts.perform(active)
            except BaseException as error:  # the run is recorded all the same
                logger.exception("Job %s: an error of jobrunner itself", active.name)
                end = End(Outcome.FAILED, error)
            ended_at = self._trust()
            if self._under_way <= _FEW:
                # Others are claimed, or about to be: their first lines come before our last ones.
                if self._holds_back:
                    self._answered.wait()
                if self._unbegun:
                    gevent.sleep(0)
            active.ended = True
            if self._progress.is_used:
                self._progress.forget(active)
            if end is None:
                self._ended[active] = None
            else:
                self._take_down(active, end, ended_at)
            self._under_way -= 1
            if self._under_way == 0:
                self._idle.set()
            held_back = self._holds_back and len(self._ended) < _MOST_HELD_BACK
            if not held_back and self._sent.is_set():  # else who sends takes this along
                self._flush_gathered()
        finally:
            active.greenlet = None  # it may go, though the end is not in Redis yet
            if active.left is not None:
                active.left.set()

    def _flush_gathered(self) -> None:
        try:
            self.flush(gather=True)
        except StoreError:
            return  # the link has logged it; the next tick flushes again

    def _take_down(self, active: ActiveRun, end: End, ended_at: float) -> None:
        """Have the end recorded, and tell it: in the log, and to who listens. It waits for the next
        flush already, so that a slow listener holds up nobody's record for longer than a check
        interval.
        """
        outcome, error, returned, result = end
        self._ended[active] = new(
            Ending,
            (
                active.definition,
                active.run_id,
                active.known,
                outcome,
                "" if error is None else described(error),
                ended_at,
                active.attempt,
                "" if error is None else traceback_of(error, self._max_traceback),
                result,
            ),
        )
        if outcome is Outcome.SUCCEEDED:
            self._finished.log(active.definition.name, active.run_id, active.token)
            if job_succeeded.receivers:
                self._notify(job_succeeded, run=active.run, result=returned)
        else:
            log_end(active, end)
            self._notify(job_failed, run=active.run, error=error, outcome=outcome)

    def _notify(self, signal: Any, **arguments: Any) -> None:
        try:
            self._listeners(signal, **arguments)
        except BaseException:  # SystemExit too: nothing that listens may lose the end of a run
            logger.exception("a receiver of the signal %r raised", signal.name)

    # -- the end of runs ---------------------------------------------------------------------

    def _send(self, batch: list[tuple[ActiveRun, Ending | None]]) -> None:
        unstarted = [active for active, ending in batch if ending is None]
        finished = [active for active, ending in batch if ending is not None]
        endings = [ending for _, ending in batch if ending is not None]
        unanswered: list[tuple[ActiveRun, StoreError]] = []
        over: list[tuple[JobDefinition, Known | None]] = []
        if unstarted:
            claims = [(active.definition, active.run_id) for active in unstarted]
            for active, undone in _tried(self._store.give_back, claims, unstarted):
                if isinstance(undone, StoreError):
                    unanswered.append((active, undone))
                else:
                    self._forget(active)
                    over.append((active.definition, None))
        if finished:
            for active, answer in _tried(self._store.finish, endings, finished):
                if isinstance(answer, StoreError):
                    unanswered.append((active, answer))
                    continue
                _, known, problem = answer
                self._forget(active)
                over.append((active.definition, known))
                if problem:
                    logger.error("Job %s: %s", active.name, problem)
        if over:
            self.on_over(over)
        if unanswered:
            # A part of Redis may be away: what belongs to the others goes before these.
            for active, _ in unanswered:
                self._ended[active] = self._ended.pop(active)
            raise unanswered[0][1]

    def _forget(self, active: ActiveRun) -> None:
        del self._ended[active]
        self._active.pop(active.run_id, None)


def _tried(
    call: Callable[[list[Q]], list[A | StoreError]], questions: list[Q], whose: list[ActiveRun]
) -> list[tuple[ActiveRun, A | StoreError]]:
    """What the store answers for each; the error itself, where it answers nothing at all."""
    answers: list[A | StoreError]
    try:
        answers = call(questions)
    except StoreError as error:
        answers = [error] * len(questions)
    return list(zip(whose, answers, strict=True))
