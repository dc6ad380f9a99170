"""The fleet at full size: `python -m benchmarks.fleet`, on a machine that does nothing else.

Four gunicorn gevent workers, twenty jobs every two seconds, a minute, a real Redis; then the same
with a monkey-patched master that preloads the application; then Redis stopped for eight seconds
under web load. Prints what it saw, and ends with an error if a promise was broken.
"""

import argparse
import sys

from tests.cluster.objections import least_slack_ms, runs_per_worker
from tests.cluster.observing import observe
from tests.cluster.outage import outage
from tests.cluster.records import Records
from tests.cluster.serving import Fleet, job
from tests.support.servers import RedisServer

#: The defaults of the library, and not the short leases of the tests.
SETTINGS = {"LEASE": 30, "CHECK_INTERVAL": 1, "DRAIN_TIMEOUT": 25}

#: How many runs there must be, of those that a bare timer makes possible.
LEAST_SHARE = 0.97

#: Seconds within which jobs must be claimed again when Redis is back.
LONGEST_RETURN = 2.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--interval", type=float, default=2.0, help="of each job, in seconds")
    parser.add_argument("--seconds", type=float, default=60.0, help="to watch a fleet for")
    parser.add_argument("--outage", type=float, default=8.0, help="of Redis, in seconds")
    asked = parser.parse_args()
    broken = [
        *_watch(asked, preload=False),
        *_watch(asked, preload=True),
        *_stop_redis(asked),
    ]
    print("\nevery promise was kept" if not broken else f"\nbroken: {broken}")
    return 1 if broken else 0


def _watch(asked: argparse.Namespace, *, preload: bool) -> list[str]:
    print(f"\n{'a patched master preloads' if preload else 'each worker loads the application'}")
    with RedisServer() as redis, RedisServer() as witness, Records(witness.url) as records:
        with _fleet(asked, redis, records, preload) as fleet:
            seen = observe(fleet, asked.seconds)
        lateness = records.mean_lateness()
    print(f"  starts      {seen.counted} of {seen.possible:.1f} possible: {seen.share:.2%}")
    print(f"  bare timer  {lateness * 1000:.2f} ms late")
    slack = least_slack_ms(seen.runs, seen.interval_ms)
    print(f"  least gap   interval + {slack} ms")
    print(f"  per worker  {sorted(runs_per_worker(seen.runs).values())}")
    objections = seen.objections(LEAST_SHARE)
    print(f"  objections  {objections or 'none'}")
    return objections


def _stop_redis(asked: argparse.Namespace) -> list[str]:
    print(f"\nRedis stopped for {asked.outage:g} s under load")
    with (
        RedisServer() as redis,
        RedisServer() as witness,
        Records(witness.url) as records,
        _fleet(asked, redis, records, preload=False) as fleet,
    ):
        for name in fleet.interval_ms:
            records.wait_for_runs(name)
        seen = outage(fleet, redis, asked.outage)
        once_each = dict.fromkeys(fleet.pids(), 1)
    print(f"  answers     {dict(seen.statuses)}")
    print(f"  runs begun  {len(seen.begun)}")
    print(f"  lines       went {list(seen.went.values())}, came {list(seen.came.values())}")
    print(f"  claimed     {seen.claimed_after:.2f} s after its return")
    kept = {
        "every request was answered 200": set(seen.statuses) == {200},
        "no run began": not seen.begun,
        "one line an instance when it went": seen.went == once_each,
        "one line an instance when it came back": seen.came == once_each,
        f"claims within {LONGEST_RETURN:g} s": seen.claimed_after <= LONGEST_RETURN,
    }
    return [f"not: {promise}" for promise, is_kept in kept.items() if not is_kept]


def _fleet(asked: argparse.Namespace, redis: RedisServer, records: Records, preload: bool) -> Fleet:
    jobs = [job(f"job-{number}", interval=asked.interval) for number in range(asked.jobs)]
    return Fleet(
        redis,
        records,
        jobs,
        workers=asked.workers,
        preload=preload,
        timer=asked.interval,
        **SETTINGS,
    )


if __name__ == "__main__":
    sys.exit(main())
