"""The model of a fleet against a simulation of the same fleet: what both take for granted is that
calls take no time.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import pytest

from benchmarks.scale_model import DELAYS, Costs, Delay, Fleet
from jobrunner.engine.spread import delay


class Simulated(NamedTuple):
    """Calls and losing calls a second, and seconds until the first came, each time."""

    calls: float
    losing: float
    firsts: list[float]


def simulated(fleet: Fleet, waits: Callable[[random.Random], float], seconds: float) -> Simulated:
    """Each instance knows all due times, and asks about those that have come since it did last."""
    chance = random.Random(fleet.instances)
    due = [0.0]
    while due[-1] < seconds:
        due.append(due[-1] + chance.expovariate(fleet.moments))
    asked = [0] * fleet.instances  # the first due time that it has not asked about
    taken = calls = losing = 0
    firsts = []
    heap = [(waits(chance), instance) for instance in range(fleet.instances)]
    heapq.heapify(heap)
    while heap:
        now, instance = heapq.heappop(heap)
        before = asked[instance]
        while asked[instance] < len(due) and due[asked[instance]] <= now:
            asked[instance] += 1
        calls += 1
        losing += before < asked[instance] <= taken
        firsts += [now - moment for moment in due[taken : asked[instance]]]
        taken = max(taken, asked[instance])
        if asked[instance] < len(due):
            until_due = due[asked[instance]] - now
            pause = min(fleet.check_interval, until_due + waits(chance))
            heapq.heappush(heap, (now + pause, instance))
    return Simulated(calls / due[-1], losing / due[-1], sorted(firsts))


@pytest.mark.parametrize("way", ["adaptive", "none", "2 ms"])
@pytest.mark.parametrize(
    ("instances", "rate", "check_interval"),
    [(2, 5.0, 1.0), (10, 10.0, 1.0), (50, 10.0, 1.0), (50, 100.0, 0.5), (100, 0.5, 1.0)],
)
def test_it_foretells_what_a_simulation_does(
    instances: int, rate: float, check_interval: float, way: str
) -> None:
    fleet = Fleet(instances, 100, 100 / rate, check_interval=check_interval, delay=way)
    parts = DELAYS[way](instances, check_interval).parts

    def waits(chance: random.Random) -> float:
        return chance.uniform(0, parts[chance.random() >= parts[0][0]][1])

    seen = simulated(fleet, waits, 1000 / rate)

    assert seen.calls == pytest.approx(fleet.claim_calls, rel=0.07)
    assert seen.losing / rate == pytest.approx(fleet.losing_calls_each, rel=0.1, abs=0.1)
    mean = sum(seen.firsts) / len(seen.firsts)
    assert mean == pytest.approx(fleet.first_mean, rel=0.3, abs=1e-5)
    for quantile in (0.5, 0.99):
        found = seen.firsts[int(quantile * len(seen.firsts))]
        assert found == pytest.approx(fleet.first_quantile(quantile), rel=0.5, abs=1e-5)


@pytest.mark.parametrize("living", [2, 8, 9, 100])
def test_its_delay_is_the_one_that_an_instance_draws(living: int) -> None:
    chance, number = random.Random(living), 20_000
    drawn = [delay(chance, living, 1.0) for _ in range(number)]
    foretold = Delay.adaptive(living, 1.0)

    for x in (0.0005, 0.002, 0.007, 0.05, 0.19):
        share = sum(seconds > x for seconds in drawn) / number
        assert share == pytest.approx(foretold.later_than(x), abs=0.02)
    assert foretold.mean == pytest.approx(sum(drawn) / number, rel=0.05)


def test_all_at_once_is_one_call_an_instance_and_one_a_check_interval() -> None:
    fleet = Fleet(10, 500, 5.0, spread=False)

    assert 10 == fleet.claim_calls
    assert 9 == fleet.losing_calls_each * 1 == pytest.approx(fleet.losers)
    assert 1000 == fleet.asks


def test_what_grows_with_the_square() -> None:
    """Jobs that come with the instances: both twice as many is four times the asks and looks."""
    costs = Costs(call=0, ask=1, run=0, finish_call=0)
    sizes = [Fleet(n, 10 * n, 60.0) for n in (10, 20, 40)]

    assert all(4 == b.cost(costs) / a.cost(costs) for a, b in pairwise(sizes))
