"""The attempts of one run: the way from its claim to its end, in its own greenlet.

An attempt reads: application context, `JobContext`, a copy of the job, `run`, outcome. Each has
all of that anew; the lease and the fence are the run's. The code of a job may live in a native
thread; what stands around it, the pauses too, stays in the hub.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from gevent.event import Event

from ..clock import Clock
from ..context import JobContext
from ..database.own_connections import own_connections
from ..database.sessions import SessionFactory
from ..errors import RunCancelledError, RunStopped, RunTimedOutError
from ..job import JobDefinition
from ..run import Outcome
from ..signals import Notify, job_retrying, job_started
from ..store.redis import RedisStore
from .active import ActiveRun
from .ends import NOTHING_RETURNED, WELL, Body, End, as_json, described, end_of, end_of_stop
from .fenced import fence_of, fenced
from .lines import RunLine
from .stops import Stops
from .threads import RunThreads, has_patched_threads

if TYPE_CHECKING:
    from ..database.fencing import Fence

logger = logging.getLogger("jobrunner")


class Attempts:
    """Runs the code of jobs for one instance. Nothing that a job raises leaves it."""

    def __init__(
        self,
        store: RedisStore,
        stops: Stops,
        *,
        context: JobContext,
        scope: Callable[[], AbstractContextManager[object]],
        threads: RunThreads,
        all_in_threads: bool,
        trust: Clock,
        fenced_by_default: bool,
        max_result: int,
        chance: random.Random,
        notify: Notify,
    ) -> None:
        self._store = store
        self._stops = stops
        self._context = context
        self._scope = scope
        self._threads = threads
        self._all_in_threads = all_in_threads
        self._trust = trust
        self._fenced_by_default = fenced_by_default
        self._max_result = max_result
        self._chance = chance
        self._notify = notify
        self._starting = RunLine("Starting job %s")
        self._sessions_of_threads: SessionFactory | None = None
        self._draining = False

    def stop_beginning(self) -> None:
        """Begin no attempt any more."""
        self._draining = True

    def _is_draining(self) -> bool:
        return self._draining

    def perform(self, active: ActiveRun) -> End | None:
        """Run the job, as often as its policy says; None: it never began, and is given back."""
        if self._draining or not active.may_begin(self._trust()):
            reason = active.stop_reason
            # Given back, what a person has cancelled would be due again at once.
            return end_of_stop(reason) if isinstance(reason, RunCancelledError) else None
        self._starting.log(active.definition.name, active.run_id, active.token)
        end = self._attempt(active)
        if end is WELL:
            return end
        while (pause := self._pause_after(active, end)) is not None:
            self._wait(active, pause)
            reason = active.why_stop(self._trust())
            if reason is not None:
                return end_of_stop(reason)
            if self._is_draining():
                break
            active.count_attempt()
            logger.info(
                "Starting job %s, attempt %d",
                active.name,
                active.attempt,
                extra=active.extra,
            )
            end = self._attempt(active)
        return end

    # -- between attempts --------------------------------------------------------------------

    def _pause_after(self, active: ActiveRun, end: End) -> float | None:
        """Seconds until the next attempt; None: there is none."""
        retry, error = active.definition.policies.retry, end.error
        if retry is None or error is None or self._is_draining() or active.stop_reason is not None:
            return None
        number = active.attempt
        late = isinstance(error, RunTimedOutError)
        if isinstance(error, RunStopped) and not late:
            return None
        if not retry.tries_again(error, number, always=late):
            return None
        pause = retry.pause(number, self._chance)
        logger.warning(
            "Job %s failed in attempt %d of %d, and is tried again in %.3g s: %s",
            active.name,
            number,
            retry.attempts,
            pause,
            described(error),
            exc_info=error,
            extra=active.extra,
        )
        self._notify(job_retrying, run=active.run, error=error, pause=pause)
        return pause

    def _wait(self, active: ActiveRun, seconds: float) -> None:
        """Wait for the next attempt, or until somebody ends the pause."""
        active.pause = Event()
        if not self._is_draining() and active.stop_reason is None:
            active.pause.wait(seconds)
        active.pause = None

    # -- one attempt -------------------------------------------------------------------------

    def _attempt(self, active: ActiveRun) -> End:
        policies = active.definition.policies
        if job_started.receivers:
            self._notify(job_started, run=active.run)
        alarm = None if policies.timeout is None else self._alarm(active, policies.timeout)
        try:
            if self._all_in_threads or policies.run_in == "thread":
                active.interruptible = False
                body = self._threads.call(self._do, active, True)
            else:
                body = self._do(active, False)
        finally:
            if alarm is not None:
                alarm.close()
        end = end_of(body, active.cut_by)
        if end is WELL:
            return end
        active.overtime = None  # it is told no more, nor is the next one
        if body.problem and end.outcome is Outcome.SUCCEEDED:
            logger.warning(
                "Job %s: what it returned is not kept: %s",
                active.name,
                body.problem,
                extra=active.extra,
            )
        return end

    def _alarm(self, active: ActiveRun, timeout: float) -> Any:
        active.deadline = self._trust() + timeout
        return self._stops.alarm(active, timeout)

    def _do(self, active: ActiveRun, in_thread: bool) -> Body:
        """The attempt where its code lives, maybe in a native thread."""
        try:
            context = self._context.for_run(active)
            with self._around(active, context, in_thread):
                active.in_body = True
                try:
                    returned = active.definition.copy_job().run(context)
                finally:
                    active.leave_body()
        except BaseException as error:
            return Body(error=error)
        if returned is None:
            return NOTHING_RETURNED
        result, problem = as_json(returned, self._max_result)
        return Body(returned, None, result, problem)

    def _around(
        self, active: ActiveRun, context: JobContext, in_thread: bool
    ) -> AbstractContextManager[object]:
        """What is around the code of a job: the application's context, and what its policies ask
        for.
        """
        policies = active.definition.policies
        if policies.retry is not None:
            context.run = active.run  # as it is now: the next attempt has a number of its own
        if in_thread and has_patched_threads():
            context.session_factory = self._sessions_for(context.session_factory)
        if self._fenced_by_default if policies.fenced is None else policies.fenced:
            return self._fenced_scope(context, self._fence_of(active, in_thread))
        return self._scope()

    @contextmanager
    def _fenced_scope(self, context: JobContext, fence: Fence) -> Iterator[None]:
        # The fence outside: what teardown functions of the application commit is the run's too.
        with fenced(context, fence), self._scope():
            yield

    def _sessions_for(self, sessions: SessionFactory | None) -> SessionFactory | None:
        if self._sessions_of_threads is None and sessions is not None:
            self._sessions_of_threads = own_connections(sessions, self._threads.in_hub)
        return self._sessions_of_threads

    def _fence_of(self, active: ActiveRun, in_thread: bool) -> Fence:
        if active.fence is None:
            ask = partial(self._larger_token, active.definition, active.run_id, in_thread)
            active.fence = fence_of(active.run, active.definition, ask)
        return active.fence

    def _larger_token(
        self, definition: JobDefinition, run_id: str, in_thread: bool, above: int
    ) -> int | None:
        ask = partial(self._store.larger_token, definition, run_id, above)
        return self._threads.in_hub(ask) if in_thread else ask()
