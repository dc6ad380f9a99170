"""How many runs a second one instance gets through: `python -m benchmarks.throughput`.

Ten thousand jobs that do nothing come due at once; the time until all of them have run and are
recorded is compared with a loop that does the same without the library: a batched claim, a
greenlet each, a batched finish with a history. Both under the conditions that a user has: a
patched process, a real Redis, and for the library a Flask application with a fresh application
context a run, INFO logging to a handler that drops it, history and lease. Each measurement is a
process of its own; the two take turns, and the ratio is that of their medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from tests.support.servers import RedisServer

JOBS = 10_000
REPEATS = 5
BATCH = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--only", choices=MEASURES, help="one measurement, in this process")
    parser.add_argument("--port", type=int)
    chosen = parser.parse_args()
    if chosen.only:
        print(json.dumps(MEASURES[chosen.only](chosen.port, chosen.jobs)))
        return
    rates: dict[str, list[float]] = {name: [] for name in MEASURES}
    with RedisServer() as server:
        for _ in range(chosen.repeats):
            for name, found in rates.items():
                with server.client() as client:
                    client.flushall()
                found.append(chosen.jobs / _in_a_process(name, server.port, chosen.jobs))
    limit = statistics.median(rates["limit"])
    print(f"{'':10} {'runs/s':>8} {'spread':>8} {'ratio':>6}   {chosen.jobs} jobs due at once")
    for name, found in rates.items():
        median = statistics.median(found)
        print(f"{name:10} {median:8.0f} {max(found) - min(found):8.0f} {median / limit:6.2f}")


def _in_a_process(name: str, port: int, jobs: int) -> float:
    command = [sys.executable, "-m", "benchmarks.throughput", "--only", name]
    command += ["--port", str(port), "--jobs", str(jobs)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    return float(json.loads(told.stdout.splitlines()[-1]))


def library(port: int, jobs: int) -> float:
    """Seconds for one run of each job, by one started instance."""
    from gevent import monkey

    monkey.patch_all()
    import logging

    import gevent
    from flask import Flask

    from jobrunner import JobRunner, every

    logging.basicConfig(level=logging.INFO, handlers=[logging.NullHandler()])
    app = Flask("bench")
    started = time.time()
    shift = 0.0
    runner = JobRunner(
        redis_url=f"redis://127.0.0.1:{port}/0",
        clock=lambda: started + shift,
        max_concurrent_runs=jobs,
        mode="greenlet",
    )
    done = 0

    def nothing(ctx: object) -> None:
        nonlocal done
        done += 1

    for number in range(jobs):
        runner.job(every(hours=1), name=f"job {number}")(nothing)
    runner.init_app(app)
    runner.start(app)
    instance = app.extensions["jobrunner"].instance()

    def all_recorded(rounds: int) -> bool:
        return done == rounds * jobs and not instance.executor.active()

    # The first round is not measured: it announces the jobs and learns about each.
    while not all_recorded(1):
        gevent.sleep(0.01)
    before = time.perf_counter()
    shift = 3601.0
    instance.look_at("job 0")  # wakes the loop
    while not all_recorded(2):
        gevent.sleep(0.001)
    seconds = time.perf_counter() - before
    runner.stop(app=app)
    return seconds


CLAIM = """
for i = 1, #KEYS, 4 do
  local run = ARGV[1 + (i + 3) / 4]
  redis.call('GET', KEYS[i])
  redis.call('HSET', KEYS[i + 1], 'run', run, 'last_ms', ARGV[1], 'token', ARGV[1])
  redis.call('SET', KEYS[i], ARGV[1])
  redis.call('SET', KEYS[i + 2], run, 'PX', 30000)
end
return #KEYS
"""
FINISH = """
for i = 1, #KEYS, 4 do
  local run = ARGV[1 + (i + 3) / 4]
  if redis.call('HGET', KEYS[i + 1], 'run') == run then
    redis.call('HDEL', KEYS[i + 1], 'run')
    redis.call('DEL', KEYS[i + 2])
    redis.call('XADD', KEYS[i + 3], 'MAXLEN', 100, '*', 'run', run, 'outcome', 'succeeded',
      'started_ms', ARGV[1], 'finished_ms', ARGV[1])
  end
end
return #KEYS
"""


def limit(port: int, jobs: int) -> float:
    """Seconds for the same without the library."""
    from gevent import monkey

    monkey.patch_all()
    import gevent
    import redis

    client = redis.Redis(port=port)
    claim, finish = client.register_script(CLAIM), client.register_script(FINISH)
    keys = [
        [f"{{limit}}:{number}:{part}" for part in ("k", "state", "lease", "history")]
        for number in range(jobs)
    ]
    ended: list[int] = []

    def run(number: int) -> None:
        ended.append(number)

    def work() -> None:
        for start in range(0, jobs, BATCH):
            numbers = range(start, min(start + BATCH, jobs))
            now = int(time.time() * 1000)
            batch = [key for number in numbers for key in keys[number]]
            claim(keys=batch, args=[now, *(f"run-{number}" for number in numbers)])
            for number in numbers:
                gevent.spawn(run, number)
            gevent.sleep(0)
            over, ended[:] = list(ended), []
            batch = [key for number in over for key in keys[number]]
            finish(keys=batch, args=[now, *(f"run-{number}" for number in over)])

    work()  # as for the library: the first round is not measured
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


MEASURES: dict[str, Callable[[int, int], float]] = {"limit": limit, "library": library}


if __name__ == "__main__":
    main()
