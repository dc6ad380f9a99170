"""One claimed run of this instance, and what it has been told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gevent
from gevent.event import Event

from ..clock import Clock
from ..errors import LeaseLostError, RunStopped, RunTimedOutError
from ..job import JobDefinition
from ..run import Run
from ..store.answers import Known
from .keeper import Lease

if TYPE_CHECKING:
    from ..database.fencing import Fence
    from .progress import ProgressBoard


class ActiveRun:
    """One claimed run of this instance, until Redis has acknowledged its end."""

    #: Why the whole run has to end.
    stop_reason: RunStopped | None = None
    #: Why the attempt has to end: its time is over.
    overtime: RunTimedOutError | None = None
    #: Trust seconds at which the time of the attempt is over.
    deadline: float | None = None
    #: Trust seconds at which it was told to stop.
    told_at = 0.0
    #: What the attempt had been told when the user's code ended.
    cut_by: RunStopped | None = None
    #: Whether the user's code is running: only then may something be thrown into it.
    in_body = False
    #: A native thread can only be told.
    interruptible = True
    #: Ends the pause between two attempts.
    pause: Event | None = None
    #: One for all attempts, so that they know of one another's commits.
    fence: Fence | None = None
    #: Over here, though Redis may not have acknowledged it.
    ended = False
    greenlet: gevent.Greenlet | None = None
    _extra: dict[str, object] | None = None

    def __init__(
        self,
        definition: JobDefinition,
        run: Run,
        lease: Lease,
        known: Known,
        trust: Clock,
        progress: ProgressBoard,
    ) -> None:
        self.definition = definition
        #: As its attempt sees it: each has a number of its own.
        self.run = run
        self.lease = lease
        #: What was known of the job when it was claimed.
        self.known = known
        self._trust = trust
        self._progress = progress

    @property
    def extra(self) -> dict[str, object]:
        """What each log record of this run carries."""
        if self._extra is None:
            run = self.run
            self._extra = {"job": run.job, "run_id": run.id, "token": run.token}
        return self._extra

    @property
    def told(self) -> RunStopped | None:
        """What it was told, if it has to stop."""
        return self.stop_reason or self.overtime

    def reason(self) -> RunStopped | None:
        """Why the run should stop now; None: it may go on."""
        return self.why_stop(self._trust())

    def report(self, done: float, total: float | None, message: str) -> None:
        """Take note of how far the run is."""
        self._progress.note(self, done, total, message)

    def why_stop(self, now: float) -> RunStopped | None:
        """Why the run should stop, at trust second `now`; None: it may go on."""
        if self.stop_reason is not None:
            return self.stop_reason
        if now >= self.lease.trusted_until:
            return LeaseLostError(
                f"run {self.run.id} of job {self.run.job!r} cannot trust its lease any more"
            )
        if self.overtime is None and self.is_late(now):
            return self.timed_out()  # nobody could tell it yet: the hub is not free
        return self.overtime

    def is_late(self, now: float) -> bool:
        """Whether the time of the attempt is over at trust second `now`."""
        return self.deadline is not None and now >= self.deadline

    def timed_out(self) -> RunTimedOutError:
        """The error that says so."""
        limit = self.definition.policies.timeout or 0.0
        return RunTimedOutError(f"job {self.run.job!r} took longer than its timeout of {limit:g} s")

    def enter_attempt(self, deadline: float | None) -> None:
        """A new attempt begins, which may take until trust second `deadline`."""
        self.cut_by = None
        self.deadline = deadline

    def leave_body(self, now: float) -> None:
        """The user's code has ended at trust second `now`."""
        self.in_body = False
        if self.overtime is None and self.is_late(now):
            self.overtime = self.timed_out()
        self.cut_by = self.told
        self.deadline = None
