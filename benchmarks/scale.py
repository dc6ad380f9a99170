"""What a fleet costs its Redis, and who comes first: `python -m benchmarks.scale [--full]`.

Fleets of 1 to 200 real instances, in a few processes on this machine, with jobs that do nothing.
For some seconds each it counts commands, bytes and CPU of a Redis of their own, asks that won and
that lost, and how late the runs were: with the delay before a claim that grows with the fleet, and
without any. What one call, ask, claim and finish cost is measured apart, and from these constants
`benchmarks.scale_model` foretells what each fleet should have cost; how far it is from what was
measured is part of the result. Last, the model says what no machine here can: 10,000 instances.
The full form writes the figures and the curves of `docs/scaling.md` anew.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks import scale_docs
from benchmarks.contenders.base import ROOT
from benchmarks.results import Result
from benchmarks.scale_computed import compute
from benchmarks.scale_costs import Measured, Meter, measure
from benchmarks.scale_fleet import Share
from benchmarks.scale_model import Fleet
from tests.support.servers import RedisServer

#: Instances at once in one process: more make it late by their number.
_A_PROCESS = 50

#: Seconds for the fleet to have learnt about all jobs, after its last instance has started.
_SETTLE = 2.0

#: Counted so often in a row, so many seconds each: in each window every job is due once.
_WINDOWS, _SECONDS = 3, 3

#: Runs an instance, on average, from which on one may say how they were shared out.
_ENOUGH_EACH = 5

#: Ten due times a second, which one instance alone could serve with ease.
_BY_INSTANCES = Fleet(1, 30, _SECONDS)
_AT_ONCE = replace(_BY_INSTANCES, spread=False)
_OTHERS = (
    *(Fleet(50, jobs, _SECONDS) for jobs in (6, 150)),
    Fleet(50, 150, _SECONDS, delay="none"),
    Fleet(200, 30, _SECONDS, check_interval=5),
    # Hardly anything is due: what looks cost, and what living costs.
    Fleet(50, 600, 7200, resync_interval=30),
    Fleet(200, 10, 7200, resync_interval=600),
)


def _fleets(full: bool) -> list[Fleet]:
    """What is counted; with the delay and without it in turn."""
    sizes = (1, 10, 50, 200) if full else (1, 50)
    found = [_BY_INSTANCES]
    for like, numbers in ((_BY_INSTANCES, sizes[1:]), (_AT_ONCE, (50, 200) if full else (50,))):
        for number in numbers:
            found += [replace(like, instances=number, delay=way) for way in ("adaptive", "none")]
    return [*found, *(_OTHERS if full else _OTHERS[-1:])]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="fleets of up to 200 instances")
    full = parser.parse_args().full
    begun = time.monotonic()
    measured, computed = run(full)
    for result in (measured, computed):
        result.save("full" if full else "short")
    measured.show()
    if full:
        scale_docs.write()
    print(f"  took {time.monotonic() - begun:.0f} s")
    return 0 if all(measured.goals.values()) else 1


def run(full: bool) -> tuple[Result, Result]:
    """What was measured, and what that makes of fleets that cannot be."""
    result = Result("scale", " ".join((__doc__ or "").split("\n\n")[1].split()))
    with RedisServer() as server:
        costs = measure(server)
        costs.add_to(result)
        for fleet in _fleets(full):
            with server.client() as client:
                client.flushall()
            print(f"  {fleet.title}", file=sys.stderr, flush=True)
            _add(result, fleet, costs, watch(server, fleet))
    _judge(result)
    return result, compute(result, costs)


# -- a fleet, and what is seen of it -------------------------------------------------------------


class Seen:
    """What happened in one window."""

    def __init__(self, told: Sequence[dict[str, Any]], spent: dict[str, float]) -> None:
        self.spent = spent
        self.counts: Counter[str] = Counter()
        self.late_ms: list[float] = []
        self.won: Counter[str] = Counter()
        for words in told:
            self.counts.update(words["counts"])
            self.late_ms += words["late_ms"]
            self.won.update(words["won"])


def watch(server: RedisServer, fleet: Fleet) -> list[Seen]:
    """A fleet from its start to its end, in windows."""
    number = min(fleet.instances, max(2, -(-fleet.instances // _A_PROCESS)))
    meter = Meter(server)
    processes = [_process(server, fleet, place, number) for place in range(number)]
    try:
        for process in processes:
            _line_of(process)
        time.sleep(_SETTLE)
        _ask(processes)
        return [_window(meter, processes) for _ in range(_WINDOWS)]
    finally:
        meter.close()
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _process(server: RedisServer, fleet: Fleet, place: int, number: int) -> subprocess.Popen[bytes]:
    share = Share(
        redis_url=server.url,
        instances=fleet.instances // number + (place < fleet.instances % number),
        jobs=fleet.jobs,
        interval=fleet.interval,
        spread=fleet.spread,
        check_interval=fleet.check_interval,
        resync_interval=fleet.resync_interval,
        delay=fleet.delay,
    )
    command = [sys.executable, "-m", "benchmarks.scale_fleet", share.words]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)


def _window(meter: Meter, processes: Sequence[subprocess.Popen[bytes]]) -> Seen:
    before, begun = meter.read(), time.monotonic()
    time.sleep(_SECONDS)
    told = _ask(processes)
    after, ended = meter.read(), time.monotonic()
    spent = {what: (after[what] - before[what]) / (ended - begun) for what in after}
    seen = Seen(told, spent)
    for what in seen.counts:
        seen.spent[what] = seen.counts[what] / (ended - begun)
    return seen


def _ask(processes: Sequence[subprocess.Popen[bytes]]) -> list[dict[str, Any]]:
    """What each process has counted since it was asked before."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    return [_line_of(process) for process in processes]


