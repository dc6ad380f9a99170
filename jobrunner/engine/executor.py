"""The executor: one greenlet a run, from its claim to its recorded end.

A run reads: trust checked, its attempts (see `attempts.py`), outcome, finish (see `finishes.py`).
"""

from __future__ import annotations

import logging
import os
import random
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import gevent
from gevent.event import Event

from ..clock import Clock
from ..context import JobContext
from ..errors import LeaseLostError, RunCancelledError, RunInterruptedError
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
from ..store.answers import Answer, Ending, new
from ..store.redis import RedisStore
from .active import ActiveRun as ActiveRun
from .active import Here
from .attempts import Attempts
from .busy import turn_of_the_loop
from .ends import End, described, traceback_of
from .finishes import Finishes
from .gate import Gate
from .greenlets import RunGreenlets
from .keeper import LeaseKeeper
from .lines import RunLine, log_end
from .progress import ProgressBoard
from .stops import Stops
from .threads import RunThreads

logger = logging.getLogger("jobrunner")

#: Up to so many runs at once are made to begin one right after the other; of more the last ones
#: come late all the same, and this takes time of all.
_FEW = 100

#: So many ends that made way are concluded in one turn of the loop.
_SOME = 34


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
        #: What has ended, on its way to Redis.
        self.finishes = Finishes(store, self._active)
        self._greenlets = RunGreenlets(self._live)
        self._gate = Gate(trust)
        self._draining = False
        self._pid = os.getpid()
        #: The runs whose ends make way for others, and when they ended, in trust seconds.
        self._to_conclude: list[tuple[ActiveRun, End | None, float]] = []
        self._under_way = 0
        #: Of those, how many greenlets have not had their first turn.
        self._unbegun = 0
        #: Set while no run is under way.
        self._idle = Event()
        self._idle.set()

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

    def start(
        self,
        definition: JobDefinition,
        granted: Answer,
        trusted_until: float,
        moment: float | None = None,
    ) -> ActiveRun:
        """Run what an answer of Redis grants, in a greenlet of its own, from trust second `moment`
        on, if it is given.
        """
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
        greenlet = active.greenlet = self._greenlets.take(hub)
        if moment is None:
            hub.loop.run_callback(greenlet.switch, active)
        else:
            self._gate.hold(partial(hub.loop.run_callback, greenlet.switch, active), moment)
        return active

    def prepare(self, number: int) -> None:
        """So many runs are about to be claimed in this hub: what can be made before their time is
        made, for as many as begin at once.
        """
        if not self._draining:
            self._greenlets.prepare(min(number, _FEW))

    def join(self, runs: list[ActiveRun], timeout: float | None = None) -> bool:
        """Wait until these runs are over here, `timeout` seconds at most; whether they are."""
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

    def stop_starting(self) -> None:
        """Begin no run any more, nor another attempt: what is claimed from now on is given back,
        and a run that pauses between two attempts ends as the last one did.
        """
        self._draining = True
        self._attempts.stop_beginning()
        self._greenlets.forget()
        for active in self._living():
            if active.pause is not None:
                active.pause.set()

    def drain(self, deadline: float, interrupt_for: float) -> bool:
        """Let the runs finish until trust second `deadline`, then interrupt the rest and give
        them `interrupt_for` seconds to end. True when all ended by themselves.

        What ignores the interrupt keeps its lease, which nobody renews after us.
        """
        self.stop_starting()
        self.finishes.let_go()
        by_themselves = self._idle.wait(max(0.0, deadline - self._trust()))
        if not by_themselves:
            self._interrupt_all(interrupt_for)
        # Who ended first may still be sending for the others, though its own run is over already.
        self.finishes.wait()
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
        if os.getpid() != self._pid:
            return  # of a process that was forked meanwhile: a copy, and the run is the parent's
        self._unbegun -= 1
        try:
            end = self._attempts.perform(active)
        except BaseException as error:  # the run is recorded all the same
            logger.exception("Job %s: an error of jobrunner itself", active.name)
            end = End(Outcome.FAILED, error)
        if self._has_others_first():
            self._end_later(active, end)
        else:
            self._conclude(active, end, self._trust())
            self.finishes.send_soon()

    def _has_others_first(self) -> bool:
        """Whether others are claimed, or about to be: their first lines come before last ones."""
        others = self._unbegun or self._to_conclude or self.finishes.are_held_back
        return bool(others) and self._under_way <= _FEW

    def _end_later(self, active: ActiveRun, end: End | None) -> None:
        if not self._to_conclude:
            gevent.spawn(self._conclude_all)
        self._to_conclude.append((active, end, self._trust()))

    def _conclude_all(self) -> None:
        """The ends of those that made way, some in each turn of the loop: what else waits for one,
        requests above all, comes in between.
        """
        self.finishes.wait_for_claims()
        while self._to_conclude:
            some = _SOME if self.finishes.in_parts else len(self._to_conclude)
            self._make_way()
            # Who listens may take its time.
            is_listened_to = job_succeeded.receivers or job_failed.receivers
            call = gevent.spawn if is_listened_to else _guarded
            for ended in self._to_conclude[:some]:
                call(self._conclude, *ended)
            del self._to_conclude[:some]
        self._make_way()
        self.finishes.send_soon()

    def _make_way(self) -> None:
        if self.finishes.in_parts:
            turn_of_the_loop()
        else:
            gevent.sleep(0)  # for the first lines of others alone

    def _conclude(self, active: ActiveRun, end: End | None, ended_at: float) -> None:
        active.ended = True
        try:
            if self._progress.is_used:
                self._progress.forget(active)
            if end is None:
                self.finishes.put(active, None)
            else:
                self._take_down(active, end, ended_at)
        finally:
            self._under_way -= 1
            if self._under_way == 0:
                self._idle.set()
            active.greenlet = None  # it may go, though the end is not in Redis yet
            if active.left is not None:
                active.left.set()

    def _take_down(self, active: ActiveRun, end: End, ended_at: float) -> None:
        """Have the end recorded, and tell it: in the log, and to who listens. It waits for the next
        flush already, so that a slow listener holds up nobody's record for longer than a check
        interval.
        """
        outcome, error, returned, result = end
        ending = (
            active.definition,
            active.run_id,
            active.known,
            outcome,
            "" if error is None else described(error),
            ended_at,
            active.attempt,
            "" if error is None else traceback_of(error, self._max_traceback),
            result,
        )
        self.finishes.put(active, new(Ending, ending))
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


def _guarded(function: Callable[..., None], *arguments: Any) -> None:
    """Call it; what it raises is shown, as of a greenlet that dies of it."""
    try:
        function(*arguments)
    except BaseException:
        gevent.get_hub().handle_error(function, *sys.exc_info())
