"""(j) Duplicates: how often a job ran for each time that it should have, and starts that came too
early, where several processes have the same jobs.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

from ..contenders import table
from ..contenders.base import Contender, Scenario
from ..contenders.recorder import Began, began
from ..contenders.running import Running, servers
from ..results import Result
from ..window import between_two_dues, is_steady

#: Processes of what embeds in a web worker; of the others two schedulers and two workers, or two of
#: what is both.
PROCESSES = 4

JOBS = 10

#: Seconds from the first run until a watch begins: the other processes, which were started at the
#: same time, are up as well.
SETTLE = 3.0

#: The share of the interval by which two first lines may be closer than the interval: what is
#: recorded is when a job's first line ran, and not when it was decided to run it.
SLACK = 0.1


@dataclass(frozen=True)
class Plan:
    """How long a contender is watched, and how often."""

    contender: Contender
    interval: float
    seconds: float
    repeats: int


@dataclass(frozen=True)
class Seen:
    """What one watch saw."""

    ratio: float
    early: int
    #: The smallest time between two starts of a job less the interval, in milliseconds, by the
    #: starts that the contender's Redis holds; None: it holds none.
    least_slack_ms: float | None


def run(full: bool) -> Result:
    result = Result(
        "duplicates",
        f"{JOBS} jobs; {PROCESSES} processes of what embeds, 2 schedulers and 2 workers of the "
        f"others. Runs in a watch, recorded inside the job, over jobs times seconds / interval; "
        f"early: starts of a job less than {1 - SLACK:g} intervals after its last one.",
    )
    plans = _plans(full)
    # Beside each other: each is nearly idle.
    with ThreadPoolExecutor(3) as pool:
        watched = list(pool.map(_watch, plans))
    for plan, seen in zip(plans, watched, strict=True):
        name = plan.contender.name
        result.add(name, "runs / expected", [one.ratio for one in seen], "")
        result.add(name, "early starts", [one.early for one in seen], "")
        result.add(name, "interval", [plan.interval], "s")
        if plan.contender.ours and plan.contender.module == "library":
            _judge(result, plan, seen)
    if not full:
        result.notes.append(
            "those that know whole minutes alone are watched in the full form: "
            + ", ".join(peer.name for peer in table.PEERS if peer.finest >= 60)
        )
    return result


def _plans(full: bool) -> list[Plan]:
    plans = []
    for contender in (*table.LIBRARIES, *table.PEERS, table.SEED):
        if contender.finest < 60:
            plans.append(Plan(contender, 1.0, 12.0 if full else 6.0, 5 if full else 1))
        elif full:
            plans.append(Plan(contender, 60.0, 120.0, 1))
    return plans


def _watch(plan: Plan) -> list[Seen]:
    return [_watch_once(plan) for _ in range(plan.repeats)]


def _watch_once(plan: Plan) -> Seen:
    contender = plan.contender
    with servers() as redis:
        scenario = Scenario(
            "beat",
            JOBS,
            plan.interval,
            redis.own.url,
            redis.record.url,
            recording="inside",
        )
        commands = [
            command
            for command in table.commands(contender, scenario)
            for _ in range(PROCESSES if contender.embeds else 2)
        ]
        with Running(contender, scenario, commands) as running, redis.record.client() as client:
            running.wait_until(
                lambda: is_steady(began(client), plan.interval), 2 * plan.interval + 30, "run"
            )
            running.watch(SETTLE)
            start = between_two_dues(began(client), plan.interval)
            running.watch(start + plan.seconds + 0.2 - time.time())
            runs = began(client)
            slack = _least_slack_ms(scenario) if contender.module == "library" else None
    counted = [one for one in runs if start <= one.at < start + plan.seconds]
    expected = JOBS * plan.seconds / plan.interval
    return Seen(len(counted) / expected, early(counted, plan.interval), slack)


def early(runs: list[Began], interval: float) -> int:
    """Starts that came less than an interval, and its slack, after the last one of their job."""
    by_job: dict[str, list[float]] = {}
    for one in runs:
        by_job.setdefault(one.job, []).append(one.at)
    least = interval * (1 - SLACK)
    return sum(after - before < least for ats in by_job.values() for before, after in pairwise(ats))


def _least_slack_ms(scenario: Scenario) -> float:
    """By the starts that the library keeps, to the millisecond of Redis's clock."""
    from jobrunner import JobRunner, every

    reader = JobRunner(redis_url=scenario.redis, namespace="benchmark")
    for name in scenario.names:
        reader.job(every(seconds=scenario.interval), name=name)(lambda ctx: None)
    gaps = []
    try:
        for name in scenario.names:
            starts = sorted(entry.started_at for entry in reader.history(name, limit=1000))
            gaps += [after - before for before, after in pairwise(starts)]
    finally:
        reader.stop()
    return round((min(gaps) - scenario.interval) * 1000, 1)


def _judge(result: Result, plan: Plan, seen: list[Seen]) -> None:
    name = plan.contender.name
    ratios = [one.ratio for one in seen]
    result.goal(
        f"{name}: {min(ratios):.3f} to {max(ratios):.3f} runs for each that was due, 1.00 asked",
        all(0.985 <= ratio <= 1.005 for ratio in ratios),
    )
    early = sum(one.early for one in seen)
    result.goal(f"{name}: {early} early starts, 0 asked", early == 0)
    slacks = [one.least_slack_ms for one in seen if one.least_slack_ms is not None]
    if slacks and plan.contender.options.get("schedule") is None:
        result.add(name, "least gap less the interval", slacks, "ms")
        result.goal(
            f"{name}: by Redis's clock the closest two starts of a job are the interval and "
            f"{min(slacks):g} ms apart, more than the interval asked",
            min(slacks) > 0,
        )
