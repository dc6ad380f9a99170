"""What the runner costs the web server that it lives in: the latency of requests at a rate that
leaves the worker half idle, and the CPU time of a run.
"""

from __future__ import annotations

import statistics
import time
from itertools import pairwise

from benchmarks.contenders.base import Command, Contender, Scenario
from benchmarks.contenders.recorder import began
from benchmarks.contenders.running import Running, Servers, servers
from benchmarks.contenders.table import APSCHEDULER_MEMORY, LIBRARY_ALIGNED, commands
from benchmarks.cores import cores, keep_away, pinned
from benchmarks.results import Result
from benchmarks.timing import percentile
from benchmarks.web.load import latencies, requests_at_most
from benchmarks.web.worker import NOTHING, cpu_seconds, versions, worker

JOBS, JOBS_FULL = (100,), (100, 1000)
INTERVAL = 1.0

#: An interval that is not over before the watch is.
_FAR = 86400.0

#: Of the requests that the worker can do.
_LOAD = 0.5

#: Seconds for a contender to start and to have its first runs.
_START = 1.2
#: Seconds for runs to be recorded.
_SETTLE = 0.4

LIMIT = Contender(
    "limit loop", "batched claim, greenlets, batched finish", "limit_beat", ours=True, embeds=True
)

#: Whose CPU time is taken, and who is in the web worker by turns.
_COMPUTING = (LIBRARY_ALIGNED, APSCHEDULER_MEMORY, LIMIT)
_SERVING, _SERVING_FULL = (NOTHING, LIBRARY_ALIGNED), (NOTHING, *_COMPUTING)


def run(full: bool) -> Result:
    """Latency first, then CPU time."""
    rounds, seconds, repeats, windows = (7, 5.0, 5, 5) if full else (5, 5.0, 1, 5)
    result = Result("web_cost", "")
    with servers() as both:
        keep_away(both)
        rate = _LOAD * _capacity(both)
        serving = _SERVING_FULL if full else _SERVING
        _measure_latency(result, both, serving, rate, rounds, seconds)
        for jobs in JOBS_FULL if full else JOBS:
            _measure_cpu(result, both, jobs, repeats, windows)
    result.conditions = (
        f"Latency: one gunicorn worker (gevent) on a core of its own, Redis and the visitors on "
        f"another; {rate:.0f} visitors a second, half of what the worker can do, come "
        f"independently of one another for {seconds:g} s, and a latency counts from the moment at "
        f"which one comes. {JOBS[0]} no-op jobs due together every {INTERVAL:g} s, or none; a new "
        f"worker each time, by turns, {rounds} rounds. CPU: the user and system time of a process "
        f"with so many no-op jobs due together every {INTERVAL:g} s, in windows of one second, "
        f"less that of the same process whose jobs are not due, by the runs in the window; the "
        f"library with a Flask application and a fresh application context a run. {versions()}."
    )
    return result


# -- latency -----------------------------------------------------------------------------------


def _capacity(both: Servers) -> float:
    """Requests a second that the worker can do with nothing beside them."""
    with worker(NOTHING, _scenario(both, JOBS[0], INTERVAL)) as one:
        time.sleep(_START)
        return requests_at_most(one.url, 2)


def _measure_latency(
    result: Result,
    both: Servers,
    serving: tuple[Contender, ...],
    rate: float,
    rounds: int,
    seconds: float,
) -> None:
    found: dict[str, list[list[float]]] = {contender.name: [] for contender in serving}
    busy: dict[str, list[float]] = {contender.name: [] for contender in serving}
    for number in range(rounds):
        for contender in serving:
            both.clear()
            with worker(contender, _scenario(both, JOBS[0], INTERVAL)) as one:
                time.sleep(_START)
                cpu, begun = cpu_seconds(one.pid), time.monotonic()
                # The same visitors for all of a round.
                found[contender.name].append(latencies(one.url, rate, seconds, seed=number))
                spent = (cpu_seconds(one.pid) - cpu) / (time.monotonic() - begun)
                busy[contender.name].append(100 * spent)
    for name, of_rounds in found.items():
        for words, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
            figures = [1000 * percentile(one, share) for one in of_rounds]
            result.add(name, words, figures, "ms")
        result.add(name, "core in use", busy[name], "%")
    off, on = result.rows[NOTHING.name]["p99"], result.rows[LIBRARY_ALIGNED.name]["p99"]
    more = on.median - off.median
    result.goal(
        f"p99 with the runner within the noise of without: {more:+.2f} ms, "
        f"noise {off.spread:.2f} ms of {off.median:.2f} ms",
        # Noise as large as the figure itself would hold whatever the runner costs.
        more <= off.spread < off.median,
    )