def _line_of(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"a process of the fleet has ended: {process.wait(10)}")
    found: dict[str, Any] = json.loads(line)
    return found


# -- the figures ---------------------------------------------------------------------------------


def _add(result: Result, fleet: Fleet, costs: Measured, windows: Sequence[Seen]) -> None:
    name = fleet.title

    def each(what: str) -> list[float]:
        return [seen.spent.get(what, 0.0) for seen in windows]

    def beside(quantity: str, values: Sequence[float], unit: str, foretold: float) -> None:
        """A figure, what the model says, and by how much that is wrong."""
        found = result.add(name, quantity, values, unit).median
        result.add(name, f"{quantity}, model", [foretold], unit)
        if found:
            result.add(name, f"{quantity}, error", [100 * (foretold / found - 1)], "%")

    beside("commands", each("commands"), "/s", fleet.calls)
    beside("in", each("bytes_in"), "B/s", fleet.cost(costs.bytes_in))
    beside("out", each("bytes_out"), "B/s", fleet.cost(costs.bytes_out))
    beside("Redis CPU", [us / 1e4 for us in each("cpu_us")], "%", 100 * costs.load(fleet))
    if fleet.interval > _SECONDS:
        return  # too few runs to say anything of them
    counts = [seen.counts for seen in windows]
    losers = [(c["asks"] - c["early"] - c["won"]) / max(1, c["won"]) for c in counts]
    beside("losers a winner", losers, "", fleet.losers)
    early = [c["early"] / max(1, c["won"]) for c in counts]
    result.add(name, "early a winner", early, "")
    moments = fleet.moments * _SECONDS
    lost = [c["lost_calls"] / moments for c in counts]
    beside("losing calls a due time", lost, "", fleet.losing_calls_each)
    late = sorted(ms for seen in windows for ms in seen.late_ms)
    if len(late) >= 50:
        result.add(name, "late p50", [statistics.median(late)], "ms")
        result.add(name, "late p99", [statistics.quantiles(late, n=100)[98]], "ms")
        result.add(name, "first p50, model", [fleet.first_quantile(0.5) * 1000], "ms")
        result.add(name, "first p99, model", [fleet.first_quantile(0.99) * 1000], "ms")
    won: Counter[str] = sum((seen.won for seen in windows), Counter())
    mean = sum(won.values()) / fleet.instances
    if fleet.instances > 1 and mean >= _ENOUGH_EACH:
        result.add(name, "runs of the busiest", [max(won.values()) / mean], "times the mean")


def _judge(result: Result) -> None:
    """Whether the model may be believed."""
    for quantity, most in (("commands", 15), ("losers a winner", 10), ("Redis CPU", 35)):
        errors = {
            name: figures[f"{quantity}, error"].median
            for name, figures in result.rows.items()
            if f"{quantity}, error" in figures and name.endswith("adaptive")
        }
        worst = max(errors, key=lambda name: abs(errors[name]))
        words = f"{quantity} as foretold within {most} %: {errors[worst]:+.1f} % ({worst})"
        result.goal(words, abs(errors[worst]) <= most)


if __name__ == "__main__":
    sys.exit(main())
