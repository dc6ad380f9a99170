"""What the model says of fleets that no single machine holds, from the constants of one run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from benchmarks.results import Result
from benchmarks.scale_costs import Measured
from benchmarks.scale_model import Fleet

#: Of a core of Redis, what a fleet may take: twice as much for a moment, and others use it too.
ENOUGH = 0.5

HOUR = 3600.0

#: The defaults; and what `docs/scaling.md` advises for many instances.
DEFAULTS = Fleet(1, 1000, HOUR)
SPARING = replace(DEFAULTS, check_interval=5.0, resync_interval=HOUR)

#: Instances along a curve.
_ALONG = [round(10 ** (step / 8)) for step in range(33)]

_JOBS = (100, 1_000, 10_000, 100_000)


def compute(seen: Result, costs: Measured) -> Result:
    """The rows and the curves; beside them the points that were measured."""
    result = Result("scale_computed", " ".join((__doc__ or "").split()))
    for name, settings in (("defaults", DEFAULTS), ("sparing", SPARING)):
        for jobs in _JOBS:
            for instances in (10, 100, 1_000, 10_000):
                fleet = replace(settings, instances=instances, jobs=jobs)
                _row(result, f"{name}: {instances} instances, {jobs} jobs", fleet, costs)
            largest = largest_fleet(replace(settings, jobs=jobs), costs)
            result.add(f"{name}: most instances, {jobs} jobs", "instances", [largest], "")
            result.curves[f"load, {name}: {jobs} jobs"] = _along(
                lambda n, like=settings, jobs=jobs: (  # type: ignore[misc]
                    100 * costs.load(replace(like, instances=n, jobs=jobs))
                )
            )
    for parts in (1, 10, 100):
        fleet = replace(SPARING, instances=10_000 // parts, jobs=100_000 // parts)
        name = f"10000 instances, 100000 jobs in {parts} namespaces"
        result.add(name, "Redis, all together", [100 * parts * costs.load(fleet)], "%")
        result.add(name, "Redis, each", [100 * costs.load(fleet)], "%")
    ten_a_second = Fleet(1, 30, 3.0)
    for way in ("adaptive", "none"):
        like = replace(ten_a_second, delay=way)
        result.curves[f"losing calls, {way}"] = _along(
            lambda n, like=like: replace(like, instances=n).losing_calls_each,  # type: ignore[misc]
            _ALONG[4:],
        )
        result.curves[f"calls, {way}, model"] = _along(
            lambda n, like=like: replace(like, instances=n).calls,  # type: ignore[misc]
            [1, *range(10, 201, 10)],
        )
        result.curves[f"calls, {way}, measured"] = measured(seen, like, "commands")
        result.curves[f"losing calls, {way}, measured"] = measured(
            seen, like, "losing calls a due time"
        )
    for quantile in (0.5, 0.99):
        result.curves[f"first, p{100 * quantile:g}"] = _along(
            lambda n, q=quantile: (  # type: ignore[misc]
                1000 * replace(ten_a_second, instances=n).first_quantile(q)
            ),
            _ALONG[2:],
        )
    for instances, jobs in ((10, 100), (100, 1_000), (1_000, 1_000)):
        name = f"at once: {instances} instances, {jobs} jobs"
        result.add(name, "Redis", [instances * jobs * costs.cpu_us.ask / 1e6], "s")
    return result


def largest_fleet(like: Fleet, costs: Measured) -> int:
    """The most instances that leave Redis half a core; 0: not even one does."""
    low, high = 0, 1_000_000
    while low < high:
        middle = (low + high + 1) // 2
        if costs.load(replace(like, instances=middle)) <= ENOUGH:
            low = middle
        else:
            high = middle - 1
    return low


def measured(result: Result, like: Fleet, quantity: str) -> list[tuple[float, float]]:
    """What was counted of fleets that differ from `like` in their size alone."""
    points = []
    for name, figures in result.rows.items():
        number = name.partition(" ")[0]
        if number.isdecimal() and name == replace(like, instances=int(number)).title:
            points.append((float(number), figures[quantity].median))
    return points


def _row(result: Result, name: str, fleet: Fleet, costs: Measured) -> None:
    result.add(name, "commands", [fleet.calls], "/s")
    result.add(name, "asks and looks", [fleet.asks + fleet.looks], "/s")
    moved = fleet.cost(costs.bytes_in) + fleet.cost(costs.bytes_out)
    result.add(name, "bandwidth", [moved * 8 / 1e6], "Mbit/s")
    result.add(name, "Redis", [100 * costs.load(fleet)], "%")
    result.add(name, "losers a winner", [fleet.losers], "")
    result.add(name, "losing calls a due time", [fleet.losing_calls_each], "")
    result.add(name, "first p99", [1000 * fleet.first_quantile(0.99)], "ms")


def _along(
    value: Callable[[int], float], instances: Iterable[int] = _ALONG
) -> list[tuple[float, float]]:
    return [(float(n), value(n)) for n in instances]
