"""Redis stopped for a while under web load, and what the fleet did meanwhile."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.cluster.load import Load
from tests.cluster.records import RecordedRun
from tests.cluster.serving import Fleet
from tests.support.servers import RedisServer
from tests.support.wait import wait_for

#: Milliseconds after Redis stopped in which a run that it had granted before may yet begin.
GRANTED_BEFORE = 500


@dataclass(frozen=True)
class Outage:
    """What was seen of it."""

    #: How often each status was answered while Redis was away.
    statuses: Counter[int]
    #: Runs that began while it was away.
    begun: Sequence[RecordedRun]
    #: Seconds from its return to the first claim.
    claimed_after: float
    #: How many lines each instance wrote: that Redis went, that it came back.
    went: Counter[int]
    came: Counter[int]


def outage(fleet: Fleet, redis: RedisServer, seconds: float) -> Outage:
    """Stop Redis for `seconds`, under load, and start it again, with its data."""
    records = fleet.records
    with Load(fleet) as load:
        wait_for(lambda: load.statuses[200] > 10, message="answers before the outage")
        before = load.statuses.copy()
        redis.stop()
        gone, _ = records.now()
        wait_for(lambda: records.now()[0] - gone > seconds * 1000, timeout=seconds + 30, every=0.1)
        back, _ = records.now()
        statuses = load.statuses - before
        redis.start()
        up, _ = records.now()
        first = wait_for(lambda: records.runs(after=(up, 0)), message="a run after the return")[0]
        wait_for(
            lambda: len(_lines_by_pid(fleet, " is back after ")) == len(set(fleet.pids())),
            message="the line of each instance that Redis is back",
        )
    return Outage(
        statuses=statuses,
        begun=[run for run in records.runs() if _is_of_its_own(run, gone, back)],
        claimed_after=(first.started_ms - up) / 1000,
        went=_lines_by_pid(fleet, "Could not check and run jobs: "),
        came=_lines_by_pid(fleet, " is back after "),
    )


def _is_of_its_own(run: RecordedRun, gone: int, back: int) -> bool:
    """Whether the run began while Redis was away, by no grant of Redis."""
    granted = run.started_ms <= gone and run.begun[0] <= gone + GRANTED_BEFORE
    return gone < run.begun[0] < back and not granted


def _lines_by_pid(fleet: Fleet, text: str) -> Counter[int]:
    return Counter(int(line.split()[0]) for line in fleet.lines(text))
