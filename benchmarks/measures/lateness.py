"""How late the first line of a job is: in a process of its own, and in a web worker that serves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import chain
from time import sleep, time
from typing import NamedTuple

from benchmarks.contenders import recorder, table
from benchmarks.contenders.base import Contender, Scenario
from benchmarks.contenders.recorder import Began
from benchmarks.contenders.running import Running, Servers, servers
from benchmarks.cores import keep_away
from benchmarks.results import Result
from benchmarks.timing import Late, drift, late_from_last, late_on_grid, percentile, window
from benchmarks.web.load import latencies
from benchmarks.web.worker import worker

JOBS, INTERVAL = 100, 1.0

#: Due times of a job in each measurement: alone, in a worker that serves.
BEATS, BEATS_FULL = (2, 3), (4, 4)
#: And how many measurements.
REPEATS, REPEATS_FULL = (5, 1), (5, 5)
#: Seconds from the first run to the first due time that counts: until everything has started.
LEAD, LEAD_FULL = 0.7, 1.5

#: What the short form has time for, and what is put into a web worker.
SHORT = (table.TIMERS, table.LIBRARY_ALIGNED, table.APSCHEDULER_MEMORY)
FULL = (
    table.TIMERS,
    *table.LIBRARIES,
    table.SEED,
    *(peer for peer in table.PEERS if peer.finest <= INTERVAL),
)

#: What is added to the name of a contender in a worker that serves.
SERVING = ", serving"

#: Requests a second meanwhile, and for how many seconds more than the lead and the watch: until the
#: first run, until the first whole second, until everything is recorded.
RATE, MORE = 500.0, 2.3

#: Milliseconds that the library may be later than a bare timer, at the 99th percentile.
ALLOWED_MS = 3.0

#: How much of its own lateness a schedule on the clock may seem to drift in a beat, by chance: one
#: that counts from its last start drifts by all of it.
CHANCE = 0.25


class Measured(NamedTuple):
    """What one process did."""

    runs: list[Late]
    #: Of the runs that were due, how many began.
    share: float


def run(full: bool) -> Result:
    beats, repeats = (BEATS_FULL, REPEATS_FULL) if full else (BEATS, REPEATS)
    lead = LEAD_FULL if full else LEAD
    contenders = FULL if full else SHORT
    found: dict[str, list[Measured]] = defaultdict(list)
    with servers() as redis:
        keep_away(redis)
        for _ in range(repeats[0]):
            for contender in contenders:
                found[contender.name].append(_alone(contender, redis, beats[0], lead))
        for repeat in range(repeats[1]):
            for contender in SHORT:
                one = _serving(contender, redis, beats[1], lead, repeat)
                found[contender.name + SERVING].append(one)
    result = Result("lateness", _conditions(beats))
    for name, measured in found.items():
        _add(result, name, measured)
    _compare(result)
    _notes(result, contenders, full)
    _goals(result, full)
    return result


def _alone(contender: Contender, redis: Servers, beats: int, lead: float) -> Measured:
    with redis.record.client() as client, Running(contender, _scenario(redis)) as running:
        running.wait_until(lambda: client.llen(recorder.KEY) >= JOBS, 30, "first runs")
        span = window(recorder.began(client), INTERVAL, beats, lead)
        running.watch(span[1] + 2 * recorder.FLUSH_SECONDS - time())
        return _judged(contender, recorder.began(client), span)


def _serving(contender: Contender, redis: Servers, beats: int, lead: float, seed: int) -> Measured:
    with redis.record.client() as client:
        with worker(contender, _scenario(redis)) as serving:
            latencies(serving.url, RATE, lead + beats * INTERVAL + MORE, seed)
            ended = time()
            sleep(2 * recorder.FLUSH_SECONDS)
            runs = recorder.began(client)
        span = window(runs, INTERVAL, beats, lead)
        if span[1] > ended:
            raise RuntimeError(f"{contender.name}: the requests ended before the watch was over")
        return _judged(contender, runs, span)


def _scenario(redis: Servers) -> Scenario:
    redis.clear()
    return Scenario("beat", JOBS, INTERVAL, redis.own.url, redis.record.url)


def _judged(contender: Contender, runs: Iterable[Began], span: tuple[float, float]) -> Measured:
    judge = late_on_grid if contender.on_grid else late_from_last
    late = judge(runs, INTERVAL, span)
    return Measured(late, len(late) * INTERVAL / (JOBS * (span[1] - span[0])))


def _conditions(beats: tuple[int, int]) -> str:
    return f"""\
{JOBS} jobs that do nothing, each every {INTERVAL:g} s, all due at once, watched for {beats[0]} due
times (serving: {beats[1]}) after their start: from a run's due time to the first line of its job.
Where due times lie on the clock they are whole seconds; where a job counts from its last start, the
time between two starts less the interval, so that a queue which is always as long does not show in
its lateness, and what drifts has fewer runs. Serving: in the one gunicorn gevent worker of a Flask
application that answers {RATE:g} requests a second, which come by chance. The garbage collector is
kept off what is loaded. A contender of one process has a core to itself, and Redis the other. Each
measurement is a process of its own; the contenders take turns."""


def _add(result: Result, name: str, measured: list[Measured]) -> None:
    result.add(name, "ran", [one.share for one in measured], "of what was due")
    ran = [one for one in measured if len(one.runs) > 1]
    if len(ran) < len(measured):
        result.notes.append(f"{name}: {len(measured) - len(ran)} measurements without runs")
    if not ran:
        return
    late = [[run.by * 1000 for run in one.runs] for one in ran]
    result.add(name, "p50", [percentile(one, 0.5) for one in late], "ms")
    result.add(name, "p99", [percentile(one, 0.99) for one in late], "ms")
    result.add(name, "max", [max(one) for one in late], "ms")
    slopes = [drift(one.runs) * INTERVAL * 1000 for one in ran]
    result.add(name, "drift", slopes, "ms a beat")
    together = list(chain.from_iterable(late))
    shares = [percent / 100 for percent in range(1, 101)]
    result.curves[name] = [(percentile(together, share), share) for share in shares]


def _compare(result: Result) -> None:
    """Each with the bare timers that were measured as it was."""
    for name, figures in result.rows.items():
        timers = table.TIMERS.name + (SERVING if name.endswith(SERVING) else "")
        if name == timers or "p99" not in figures:
            continue
        limit = result.rows[timers]
        more = [value - limit["p99"].median for value in figures["p99"].values]
        result.add(name, "p99 above timers", more, "ms")


def _notes(result: Result, contenders: Iterable[Contender], full: bool) -> None:
    coarse = [peer.name for peer in table.PEERS if peer.finest > INTERVAL]
    result.notes.append(f"whole minutes only, so without a figure: {', '.join(coarse)}")
    left_out = [each.name for each in FULL if each not in contenders]
    if left_out:
        result.notes.append(f"in the full form only: {', '.join(left_out)}")
    if not full:
        result.notes.append("too short a watch to tell a drift from chance: see the full form")


def _goals(result: Result, full: bool) -> None:
    for library in table.LIBRARIES:
        for name in (library.name, library.name + SERVING):
            if name in result.rows:
                more = result.rows[name]["p99 above timers"].median
                words = f"{name}: p99 at most {ALLOWED_MS:g} ms above bare timers: {more:.1f}"
                result.goal(words, more <= ALLOWED_MS)
    if not full:
        return
    for library in table.LIBRARIES:
        figures = result.rows[library.name]
        moved, p50, p99 = (figures[quantity].median for quantity in ("drift", "p50", "p99"))
        shown = f"{moved:.2f} ms a beat, at a lateness of {p50:.1f} ms, p99 {p99:.1f} ms"
        if library.on_grid:
            result.goal(f"{library.name}: does not drift: {shown}", abs(moved) <= CHANCE * p50)
        else:
            result.goal(f"{library.name}: drifts only by its lateness: {shown}", moved <= p99)
