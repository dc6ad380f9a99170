"""A saturated web worker: do jobs still run on time, inside a worker that has more requests than
it can serve?
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import NamedTuple

from benchmarks.contenders.base import Contender, Scenario
from benchmarks.contenders.recorder import Began, began
from benchmarks.contenders.running import Servers, servers
from benchmarks.contenders.table import (
    APSCHEDULER_MEMORY,
    APSCHEDULER_REDIS,
    LIBRARY_ALIGNED,
    SEED,
)
from benchmarks.cores import keep_away
from benchmarks.results import Result
from benchmarks.timing import late_from_last, late_on_grid, percentile
from benchmarks.web.load import CONNECTIONS, saturated
from benchmarks.web.worker import cpu_seconds, versions, worker

JOBS = 100
INTERVAL = 1.0

#: Seconds before the load, for a contender's start and first runs, and under it before the watch.
_START, _WARM_UP = 1.5, 0.8
#: Seconds after the load in which the last runs of the watch are recorded.
_SETTLE = 0.5

CONTENDERS = (LIBRARY_ALIGNED, APSCHEDULER_MEMORY, APSCHEDULER_REDIS, SEED)

#: Who the goals are about: in the short form the others are watched once.
_COMPARED = (LIBRARY_ALIGNED, APSCHEDULER_MEMORY)

#: Per cent of its core that a saturated worker has when nobody else wants it.
_UNDISTURBED = 90

SHARE = "due runs that took place"
P50, P99 = "lateness p50", "lateness p99"
CORE = "core in use"


def run(full: bool) -> Result:
    """Watch each contender in turn."""
    repeats, seconds = (5, 10) if full else (3, 3)
    result = Result(
        "saturated",
        f"{JOBS} no-op jobs, due together every {INTERVAL:g} s, inside one gunicorn worker (gevent)"
        f" that wrk keeps busy over {CONNECTIONS} connections; the worker on a core of its own, wrk"
        f" and Redis on another. Watched for {seconds} s at a time, the contenders in turn."
        f" {versions()}.",
    )
    found: dict[str, list[Watch]] = {contender.name: [] for contender in CONTENDERS}
    with servers() as both:
        keep_away(both)
        for number in range(repeats):
            for contender in CONTENDERS if full or number == 0 else _COMPARED:
                found[contender.name].append(_watch(contender, both, seconds))
    for name, watches in found.items():
        result.add(name, SHARE, [100 * one.share for one in watches], "%")
        for share, words in ((0.5, P50), (0.99, P99)):
            late = [1000 * percentile(one.lateness, share) for one in watches if one.lateness]
            if late:
                result.add(name, words, late, "ms")
        result.add(name, CORE, [100 * one.busy for one in watches], "%")
    result.notes.append(
        f"A due time counts when its run began before the next one, and lateness is that of those "
        f"that count. {SEED.title!r} has no grid: its lateness is the time between two starts "
        f"less the interval, where a job had two."
    )
    least = min(row[CORE].median for row in result.rows.values())
    if least < _UNDISTURBED:
        result.notes.append(
            f"Disturbed: a worker that was never without requests had {least:.0f} % of its core, "
            f"and other processes the rest."
        )
    _judge(result)
    return result


class Watch(NamedTuple):
    """What was seen of one contender, once."""

    #: Of all due times, the share of those whose run began before the next one.
    share: float
    #: Seconds.
    lateness: list[float]
    #: The share of its core that the worker had.
    busy: float


def _watch(contender: Contender, both: Servers, seconds: int) -> Watch:
    both.clear()
    scenario = Scenario("beat", JOBS, INTERVAL, both.own.url, both.record.url)
    with worker(contender, scenario) as one:
        time.sleep(_START)
        with saturated(one.url, seconds + 30):
            time.sleep(_WARM_UP)
            first = math.ceil(time.time() / INTERVAL)
            time.sleep(first * INTERVAL - time.time())
            cpu, begun = cpu_seconds(one.pid), time.monotonic()
            time.sleep(seconds * INTERVAL)
            busy = (cpu_seconds(one.pid) - cpu) / (time.monotonic() - begun)
        time.sleep(_SETTLE)
    with both.record.client() as client:
        runs = _one_a_due_time(began(client))
    span = first * INTERVAL, (first + seconds) * INTERVAL
    judge = late_on_grid if contender.on_grid else late_from_last
    kept = sum(span[0] <= run.at < span[1] for run in runs)
    return Watch(kept / (JOBS * seconds), [run.by for run in judge(runs, INTERVAL, span)], busy)


def _one_a_due_time(runs: Iterable[Began]) -> list[Began]:
    """Of the runs of a job between two due times the first: what a late one catches up with is not
    counted twice.
    """
    kept: dict[tuple[str, int], Began] = {}
    for run in runs:
        kept.setdefault((run.job, math.floor(run.at / INTERVAL)), run)
    return list(kept.values())


def _judge(result: Result) -> None:
    ours, memory = result.rows[LIBRARY_ALIGNED.name], result.rows[APSCHEDULER_MEMORY.name]
    share = ours[SHARE].median
    result.goal(f"at least 99 % of the due runs take place: {share:.1f} %", share >= 99.0)
    ratio = ours[P99].median / memory[P99].median if P99 in ours else math.inf
    result.goal(
        f"p99 lateness at most twice that of APScheduler in memory: {ratio:.2f} times", ratio <= 2.0
    )
