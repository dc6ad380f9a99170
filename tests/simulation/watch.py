"""The watch: looks on, and objects as soon as a promise is broken.

It knows what no instance knows: the world's time, what really stands in Redis, whose code is
really running. It is told what happens; what it asks then stands in `changes` (of one call) and
`conduct` (of runs and processes), what people ask in `asked`, what must be so at every moment in
`moments`, and at the end of the story in `accounts`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from jobrunner.errors import (
    LeaseLostError,
    RunCancelledError,
    RunInterruptedError,
    RunTimedOutError,
    StaleRunError,
)
from jobrunner.job import JobDefinition
from jobrunner.run import Outcome, Run

from . import accounts, asked, changes, conduct, moments
from .ledger import JobRecord, RunRecord
from .rules import tolerance
from .words import Said

if TYPE_CHECKING:
    from .people import People
    from .process import Process
    from .wire import Call
    from .world import World

#: Calls that change nothing about a job.
_LOOKS_ONLY = ("heartbeat", "hmget", "hset", "zrem", "time", "info")

#: Errors that the log may tell: the simulation's own doing.
_EXPECTED = (
    *("finished with error", "its lease was lost", "ignores its interruption", "is quarantined"),
    *("has superseded it", "timed out"),
)


class Broken(AssertionError):
    """A promise is broken; `promise` is its number in the design."""

    def __init__(self, promise: int, what: str) -> None:
        super().__init__(f"promise {promise}: {what}")
        self.promise = promise


class Watch:
    """What is known of all runs and jobs of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.runs: dict[str, RunRecord] = {}
        self.jobs: dict[str, JobRecord] = {}
        #: When Redis last lost data.
        self.lost_data_at = -1.0
        #: When its clock last jumped.
        self.jumped_at = -1.0
        #: When each run id was given back, claimed or not.
        self.given_back: dict[str, float] = {}
        #: The run that answers each request.
        self.answered: dict[str, RunRecord] = {}
        self._has_gone_back = False
        self._objections: list[Broken] = []

    @property
    def may_repeat_tokens(self) -> bool:
        """Whether Redis may have forgotten a token and have a clock that is behind it."""
        return self.lost_data_at >= 0 and self._has_gone_back

    @property
    def now(self) -> float:
        return self.world.time.now

    # -- what is told to it ------------------------------------------------------------------

    def sent(self, process: Process | People, call: Call) -> None:
        """A process sends a call."""
        since = process.drains_since
        if call.kind == "claim" and since is not None and self.now > since:
            self.object_to(9, f"{process} drains since {since:.3f}, and claims: {call}")
        if process.storms():
            self.object_to(8, f"{process} sends more and more calls, now {call}")

    def served(self, process: Process | People, call: Call, answer: Any) -> None:
        """Redis has done a call."""
        if call.kind in _LOOKS_ONLY:
            return
        self.world.note("%s: %s → %s", process, call, Said(answer))
        about = [self.job(definition) for definition, _ in call.about]
        for job in about or self.jobs.values():  # whatever it is, it may touch any
            changes.compare(self, job, call)
        if call.kind == "give back":
            self.given_back.update((run_id, self.now) for _, run_id in call.about)
        elif call.kind == "control":
            asked.done(self, about[0], call.about[0][1], answer)
        elif call.kind == "announce":
            asked.told(self, about[0])

    def began(self, process: Process, run: Run) -> int:
        """The code of a run begins; returns how many of its job have begun."""
        self.world.note("%s: %s %s begins", process, run.job, run.id)
        job, record = self.jobs[run.job], self.runs.get(run.id)
        job.begun += 1
        if record is None or record.process is not process or record.token != run.token:
            self.object_to(6, f"{process} runs {run.id} of {run.job}, which it did not claim")
        elif record.given_back:
            self.object_to(6, f"{process} runs {run.id} of {run.job}, which was given back")
        else:
            conduct.check_attempt(self, record, run)
            record.attempt, record.outcome = run.attempt, None
            record.active = next(a for a in process.executor.active() if a.run.id == run.id)
            conduct.check_beginning(self, job, record, run)
            if not record.excused and not record.forgotten:
                job.last = record
            job.executing.append(record)
        return job.begun

    def opened(self, run: Run, found_done: bool | None) -> None:
        """A fenced run has opened its first session; it may have asked whether all is done."""
        self.world.note("%s %s opens a session", run.job, run.id)
        job, record = self.jobs[run.job], self.runs[run.id]
        if record.has_opened:
            pass  # it is fenced when it commits; what it reads in another attempt is its own affair
        elif job.opened is not None and job.opened.number > record.number:
            self.object_to(5, f"{run.id} opens a session after its successor {job.opened.id}")
        else:
            job.opened, record.has_opened = record, True
        last = job.committed
        is_done = last is not None and last.run is not None and last.run.due_at == run.due_at
        if found_done is not None and found_done != is_done:
            self.object_to(5, f"{run.id} is told that its effect is there: {found_done}")

    def committed(self, run: Run) -> None:
        """A fenced run has committed what it wrote."""
        self.world.note("%s %s commits", run.job, run.id)
        job, record = self.jobs[run.job], self.runs[run.id]
        if job.opened is not record and job.opened is not None:
            self.object_to(5, f"{run.id} commits after {job.opened.id} has opened its session")
        job.committed = record

    def ended(self, run: Run, error: BaseException | None) -> None:
        """The code of a run is over."""
        if self.world.is_over:
            return
        self.world.note("%s %s ends: %r", run.job, run.id, error)
        job, record = self.jobs[run.job], self.runs[run.id]
        record.outcome = _outcome_of(record, error)
        if record in job.executing:
            job.executing.remove(record)
        if record.outcome == Outcome.LEASE_LOST:
            conduct.check_loss(self, record)
        if record.outcome == Outcome.STALE:
            conduct.check_refusal(self, job, record)

    def deployed(self, process: Process) -> None:
        """A process was started, perhaps of another version."""
        for definition in process.definitions.values():
            job = self.job(definition)
            job.has_surprised |= job.definition.schedule != definition.schedule

    def drained(self, process: Process) -> None:
        """A process has drained, and ends now."""
        conduct.check_drain(self, process)

    def clock_jumped(self, seconds: float) -> None:
        """Redis's clock shows another time now."""
        self.jumped_at = self.now
        self._has_gone_back |= seconds < 0
        self._look_anew(excuse=seconds > 0, surprise=seconds < 0)
        now = self.world.redis.time()
        for process in self.world.live():
            for name, definition in process.definitions.items():
                job = self.jobs[name]
                for record in filter(None, (job.last, *job.claims[-1:])):
                    record.in_future |= record.started > now + tolerance(definition.schedule)

    def data_lost(self) -> None:
        """Redis has less data now."""
        self.lost_data_at = self.now
        self._look_anew(excuse=True, surprise=True)

    def heard(self, record: logging.LogRecord) -> None:
        """The library has logged an error."""
        text = record.getMessage()
        if not any(words in text for words in _EXPECTED):
            self.object_to(7, f"the log says {text!r}")

    def object_to(self, promise: int, what: str) -> None:
        """A promise is broken: raised at the next look, for a greenlet must not swallow it."""
        self._objections.append(Broken(promise, what))

    # -- when it looks -----------------------------------------------------------------------

    def look(self) -> None:
        """Look at everything, at this moment; raises `Broken`."""
        moments.check(self)
        self._object()

    def look_back(self) -> None:
        """The story is over, and everybody has drained: do the accounts agree?"""
        accounts.check(self)
        self._object()

    def job(self, definition: JobDefinition) -> JobRecord:
        record = self.jobs.get(definition.name)
        if record is None:
            record = self.jobs[definition.name] = JobRecord(definition)
        return record

    def world_second(self, redis_second: float) -> float:
        """When Redis's clock, as it goes now, shows that second."""
        return redis_second - self.world.redis.time() + self.now

    def _look_anew(self, *, excuse: bool, surprise: bool) -> None:
        for record in self.runs.values():
            record.excused |= excuse
        for job in self.jobs.values():
            changes.look_anew(self, job, surprise=surprise)

    def _object(self) -> None:
        if self._objections:
            raise self._objections[0]


def _outcome_of(record: RunRecord, error: BaseException | None) -> str:
    """What its end is to be called: one that was told to stop, and did something else, is no
    success.
    """
    active = record.active
    assert active is not None
    for kind, outcome in _OF_STOPS.items():
        if isinstance(error, kind):
            return outcome
    if isinstance(active.stop_reason, RunCancelledError):
        return Outcome.CANCELLED
    late = active.overtime is not None or active.is_late(record.process.trust())
    if isinstance(error, RunTimedOutError) or (late and active.stop_reason is None):
        return Outcome.TIMED_OUT
    return Outcome.SUCCEEDED if error is None else Outcome.FAILED


_OF_STOPS = {
    LeaseLostError: Outcome.LEASE_LOST,
    StaleRunError: Outcome.STALE,
    RunInterruptedError: Outcome.INTERRUPTED,
    RunCancelledError: Outcome.CANCELLED,
}
