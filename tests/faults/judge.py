"""What a fleet under faults must not have done, found in what its runs told and Redis recorded.

"Holds a lease" and "executes" are two things: a process that was stopped for three leases goes on
where it was, for the moment that it takes to be told. So what must never overlap is the trust in
a lease: two runs of a job that could both say, at one moment, "the lease is mine".
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from jobrunner import HistoryEntry, Outcome
from tests.faults.jobs import Work
from tests.faults.witness import Seen

#: Redis's clock and the moments are compared through an offset that is measured; both in ms.
CLOCKS_AGREE = 5

ENDINGS = {
    "returned": Outcome.SUCCEEDED,
    "LeaseLostError": Outcome.LEASE_LOST,
    "RunInterruptedError": Outcome.INTERRUPTED,
    "StaleRunError": Outcome.STALE,
}


@dataclass(frozen=True)
class Loss:
    """Redis lost all its data, between two Unix milliseconds of its own clock."""

    began_ms: float
    over_ms: float


@dataclass
class Evidence:
    """All that is known of a fleet, up to now."""

    works: Mapping[str, Work]
    lease_ms: float
    #: Unix milliseconds less moments.
    offset_ms: float
    #: By run id; what only the history knows of a run stands here too.
    runs: dict[str, Seen] = field(default_factory=dict)
    #: What the history said last of each run.
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)
    #: Processes that were killed, or left without an answer of Redis.
    dead: set[int] = field(default_factory=set)
    #: Processes that stood still for a while.
    frozen: set[int] = field(default_factory=set)
    doubles: list[str] = field(default_factory=list)
    #: What started before that Unix millisecond has been judged, and is not taken in again.
    since_ms: float = 0

    def take(self, seen: Iterable[Seen]) -> None:
        """What the witness heard."""
        self.runs.update((run.run_id, run) for run in seen if run.started_ms >= self.since_ms)

    def take_history(self, job: str, entries: Sequence[HistoryEntry]) -> None:
        """What Redis recorded of one job, all of it."""
        ids = [entry.run_id for entry in entries]
        for run_id in {run_id for run_id in ids if ids.count(run_id) > 1}:
            self.doubles.append(f"twice in the history: run {run_id} of {job}")
        for entry in entries:
            if entry.started_at * 1000 < self.since_ms:
                continue
            self.outcomes[entry.run_id] = entry.outcome
            if entry.run_id not in self.runs:
                self.runs[entry.run_id] = Seen(
                    job,
                    entry.run_id,
                    entry.token,
                    0,
                    round(entry.due_at * 1000),
                    round(entry.started_at * 1000),
                )

    def forget(self, before_ms: float) -> set[str]:
        """Forget the runs that started before that Unix millisecond; returns their ids."""
        self.since_ms = before_ms
        gone = {i for i, run in self.runs.items() if run.started_ms < before_ms}
        for run_id in gone:
            del self.runs[run_id]
            self.outcomes.pop(run_id, None)
        self.doubles.clear()
        return gone

    def of(self, job: str) -> list[Seen]:
        """The runs of a job in the order of their starts."""
        found = [run for run in self.runs.values() if run.job == job]
        return sorted(found, key=lambda run: (run.started_ms, run.token))

    def granted(self, run: Seen) -> float:
        """The moment at which Redis gave the run its lease."""
        return run.started_ms - self.offset_ms

    def lost_between(self, earlier_ms: float, later_ms: float) -> bool:
        """Whether Redis lost its data in between, by its own clock."""
        return any(loss.over_ms >= earlier_ms and loss.began_ms <= later_ms for loss in self.losses)


def objections(evidence: Evidence) -> list[str]:
    """Whatever contradicts the promises, one sentence each; empty when they were kept."""
    found = list(evidence.doubles)
    for job, work in evidence.works.items():
        runs = evidence.of(job)
        found += _trusted_together(evidence, runs)
        found += _too_close(evidence, work, runs)
        found += _token_did_not_grow(runs)
    found += _told_otherwise(evidence)
    return found


def _trusted_together(evidence: Evidence, runs: Sequence[Seen]) -> Iterator[str]:
    for earlier, later in itertools.combinations(runs, 2):
        if earlier.trusted is None:
            continue
        too_long = earlier.trusted - evidence.granted(later)
        if too_long <= CLOCKS_AGREE:
            continue
        if not evidence.lost_between(earlier.started_ms, later.started_ms):
            yield (
                f"overlap: run {earlier.run_id} of {earlier.job} in {earlier.pid} trusted its "
                f"lease {too_long:.0f} ms after {later.run_id} in {later.pid} was given it"
            )


def executed_together(evidence: Evidence) -> list[Seen]:
    """The runs that were still executing, their leases lost, when a newer run began."""
    return [
        earlier
        for job in evidence.works
        for earlier, later in itertools.pairwise(evidence.of(job))
        if earlier.ended is not None and earlier.ended - evidence.granted(later) > CLOCKS_AGREE
    ]


def _too_close(evidence: Evidence, work: Work, runs: Sequence[Seen]) -> Iterator[str]:
    for earlier, later in itertools.pairwise(runs):
        gap = later.started_ms - earlier.started_ms
        # What recovers is the same due time once more.
        recovered = work.recover and later.due_ms == earlier.due_ms
        if gap > work.interval_ms or recovered:
            continue
        if not evidence.lost_between(earlier.started_ms, later.started_ms):
            yield f"too close: {work.name} started {gap} ms after its last start ({later.run_id})"


def _token_did_not_grow(runs: Sequence[Seen]) -> Iterator[str]:
    for earlier, later in itertools.pairwise(runs):
        if later.token <= earlier.token:
            yield f"token of {later.job} did not grow: {later.token} after {earlier.token}"


def _told_otherwise(evidence: Evidence) -> Iterator[str]:
    """The history says something else than the run itself."""
    for run_id, outcome in evidence.outcomes.items():
        run = evidence.runs[run_id]
        # It may be told to stop while it says that it has ended.
        expected = {Outcome.LEASE_LOST, Outcome.INTERRUPTED}
        if run.ending is not None:
            expected.add(ENDINGS.get(run.ending, Outcome.FAILED))
        if run.ending is None or run.pid in evidence.dead:
            # Its process went before the end of it could be recorded.
            expected.add(Outcome.ABANDONED)
        if outcome not in expected and not evidence.lost_between(run.started_ms, math.inf):
            yield f"told otherwise: run {run_id} of {run.job}: {run.ending}, recorded as {outcome}"


def unrecorded(evidence: Evidence, before_ms: float) -> list[Seen]:
    """The runs that started before that Unix millisecond, and whose end is nowhere."""
    return [
        run
        for run in evidence.runs.values()
        if run.started_ms < before_ms
        and run.run_id not in evidence.outcomes
        and not evidence.lost_between(run.started_ms, math.inf)
    ]


@dataclass(frozen=True)
class Waited:
    """How long a due job waited for its first start after faults, in milliseconds."""

    job: str
    ms: float


def waited(evidence: Evidence, faults_over: float, now: float) -> list[Waited]:
    """For each job: from the moment at which it was due and free, and faults were over.

    A job that has not started yet has waited until `now`. All in moments.
    """
    return [_waited(evidence, work, faults_over, now) for work in evidence.works.values()]


def _waited(evidence: Evidence, work: Work, faults_over: float, now: float) -> Waited:
    runs = evidence.of(work.name)
    before = [run for run in runs if evidence.granted(run) <= faults_over]
    after = [run for run in runs if evidence.granted(run) > faults_over]
    since = faults_over
    if before:
        last = before[-1]
        if not (work.recover and evidence.outcomes.get(last.run_id) is Outcome.ABANDONED):
            since = max(since, evidence.granted(last) + work.interval_ms)
        if last.ended is not None:
            since = max(since, last.ended)
        elif last.pid not in evidence.dead and last.begun is not None:
            since = max(since, now)  # it is still at work
    started = evidence.granted(after[0]) if after else now
    return Waited(work.name, max(0.0, started - since))
