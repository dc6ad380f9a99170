"""What an idle instance takes of a core, by the number of its jobs."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.fresh import probed, together
from benchmarks.rested import rested
from benchmarks.results import Result
from tests.support.servers import RedisServer

MOST_PER_CENT = 1.0
SIZES = (100, 1_000, 10_000, 100_000)


def run(full: bool) -> Result:
    watch, repeats = (12, 5) if full else (5, 1)
    result = Result(
        "idle_cpu",
        f"The CPU time of a started instance none of whose jobs is due, over {watch} seconds, as "
        f"a share of a core: patched by gevent, a check a second, RESYNC_INTERVAL 600 s. The "
        f"announcement of its jobs and the first look at each are over by then. Beside it a "
        f"greenlet that sends one command a second, and APScheduler, which keeps its jobs in its "
        f"own memory and asks nobody.",
    )
    found: dict[str, list[dict[str, float]]] = {}
    with RedisServer() as server:
        for _ in range(repeats):
            contenders: dict[str, Callable[[], dict[str, float]]] = {
                f"{jobs:,} jobs": _ours(server, database, jobs, watch)
                for database, jobs in enumerate(SIZES)
            }
            contenders["bare"] = lambda: probed("bare_idle", server.url, watch)
            contenders["peer"] = lambda: probed("apscheduler_idle", 10_000, watch, ours=False)
            told = together(list(contenders.values()), len(contenders))
            for name, one in zip(contenders, told, strict=True):
                found.setdefault(name, []).append(one)

    def add(contender: str, quantity: str, name: str, what: str = "idle") -> float:
        shares = [100 * one[what] for one in found[name]]
        return result.add(contender, quantity, shares, "%").median

    limit = add("one command a second", "idle", "bare")
    for jobs in SIZES:
        most = add("library", f"{jobs:,} jobs", f"{jobs:,} jobs")
        without = add("library", f"{jobs:,}, no rolling look", f"{jobs:,} jobs", "without_looks")
        result.curves.setdefault("library", []).append((float(jobs), most))
        result.curves.setdefault("no rolling look", []).append((float(jobs), without))
    add("apscheduler, memory", "10,000 jobs", "peer")
    result.notes.append(
        f"With {SIZES[-1]:,} jobs {most / limit:.1f} times the greenlet that sends one command a "
        f"second; {1 - without / most:.0%} of it is the rolling look."
    )
    result.goal(
        f"at {SIZES[-1]:,} idle jobs at most {MOST_PER_CENT:g} % of a core: {most:.2f} %",
        most <= MOST_PER_CENT,
    )
    return result


def _ours(
    server: RedisServer, database: int, jobs: int, watch: int
) -> Callable[[], dict[str, float]]:
    def measure() -> dict[str, float]:
        with server.client(database) as client:
            rested(client, jobs)
        found: dict[str, float] = probed("instance", server.url_for(database), jobs, "every", watch)
        return found

    return measure
