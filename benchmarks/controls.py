"""How soon a control from another process has its effect: `python -m benchmarks.controls`.

Four gunicorn gevent workers that have nothing else to do, so that each sleeps its whole check
interval. Every figure is taken by the clock of the fleet's Redis: from the entry of the control
stream to the start of the run, or to the entry of the history that is written when a lease is
released. It ends with an error if one is later than the check interval and 100 ms.
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

from jobrunner import JobRunner, cron, every
from tests.cluster.controlling import Controlled
from tests.cluster.records import Records
from tests.support.servers import RedisServer
from tests.support.wait import wait_for

CHECK_INTERVAL = 0.5
SETTINGS = {"CHECK_INTERVAL": CHECK_INTERVAL, "LEASE": 30}
#: Milliseconds within which each control is to have its effect.
LIMIT = CHECK_INTERVAL * 1000 + 100


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=50, help="of each control")
    number = parser.parse_args().number
    print(f"check interval {CHECK_INTERVAL:g} s, limit {LIMIT:g} ms, {number} of each\n")
    print(f"{'':24} {'p50':>6} {'p99':>6} {'max':>6}  ms")
    late, once = _triggers_and_cancels(number)
    late += _pauses(number)
    print(f"\nruns of one request: {once} at most")
    print("all in time" if not late else f"late: {late}")
    return 1 if late or once != 1 else 0


def _triggers_and_cancels(number: int) -> tuple[list[str], int]:
    """What was late, and the most runs that one request had."""
    with (
        RedisServer() as redis,
        RedisServer() as witness,
        Records(witness.url) as records,
        Controlled(redis, records, **SETTINGS) as fleet,
    ):
        controls = Controls(fleet, redis)
        late = [
            *_shown("trigger to start", [controls.trigger() for _ in range(number)]),
            *_shown("cancel to released", [controls.cancel("endless") for _ in range(number)]),
            *_shown("cancel in a thread", [controls.cancel("native") for _ in range(number)]),
        ]
        return late, controls.runs_of_requests()


def _pauses(number: int) -> list[str]:
    """What was late."""
    with (
        RedisServer() as redis,
        RedisServer() as witness,
        Records(witness.url) as records,
        Controlled(redis, records, beats=["beat"], **SETTINGS) as fleet,
    ):
        controls = Controls(fleet, redis)
        pairs = [controls.pause_and_resume() for _ in range(number)]
    return [
        *_shown("pause to the last start", [pause for pause, _ in pairs]),
        *_shown("resume to the next start", [resume for _, resume in pairs]),
    ]


class Controls:
    """Controls from this process, which is none of the fleet's, each at a moment by chance."""

    def __init__(self, fleet: Controlled, redis: RedisServer) -> None:
        self._fleet = fleet
        self._client: Any = redis.client()
        self._runner = JobRunner(redis_url=redis.url, namespace="fleet")
        for name in ("quick", "endless", "native"):
            self._runner.job(cron("0 0 1 1 *"), name=name)(lambda ctx: None)
        self._runner.job(every(milliseconds=200), name="beat")(lambda ctx: None)

    def trigger(self) -> float:
        """Milliseconds from the request to the start of its run."""
        return self._started("quick")

    def cancel(self, name: str) -> float:
        """Milliseconds from the word to stop until the job is free again."""
        self._started(name)
        _at_a_moment_by_chance()
        run_id = self._runner.cancel(name)
        written_ms = self._fleet.written_ms()
        outcome, released_ms = wait_for(lambda: self._end_of(name, run_id), message="its end")
        if outcome != "cancelled" or self._fleet.lease_of(name):
            raise AssertionError(f"run {run_id} of {name} ended as {outcome}, not cancelled")
        return float(released_ms - written_ms)

    def pause_and_resume(self) -> tuple[float, float]:
        """Milliseconds from a pause to the last start after it (0: there was none); from the end
        of the pause to the next start.
        """
        self._fleet.records.wait_for_runs("beat", 2, after=self._fleet.records.now())
        _at_a_moment_by_chance()
        self._runner.pause("beat")
        paused_ms = self._fleet.written_ms()
        time.sleep(2 * CHECK_INTERVAL + random.uniform(0, CHECK_INTERVAL))
        last_ms = max(run.started_ms for run in self._fleet.records.runs("beat"))
        self._runner.resume("beat")
        resumed_ms = self._fleet.written_ms()
        starts = wait_for(
            lambda: [
                run.started_ms
                for run in self._fleet.records.runs("beat")
                if run.started_ms > last_ms
            ],
            message="a run after the pause",
        )
        return float(max(0, last_ms - paused_ms)), float(min(starts) - resumed_ms)

    def runs_of_requests(self) -> int:
        """How many runs the request had that has most."""
        told = [entry.request for entry in self._runner.history("quick", 1000) if entry.request]
        return max(map(told.count, told))

    def _started(self, name: str) -> float:
        """Ask for a run; the milliseconds until it has started."""
        _at_a_moment_by_chance()
        known = {run.run_id for run in self._fleet.records.runs(name)}
        self._runner.trigger(name)
        written_ms = self._fleet.written_ms()
        (run,) = wait_for(
            lambda: [r for r in self._fleet.records.runs(name) if r.run_id not in known],
            message=f"a run of {name}",
        )
        if name == "quick":
            wait_for(lambda: self._end_of(name, run.run_id), message="its end")
        return float(run.started_ms - written_ms)

    def _end_of(self, name: str, run_id: str) -> tuple[str, int] | None:
        """The outcome of a run, and when Redis had it: in the step that released the lease."""
        for moment, entry in self._client.xrevrange(f"{{fleet}}:job:{name}:history", count=5):
            if entry[b"run"].decode() == run_id:
                return entry[b"outcome"].decode(), int(moment.split(b"-")[0])
        return None


def _at_a_moment_by_chance() -> None:
    time.sleep(random.uniform(0, CHECK_INTERVAL))


def _shown(what: str, taken: Sequence[float]) -> list[str]:
    """Print the figures; what is late."""
    p50, p99 = statistics.median(taken), statistics.quantiles(taken, n=100, method="inclusive")[98]
    print(f"{what:24} {p50:6.0f} {p99:6.0f} {max(taken):6.0f}", flush=True)
    return [f"{what}: {ms:.0f} ms" for ms in taken if ms > LIMIT]


if __name__ == "__main__":
    sys.exit(main())
