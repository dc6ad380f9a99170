"""What a fleet must not have done, found in the records of its runs."""

import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from tests.cluster.records import RecordedRun


def objections(
    runs: Sequence[RecordedRun],
    interval_ms: Mapping[str, int],
    *,
    dead: Collection[int] = (),
    master: int | None = None,
    workers: Collection[int] = (),
    at_least: float = 0,
) -> list[str]:
    """Whatever contradicts the promises, one sentence each; empty when they were kept.

    `interval_ms` has the interval of each job; `dead` the processes that were killed, whose runs
    ended with them; `master` the process that must run nothing; `workers` those that must each
    have run something; `at_least` how many runs there must be.
    """
    found: list[str] = []
    for job in sorted({run.job for run in runs}):
        of_job = sorted((run for run in runs if run.job == job), key=lambda run: run.begun)
        found += _two_at_once(of_job, dead)
        found += _too_close(of_job, interval_ms[job])
        found += _out_of_order(of_job)
    if master is not None and any(run.pid == master for run in runs):
        found.append("the master ran jobs")
    share = runs_per_worker(runs)
    found += [f"worker {pid} ran nothing" for pid in workers if not share[pid]]
    if len(runs) < at_least:
        found.append(f"too few: {len(runs)} runs took place, of at least {at_least:.1f}")
    return found


def runs_per_worker(runs: Sequence[RecordedRun]) -> Counter[int]:
    return Counter(run.pid for run in runs)


def least_slack_ms(runs: Sequence[RecordedRun], interval_ms: Mapping[str, int]) -> int:
    """By how much the two closest starts of a job were further apart than its interval."""
    slack = []
    for job in {run.job for run in runs}:
        starts = sorted(run.started_ms for run in runs if run.job == job)
        slack += [b - a - interval_ms[job] for a, b in itertools.pairwise(starts)]
    return min(slack)


def _two_at_once(runs: Sequence[RecordedRun], dead: Collection[int]) -> Iterator[str]:
    alive: list[RecordedRun] = []
    for run in runs:
        alive = [other for other in alive if not _is_over(other, run.begun, dead)]
        for other in alive:
            yield (
                f"two at once: run {run.run_id} of {run.job} in {run.pid} began while "
                f"{other.run_id} in {other.pid} was running"
            )
        alive.append(run)


def _is_over(run: RecordedRun, moment: tuple[int, int], dead: Collection[int]) -> bool:
    return run.ended < moment if run.ended is not None else run.pid in dead


def _too_close(runs: Sequence[RecordedRun], interval_ms: int) -> Iterator[str]:
    starts = sorted(run.started_ms for run in runs)
    for earlier, later in itertools.pairwise(starts):
        if later - earlier <= interval_ms:
            yield f"too close: {runs[0].job} started {later - earlier} ms after its last start"


def _out_of_order(runs: Sequence[RecordedRun]) -> Iterator[str]:
    for earlier, later in itertools.pairwise(runs):
        if later.token <= earlier.token:
            yield f"token of {later.job} did not grow: {later.token} after {earlier.token}"
        if later.run_id == earlier.run_id:
            yield f"run {later.run_id} of {later.job} began twice"
