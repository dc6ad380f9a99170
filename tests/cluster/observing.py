"""Watching a fleet for a while, and judging what it did."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.cluster.objections import objections, runs_per_worker
from tests.cluster.records import RecordedRun
from tests.cluster.serving import Fleet
from tests.support.wait import wait_for


@dataclass(frozen=True)
class Observed:
    """A fleet at work between two moments of the second Redis."""

    #: All runs, those of before the first moment too.
    runs: Sequence[RecordedRun]
    #: How many began between the two moments.
    counted: int
    #: How many could have, had a bare timer of a worker started each.
    possible: float
    master: int
    workers: Sequence[int]
    interval_ms: dict[str, int]

    @property
    def share(self) -> float:
        return self.counted / self.possible

    def objections(self, least_share: float) -> list[str]:
        """Whatever contradicts the promises; see `objections`."""
        found = objections(self.runs, self.interval_ms, master=self.master, workers=self.workers)
        if self.share < least_share:
            found.append(
                f"too few: {self.counted} runs began, {self.share:.1%} of {self.possible:.1f}"
            )
        return found


def observe(fleet: Fleet, seconds: float, *, until_all_ran: float = 0) -> Observed:
    """Watch for `seconds`; longer, by `until_all_ran` at most, if a worker has run nothing yet.

    Whoever asks Redis first gets all jobs that are due together, so chance decides who runs.
    """
    records, workers = fleet.records, fleet.pids()

    def passed() -> float:
        return (records.now()[0] - since[0]) / 1000

    def is_enough() -> bool:
        if passed() < seconds:
            return False
        idle = set(workers) - set(runs_per_worker(records.runs()))
        return not idle or passed() >= seconds + until_all_ran

    since = records.now()
    wait_for(is_enough, timeout=seconds + until_all_ran + 60, every=0.2)
    until = records.now()
    runs = [run for run in records.runs() if run.begun < until]
    return Observed(
        runs=runs,
        counted=sum(run.begun >= since for run in runs),
        possible=_possible(fleet, (until[0] - since[0]) / 1000),
        master=fleet.pid,
        workers=workers,
        interval_ms=fleet.interval_ms,
    )


def _possible(fleet: Fleet, seconds: float) -> float:
    lateness = fleet.records.mean_lateness()
    return sum(seconds / (ms / 1000 + lateness) for ms in fleet.rhythm_ms.values())
