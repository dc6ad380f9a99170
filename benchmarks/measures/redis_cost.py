"""(c) What jobs cost Redis: commands of clients, round trips and bytes, per run and per idle
second, by the number of jobs and of instances.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

from jobrunner.store import scripts

from ..contenders import table
from ..contenders.base import Contender, Scenario
from ..contenders.recorder import began
from ..contenders.running import ContenderError, Running, Servers, servers
from ..results import Result
from ..traffic import Asked, Totals, asked, by_command, own_share, totals
from ..window import between_two_dues, is_steady

#: Ours with several instances in one process; each has connections and leases of its own.
FLEET = replace(table.LIBRARY, module="library_fleet", options={"schedule": "aligned"})

#: The check interval of the library, in seconds: its default.
CHECK_INTERVAL = 1.0

#: Cases that are watched beside one another: what is counted hardly depends on the time it took.
#: The library's runs are watched afterwards, for what they share depends on who is ready when.
BESIDE = 7

#: Seconds around their runs that are watched of those that know whole minutes alone.
_AROUND = 5.0

#: Seconds that a contender has to start and get quiet: each instance writes so often a second at
#: most.
_LONGEST_START, _QUIET = 120, 10

#: Where Redis says how often something in it was changed.
_WRITTEN = "rdb_changes_since_last_save"

#: The library's scripts by their digests.
_OUR_SCRIPTS = {
    script.digest: name
    for name, script in vars(scripts).items()
    if isinstance(script, scripts.Script)
}

#: Jobs that a rq worker gets through at one second; its queue grows without end with more.
_FEW = 10


@dataclass(frozen=True)
class Case:
    """One thing that is counted."""

    contender: Contender
    state: Literal["idle", "busy"]
    jobs: int
    instances: int
    interval: float
    #: So many times, so many seconds each.
    repeats: int
    seconds: float

    @property
    def words(self) -> str:
        instances = f"{self.instances} instance{'s'[: self.instances > 1]}"
        every = "" if self.state == "idle" else f" at {self.interval:g} s"
        return f"{self.state}, {self.jobs} job{'s'[: self.jobs > 1]}{every}, {instances}"


@dataclass(frozen=True)
class Counted:
    """What was counted, each as often as `repeats` says."""

    commands: list[int]
    #: How many runs began meanwhile.
    runs_commands: list[int]
    traffic: list[Totals]
    runs_traffic: list[int]
    #: Which commands.
    which: str


def run(full: bool) -> Result:
    result = Result(
        "redis_cost",
        "Client commands from MONITOR without those of scripts; round trips (answers that Redis "
        "wrote) and bytes from INFO, in a watch of its own. Idle: jobs of an hour that have run. "
        "Busy: per run; the library's jobs are on the clock, so that they are due at once. Several "
        "instances of the library share a process, of the others each has its own. Those that know "
        f"whole minutes alone are watched for {_AROUND:g} s around the runs of one, once.",
    )
    cases = _cases(full)
    ours = [case for case in cases if case.state == "busy" and case.contender is FLEET]
    beside = [case for case in cases if case not in ours]
    for together, at_once in ((beside, BESIDE), (ours, 1 if full else len(ours))):
        with ThreadPoolExecutor(at_once) as pool:
            found = list(pool.map(_count, together))
        for case, counted in zip(together, found, strict=True):
            _tell(result, case, counted)
    return result


def _cases(full: bool) -> list[Case]:
    repeats, seconds = (5, 3.0) if full else (5, 1.0)

    def idle(contender: Contender, jobs: int, instances: int = 1) -> Case:
        return Case(contender, "idle", jobs, instances, 3600.0, repeats, seconds)

    def busy(contender: Contender, jobs: int, instances: int = 1, interval: float = 1.0) -> Case:
        return Case(contender, "busy", jobs, instances, interval, repeats, max(seconds, interval))

    cases = [idle(FLEET, jobs) for jobs in (100, 1_000, 10_000)]
    cases += [idle(FLEET, 1_000, instances) for instances in ((10, 50) if full else (4,))]
    cases += [busy(FLEET, 1, interval=0.5), busy(FLEET, 100)]
    cases += [busy(FLEET, 100, instances) for instances in ((4, 10, 50) if full else (4,))]
    for peer in (*table.PEERS, table.SEED):
        cases += [idle(peer, jobs) for jobs in ((100, 1_000, 10_000) if full else (1_000,))]
        if full:
            cases.append(idle(peer, 1_000, 4))
        jobs = _FEW if peer.module == "rq_cron" else 100
        if peer.finest < 60:
            cases.append(busy(peer, jobs))
            if full:
                cases += [busy(peer, 1), busy(peer, jobs, 4)]
        elif full:
            cases.append(Case(peer, "busy", jobs, 1, 60.0, 1, _AROUND))
    return [case for case in cases if case.contender.name != table.APSCHEDULER_MEMORY.name]


def _count(case: Case) -> Counted:
    with servers() as redis:
        scenario = Scenario(
            "beat",
            case.jobs,
            case.interval,
            redis.own.url,
            redis.record.url,
            options={"instances": str(case.instances)},
        )
        copies = 1 if case.contender is FLEET else case.instances
        commands = [
            command for command in table.commands(case.contender, scenario) for _ in range(copies)
        ]
        with Running(case.contender, scenario, commands) as running:
            _settle(case, running, redis)
            return _watched(case, running, redis)


def _settle(case: Case, running: Running, redis: Servers) -> None:
    """Wait until it is what it is called: everything has started, and idle is quiet."""
    with redis.own.client() as own, redis.record.client() as record:
        running.wait_until(
            lambda: own.info("clients")["connected_clients"] > 1, 60, "connection to its Redis"
        )
        if case.contender.schedule_in_redis:
            running.wait_until(lambda: own.dbsize() > 0, 60, "key in its Redis")
        if case.state == "busy":
            running.wait_until(
                lambda: is_steady(began(record), case.interval), 2 * case.interval + 60, "run"
            )
            running.watch(1.5 * min(case.interval, 2.0))
            return
        # What starts up writes.
        quiet = 0
        for _ in range(_LONGEST_START):
            before, runs = own.info("persistence"), record.llen("runs")
            running.watch(1.0)
            written = own.info("persistence")[_WRITTEN] - before[_WRITTEN]
            still = runs == record.llen("runs") and written <= _QUIET * case.instances
            quiet = quiet + 1 if still else 0
            if quiet == 2:
                return
        raise ContenderError(f"{case.words}: not quiet within {_LONGEST_START} s")


def _watched(case: Case, running: Running, redis: Servers) -> Counted:
    with redis.own.client() as own, redis.record.client() as record:
        first = _beginning(case, record)
        ends = [first + (number + 1) * case.seconds for number in range(case.repeats)]
        marks = [first, *ends]
        share = own_share(own)
        traffic = []
        for mark in marks:
            running.watch(mark - time.time())
            traffic.append(totals(own))
        second = _beginning(case, record)
        running.watch(second - time.time())
        commands = asked(redis.own.port, second + case.repeats * case.seconds)
        running.watch(0.6)  # what is recorded is written four times a second
        ats = [one.at for one in began(record)]
    again = [second + number * case.seconds for number in range(case.repeats + 1)]
    return Counted(
        [len(part) for part in _parts(commands, [one.at for one in commands], again)],
        [len(part) for part in _parts(ats, ats, again)],
        [after.since(before).since(share) for before, after in pairwise(traffic)],
        [len(part) for part in _parts(ats, ats, marks)],
        by_command([one for one in commands if one.at >= second], _name_of),
    )


def _beginning(case: Case, record: Any) -> float:
    """When to begin: soon, and halfway between two due times, as the last run tells them."""
    soon = time.time() + 0.1
    if case.state == "idle":
        return soon
    start = between_two_dues(began(record), case.interval)
    if case.seconds < case.interval:  # the rest would be counted as if the runs had cost it
        start += (case.interval - case.seconds) / 2
    return start if start > soon else start + case.interval


def _parts(things: Sequence[Any], ats: Sequence[float], marks: Sequence[float]) -> list[list[Any]]:
    """The things between each two neighbouring marks."""
    return [
        [thing for thing, at in zip(things, ats, strict=True) if start <= at < end]
        for start, end in pairwise(marks)
    ]


def _name_of(one: Asked) -> str:
    """A command in words: of a script of the library its name, and whether it claims anything."""
    digest, keys = one.arguments
    if one.command != "EVALSHA" or digest not in _OUR_SCRIPTS:
        return one.command
    name = _OUR_SCRIPTS[digest]
    return f"{name} (of no job)" if name == "claim" and keys == "2" else name


def _tell(result: Result, case: Case, counted: Counted) -> None:
    row, words = case.contender.name, case.words
    name = f"{row}: {words}"
    if case.state == "idle":
        over: list[float] = [case.seconds] * case.repeats
        over_traffic, per = over, "a second"
        if any(counted.runs_commands + counted.runs_traffic):
            result.notes.append(f"{name}: not idle, a job ran")
    else:
        if not any(counted.runs_commands) or not any(counted.runs_traffic):
            result.notes.append(f"{name}: no run in a watch, so nothing per run")
            return
        over, over_traffic, per = list(counted.runs_commands), list(counted.runs_traffic), "a run"

    def divided(counts: Sequence[int], by: Sequence[float]) -> list[float]:
        # Whose due times drift may have a part of the watch without a run.
        return [count / number for count, number in zip(counts, by, strict=True) if number]

    result.add(row, f"{words}: commands", divided(counted.commands, over), per)
    trips = [one.written for one in counted.traffic]
    result.add(row, f"{words}: round trips", divided(trips, over_traffic), per)
    # Less than the question itself is nothing: its answer is not always of the same length.
    size = [max(0, one.received + one.sent) for one in counted.traffic]
    result.add(row, f"{words}: bytes", divided(size, over_traffic), per)
    result.notes.append(
        f"{name}: {sum(counted.runs_commands)} runs, {counted.which or 'no command'}"
    )
    if case.contender is FLEET:
        _draw(result, case, sum(counted.commands) / sum(over))
        _judge(result, case, counted)


def _draw(result: Result, case: Case, commands: float) -> None:
    if case.state == "idle" and case.instances == 1:
        curve, x = "idle: commands a second by jobs", case.jobs
    elif case.state == "busy" and case.jobs == 100:
        curve, x = "busy, 100 jobs at once: commands a run by instances", case.instances
    else:
        return
    result.curves.setdefault(curve, []).append((x, commands))


def _judge(result: Result, case: Case, counted: Counted) -> None:
    if case.state == "idle":
        # One more, for a check that lies at the edge of the watch.
        checks = case.instances * (case.repeats * case.seconds / CHECK_INTERVAL + 1)
        result.goal(
            f"{case.words}: {sum(counted.commands)} commands in {checks - case.instances:g} check "
            f"intervals of an instance, one each asked",
            sum(counted.commands) <= checks,
        )
    elif (case.jobs, case.instances) == (1, 1):
        trips = sum(one.written for one in counted.traffic) / sum(counted.runs_traffic)
        result.goal(f"{case.words}: {trips:.2f} round trips a run, at most 2 asked", trips <= 2.05)
    elif (case.jobs, case.instances) == (100, 1):
        each = sum(counted.commands) / sum(counted.runs_commands)
        result.goal(f"{case.words}: {each:.3f} commands a run, at most 0.1 asked", each <= 0.1)
