"""What an idle tick costs: client commands and CPU, by the number of registered jobs.

Run it as `python -m benchmarks.tick`. It starts a Redis of its own, registers jobs none of which
is due, and ticks as the loop does, with the time between two ticks and RESYNC_INTERVAL chosen so
that each tick owes a rolling look at 17 jobs. CPU is this process's, ratios are to the smallest.
"""

from __future__ import annotations

import statistics
import sys
import time

from jobrunner import JobRunner, every
from tests.support.servers import RedisServer

LOOKS = 17
TICKS = 300
REPEATS = 5


def measure(server: RedisServer, jobs: int) -> tuple[float, float, float]:
    """Commands a tick, microseconds of CPU a tick, and its spread over the repeats."""
    client = server.client()
    client.flushall()
    runner = JobRunner(redis=client, namespace="bench", resync_interval=60, history=10)
    for number in range(jobs):
        runner.job(every(days=1), name=f"job {number}")(lambda ctx: None)
    # All have just run somewhere else, so none is due.
    now = int(client.time()[0])
    client.mset({f"{{bench}}:job:job {number}": now for number in range(jobs)})
    runner.tick()
    scheduler = runner._state(None).instance().scheduler
    costs = []
    before = client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
    for _ in range(REPEATS):
        begun = time.process_time()
        for _ in range(TICKS):
            scheduler._looks_owed = LOOKS  # a fixed slice, whatever the time that passed
            scheduler._last_tick = None
            scheduler.tick()
        costs.append((time.process_time() - begun) / TICKS * 1e6)
    calls = client.info("commandstats")["cmdstat_evalsha"]["calls"] - before
    return calls / (TICKS * REPEATS), statistics.median(costs), max(costs) - min(costs)


def main() -> None:
    with RedisServer() as server:
        first = None
        print(f"{'jobs':>8} {'commands/tick':>14} {'CPU us/tick':>12} {'spread':>8} {'ratio':>6}")
        for jobs in (100, 1_000, 10_000):
            commands, cost, spread = measure(server, jobs)
            first = first or cost
            print(f"{jobs:8} {commands:14.3f} {cost:12.1f} {spread:8.1f} {cost / first:6.2f}")


if __name__ == "__main__":
    sys.exit(main())