# -- CPU time ----------------------------------------------------------------------------------


def _measure_cpu(result: Result, both: Servers, jobs: int, repeats: int, windows: int) -> None:
    words = f"CPU a run, {jobs:,} a second"
    found: dict[str, list[float]] = {contender.name: [] for contender in _COMPUTING}
    idle: dict[str, list[float]] = {contender.name: [] for contender in _COMPUTING}
    for _ in range(repeats):
        for contender in _COMPUTING:
            per_run, at_idle = _cpu(contender, both, jobs, windows)
            found[contender.name] += per_run
            idle[contender.name] += at_idle
    for name, values in found.items():
        result.add(name, words, [1e6 * value for value in values], "us")
        result.add(name, f"CPU idle, {jobs:,} jobs", [1e3 * one for one in idle[name]], "ms/s")
    ours, limit = (result.rows[one.name][words].median for one in (LIBRARY_ALIGNED, LIMIT))
    result.goal(
        f"CPU a run at most twice that of the limit loop, at {jobs:,} runs a second: "
        f"{ours / limit:.2f} times",
        ours <= 2 * limit,
    )


def _cpu(
    contender: Contender, both: Servers, jobs: int, windows: int
) -> tuple[list[float], list[float]]:
    """CPU seconds a run in each window; and what the process without due jobs takes in each.

    The two live at the same time, on cores of their own: the idle one hardly lives.
    """
    both.clear()
    with (
        Running(*_alone(contender, both, jobs, _FAR, cores()[1])) as resting,
        Running(*_alone(contender, both, jobs, INTERVAL, cores()[0])) as running,
    ):
        pids = [one.processes[0].pid for one in (running, resting)]
        # The bounds of windows lie in the middle between two due times.
        bound = round(time.time() + _START + INTERVAL) + INTERVAL / 2
        bounds, spent = [], []
        for number in range(windows + 1):
            time.sleep(max(0.0, bound + number * INTERVAL - time.time()))
            bounds.append(time.time())
            spent.append([cpu_seconds(pid) for pid in pids])
        time.sleep(_SETTLE)
        running.check()
        resting.check()
    with both.record.client() as client:
        at = [one.at for one in began(client)]
    busy, idle = ([after[i] - before[i] for before, after in pairwise(spent)] for i in (0, 1))
    runs = [sum(begun <= one < ended for one in at) for begun, ended in pairwise(bounds)]
    if min(runs) == 0:
        raise RuntimeError(f"{contender.name}: no run within a second")
    rest = statistics.median(idle)
    return [(one - rest) / number for one, number in zip(busy, runs, strict=True)], idle


def _alone(
    contender: Contender, both: Servers, jobs: int, interval: float, core: int
) -> tuple[Contender, Scenario, list[Command]]:
    scenario = _scenario(both, jobs, interval)
    found = commands(contender, scenario)
    return contender, scenario, [Command(pinned(core, one.argv), one.role) for one in found]


def _scenario(both: Servers, jobs: int, interval: float) -> Scenario:
    # Jobs that are due and jobs that are not live beside one another in a database each.
    database = 0 if interval == INTERVAL else 1
    own, record = (server.url_for(database) for server in both)
    return Scenario("beat", jobs, interval, own, record)
