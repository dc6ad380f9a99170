"""What the runs of a fleet record in a second Redis, which nobody stops: its own witness.

The second Redis orders the records: whichever of two it took first came first, whatever the
clocks of the workers and of the fleet's own Redis say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobrunner import Run
from tests.support.wait import wait_for

RECORDS, LATENESS = "records", "lateness"

#: A key that lets the runs end which wait for it.
OPEN = "open"


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One run, as its own code told it."""

    job: str
    run_id: str
    token: int
    pid: int
    #: `ctx.run.started_at` in milliseconds: the clock of the fleet's Redis.
    started_ms: int
    #: When its first line ran and when its last did, by the second Redis: milliseconds, number.
    begun: tuple[int, int]
    ended: tuple[int, int] | None = None
    #: "returned", or the name of the exception that left it.
    ending: str | None = None


class Records:
    """The records at `url`; written in the workers, read in the tests."""

    def __init__(self, url: str) -> None:
        self.url = url

    @cached_property
    def client(self) -> redis.Redis:
        """Made on first use: after the fork, and after monkey patching."""
        # Sent once: a record that was sent again would be an event that never happened.
        return redis.Redis.from_url(
            self.url, retry=Retry(NoBackoff(), 0), decode_responses=True, socket_timeout=10
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()

    def begun(self, run: Run, pid: int) -> None:
        self.client.xadd(
            RECORDS,
            {
                "run": run.id,
                "job": run.job,
                "token": run.token,
                "pid": pid,
                "started_ms": round(run.started_at * 1000),
            },
        )

    def ended(self, run: Run, ending: str) -> None:
        self.client.xadd(RECORDS, {"run": run.id, "ending": ending})

    def timer_was_late(self, seconds: float) -> None:
        """A bare timer of a worker came that much later than asked for."""
        with self.client.pipeline() as pipeline:
            pipeline.hincrby(LATENESS, "times", 1).hincrbyfloat(LATENESS, "seconds", seconds)
            pipeline.execute()

    def mean_lateness(self) -> float:
        """Of all bare timers, in seconds."""
        held = self.client.hgetall(LATENESS)
        return float(held["seconds"]) / int(held["times"])

    def now(self) -> tuple[int, int]:
        """The present moment, to compare with when runs began and ended."""
        seconds, micros = self.client.time()
        return seconds * 1000 + micros // 1000, 0

    def wait_for_runs(
        self, job: str, number: int = 1, *, after: tuple[int, int] = (0, 0), timeout: float = 30
    ) -> list[RecordedRun]:
        """The runs of `job` begun `after` it, once there are at least `number`."""

        def enough() -> list[RecordedRun]:
            runs = self.runs(job, after=after)
            return runs if len(runs) >= number else []

        return wait_for(enough, timeout=timeout, message=f"{number} runs of {job}")

    def runs(self, job: str | None = None, *, after: tuple[int, int] = (0, 0)) -> list[RecordedRun]:
        """Of that job, or of all, in the order in which they began; those begun `after` it."""
        begun: dict[str, RecordedRun] = {}
        again: list[RecordedRun] = []
        for moment, fields in self.client.xrange(RECORDS):
            run_id = fields["run"]
            if "job" not in fields:
                # Who empties the records in the middle of a run finds its end alone.
                if run_id in begun:
                    begun[run_id] = _with_end(begun[run_id], _order(moment), fields["ending"])
                continue
            run = _begin(_order(moment), fields)
            # Should never happen, and must not be hidden by the dictionary.
            again += [begun[run_id]] if run_id in begun else []
            begun[run_id] = run
        found = sorted([*begun.values(), *again], key=lambda run: run.begun)
        return [run for run in found if job in (None, run.job) and run.begun > after]


def _order(moment: str) -> tuple[int, int]:
    milliseconds, number = moment.split("-")
    return int(milliseconds), int(number)


def _begin(moment: tuple[int, int], fields: Mapping[str, str]) -> RecordedRun:
    return RecordedRun(
        job=fields["job"],
        run_id=fields["run"],
        token=int(fields["token"]),
        pid=int(fields["pid"]),
        started_ms=int(fields["started_ms"]),
        begun=moment,
    )


def _with_end(run: RecordedRun, moment: tuple[int, int], ending: str) -> RecordedRun:
    return RecordedRun(
        run.job, run.run_id, run.token, run.pid, run.started_ms, run.begun, moment, ending
    )
