"""How many runs a second one instance gets through when its jobs come due at once."""

from __future__ import annotations

import statistics

from benchmarks.contenders import table
from benchmarks.contenders.base import Contender, Scenario
from benchmarks.contenders.burst import told
from benchmarks.contenders.running import Running, Servers, servers
from benchmarks.cores import keep_away
from benchmarks.results import Result

JOBS = 10_000
REPEATS = 5

#: What is measured besides the peers.
BESIDES = (table.LIBRARY, table.LOOP, table.SEED, table.SPAWN, table.CALLS)

#: Seconds for one burst: what falls due with a minute waits for one.
_LONGEST = 150.0

CONDITIONS = f"""\
{JOBS:,} jobs that do nothing come due at once in one instance, until all have run and are recorded.
The library in a Flask application, with a fresh application context a run, INFO logging to a
handler that drops it, history, lease and its defaults, but for as many runs at once as there are
jobs. The limit loop keeps the same in Redis without the library: batches of 500, each claimed in
one EVALSHA, a greenlet a run, one EVALSHA for the finishes, with an entry of the history of the
same eight fields. Both have run each job once before. Peers make no application context, and log
as they do by themselves; those of several processes are timed from the beginning of the first run
to that of the last, in their favour. A contender of one process has a core to itself, and Redis
the other. Each measurement is a process of its own, on a Redis that
keeps nothing on disk, with the garbage collector kept off what is loaded; contenders take turns."""


def run(full: bool) -> Result:
    # Those that fall due with a minute, or take long, would fill the short form with waiting.
    peers = [peer for peer in table.PEERS if full or not peer.slow]
    contenders = [*BESIDES, *peers]
    rates: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    with servers() as redis:
        keep_away(redis)
        for _ in range(REPEATS):
            for contender in contenders:
                rates[contender.name].append(_rate(contender, redis))
    result = Result("throughput", CONDITIONS)
    limit = statistics.median(rates[table.LOOP.name])
    for name, found in rates.items():
        result.add(name, "runs/s", found, "/s")
        result.add(name, "of the limit loop", [rate / limit for rate in found], "")
    _notes(result, contenders, full)
    _goals(result, contenders)
    return result


def _rate(contender: Contender, redis: Servers) -> float:
    """Runs a second of one burst."""
    redis.clear()
    jobs = _jobs(contender)
    scenario = Scenario("burst", jobs, 3600.0, redis.own.url, redis.record.url)
    with redis.record.client() as client, Running(contender, scenario) as running:
        running.wait_until(lambda: told(client, jobs) is not None, _LONGEST, f"{jobs} runs")
        seconds = told(client, jobs)
    assert seconds is not None
    return jobs / seconds


def _jobs(contender: Contender) -> int:
    return min(JOBS, contender.burst or JOBS)


def _notes(result: Result, contenders: list[Contender], full: bool) -> None:
    fewer = [f"{c.name} {_jobs(c):,}" for c in contenders if _jobs(c) < JOBS]
    result.notes.append(f"so as not to take minutes with fewer jobs: {', '.join(fewer)}")
    left_out = [peer.name for peer in table.PEERS if peer not in contenders]
    if left_out:
        result.notes.append(f"in the full form only: {', '.join(left_out)}")
    result.notes.append(
        "calls (one EVALSHA a claim) and spawn (greenlets alone) are parts of a run, not runs"
    )


def _goals(result: Result, contenders: list[Contender]) -> None:
    rate = {name: figures["runs/s"].median for name, figures in result.rows.items()}
    ours, limit, memory = (
        rate[c.name] for c in (table.LIBRARY, table.LOOP, table.APSCHEDULER_MEMORY)
    )
    result.goal(f"at least 0.60 of the limit loop: {ours / limit:.2f}", ours >= 0.60 * limit)
    best = max(
        (c for c in contenders if c in table.PEERS and c.schedule_in_redis),
        key=lambda peer: rate[peer.name],
    )
    times = ours / rate[best.name]
    result.goal(
        f"at least 10 times the best peer that stores its schedule in Redis ({best.name}): "
        f"{times:.1f}",
        times >= 10,
    )
    result.goal(
        f"not below APScheduler in memory, which stores nothing: {ours / memory:.2f} of it",
        ours >= memory,
    )
