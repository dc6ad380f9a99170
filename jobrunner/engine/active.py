"""One claimed run of this instance, and what it has been told."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gevent.event import Event

from ..clock import Clock
from ..errors import LeaseLostError, RunStopped, RunTimedOutError
from ..job import JobDefinition
from ..run import Run
from ..store.answers import Answer
from .keeper import Lease

if TYPE_CHECKING:
    from ..database.fencing import Fence
    from .greenlets import RunGreenlet
    from .progress import ProgressBoard


class Here(NamedTuple):
    """What all runs of an instance share."""

    #: The id of the instance.
    instance: str
    trust: Clock
    progress: ProgressBoard


class ActiveRun(Lease):
    """One claimed run of this instance with its lease, until Redis has acknowledged its end."""

    __slots__ = (
        "_here",
        "_run",
        "attempt",
        "cut_by",
        "deadline",
        "due_ms",
        "ended",
        "fence",
        "greenlet",
        "in_body",
        "interruptible",
        "known",
        "left",
        "overtime",
        "pause",
        "stop_reason",
        "token",
        "told_at",
    )

    def __init__(
        self, definition: JobDefinition, granted: Answer, trusted_until: float, here: Here
    ) -> None:
        _, known, _, token, due_ms, _, _, _ = granted
        super().__init__(definition, known.running or "", trusted_until)
        self._here = here
        self._run: Run | None = None
        self.token = token
        self.due_ms = due_ms
        #: What was known of the job when it was claimed.
        self.known = known
        #: Counts from 1.
        self.attempt = 1
        #: Why the whole run has to end.
        self.stop_reason: RunStopped | None = None
        #: Why the attempt has to end: its time is over.
        self.overtime: RunTimedOutError | None = None
        #: Trust seconds at which the time of the attempt is over.
        self.deadline: float | None = None
        #: Trust seconds at which it was told to stop.
        self.told_at = 0.0
        #: What the attempt had been told when the user's code ended.
        self.cut_by: RunStopped | None = None
        #: Whether the user's code is running: only then may something be thrown into it.
        self.in_body = False
        #: A native thread can only be told.
        self.interruptible = True
        #: Ends the pause between two attempts.
        self.pause: Event | None = None
        #: One for all attempts, so that they know of one another's commits.
        self.fence: Fence | None = None
        #: Over here, though Redis may not have acknowledged it.
        self.ended = False
        #: None: it is over.
        self.greenlet: RunGreenlet | None = None
        #: Set when it is over, for who waits for that.
        self.left: Event | None = None

    @property
    def run(self) -> Run:
        """The run as its attempt sees it; made when somebody asks, for many jobs never do."""
        run = self._run
        if run is None:
            run = self._run = Run(
                id=self.run_id,
                job=self.name,
                instance=self._here.instance,
                token=self.token,
                due_at=self.due_ms / 1000,
                started_at=(self.known.last_ms or 0) / 1000,
                attempt=self.attempt,
            )
        return run

    def count_attempt(self) -> None:
        """One more begins; what the last one holds of the run stays as it is."""
        self.attempt += 1
        self._run = self.cut_by = self.deadline = None

    @property
    def extra(self) -> dict[str, object]:
        """What each log record of this run carries."""
        return {"job": self.name, "run_id": self.run_id, "token": self.token}

    @property
    def told(self) -> RunStopped | None:
        """What it was told, if it has to stop."""
        return self.stop_reason or self.overtime

    def reason(self) -> RunStopped | None:
        """Why the run should stop now; None: it may go on."""
        return self.why_stop(self._here.trust())

    def report(self, done: float, total: float | None, message: str) -> None:
        """Take note of how far the run is."""
        self._here.progress.note(self, done, total, message)

    def may_begin(self, now: float) -> bool:
        """Whether it may begin at trust second `now`: not stopped, and its lease still holds."""
        return self.stop_reason is None and now < self.trusted_until

    def why_stop(self, now: float) -> RunStopped | None:
        """Why the run should stop, at trust second `now`; None: it may go on."""
        if self.stop_reason is not None:
            return self.stop_reason
        if now >= self.trusted_until:
            return LeaseLostError(
                f"run {self.run_id} of job {self.name!r} cannot trust its lease any more"
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
        return RunTimedOutError(f"job {self.name!r} took longer than its timeout of {limit:g} s")

    def leave_body(self) -> None:
        """The user's code has ended."""
        self.in_body = False
        if self.deadline is not None:
            if self.overtime is None and self.is_late(self._here.trust()):
                self.overtime = self.timed_out()
            self.deadline = None
        self.cut_by = self.stop_reason or self.overtime
