"""What the guard counts the instructions of, without a garbage collector:

    python -m benchmarks.probes.counted keep URL FILE KIND JOBS ROUNDS
    python -m benchmarks.probes.counted give FILE KIND JOBS ROUNDS

The first keeps the answers of a Redis in a file, and the second, which is counted, gives them
again (see `benchmarks.canned`), in as many rounds or fewer. KIND: ticks, none of whose jobs is due,
each with a rolling look at 17; or runs, where all jobs come due at once, in each round again. What
comes before the first round costs the same whatever the number of rounds.
"""

import sys

if sys.argv[1] == "give":
    from gevent import monkey

    monkey.patch_all()

import gc
import itertools
import logging
import pickle
import secrets
from pathlib import Path
from typing import Any

import redis
from flask import Flask

from benchmarks.canned import giving, keeping
from jobrunner import JobRunner, every
from jobrunner.engine import sizes
from jobrunner.engine.busy import turn_of_the_loop

LOOKS = 17
#: Seconds between the due times of one job.
INTERVAL = 10
#: When it all happens, in Unix seconds.
BEGIN = 1_700_000_000


def keep(url: str, file: str, kind: str, jobs: int, rounds: int) -> None:
    with redis.Redis.from_url(url) as plain:
        plain.flushdb()
        plain.mset({f"{{bench}}:job:job-{number}": BEGIN for number in range(jobs)})
    answers: list[Any] = []
    go_round(keeping(url, answers), kind, jobs, rounds)
    Path(file).write_bytes(pickle.dumps(answers))


def give(file: str, kind: str, jobs: int, rounds: int) -> None:
    answers = pickle.loads(Path(file).read_bytes())
    go_round(giving(iter(answers)), kind, jobs, rounds)


def go_round(client: redis.Redis, kind: str, jobs: int, rounds: int) -> None:
    numbers = itertools.count()
    sizes._LONG = float("inf")  # of calls: under valgrind each one takes long
    # The same ids each time.
    secrets.token_hex = lambda size: "".join(f"{next(numbers):024x}" for _ in range(size // 12))
    gc.disable()
    logging.basicConfig(level=logging.INFO, handlers=[logging.NullHandler()])
    now, ran = BEGIN, 0

    def count(ctx: object) -> None:
        nonlocal ran
        ran += 1

    runner = JobRunner(redis=client, clock=lambda: now, max_concurrent_runs=jobs)
    for number in range(jobs):
        runner.job(every(seconds=INTERVAL), name=f"job-{number}")(count)
    app = Flask("bench")
    runner.init_app(app)
    instance = app.extensions["jobrunner"].instance()
    scheduler = instance.scheduler
    scheduler.tick()  # announces the jobs and learns of each
    for _ in range(rounds):
        if kind == "runs":
            now += INTERVAL + 1
            scheduler.tick()
            while instance.executor.active():
                turn_of_the_loop()
        else:
            scheduler._look._owed = LOOKS  # a fixed slice, whatever the time that passed
            scheduler._look._last = None
            scheduler.tick()
    expected = rounds * jobs if kind == "runs" else 0
    if ran != expected:
        sys.exit(f"{ran} runs instead of {expected}")
    print(ran)


if __name__ == "__main__":
    if sys.argv[1] == "keep":
        keep(*sys.argv[2:5], int(sys.argv[5]), int(sys.argv[6]))
    else:
        give(*sys.argv[2:4], int(sys.argv[4]), int(sys.argv[5]))
