"""How soon another instance goes on: after a worker was killed, and after one was ended."""

import signal
import time
from collections.abc import Callable
from typing import Any

from tests.faults.campaign import percentiles
from tests.faults.fleet import Fleet, Place
from tests.faults.jobs import Work
from tests.faults.moments import moment_ms, wall_offset_ms
from tests.faults.servers import FaultyRedis
from tests.faults.witness import Seen
from tests.support.servers import RedisServer
from tests.support.wait import wait_for

#: A run of each is always on, in one worker or the other.
ENDLESS = [Work(f"endless-{number}", 0.5, 600, recover=True) for number in range(3)]


def after_kill(redis: FaultyRedis, witness: RedisServer, number: int) -> dict[str, Any]:
    """From the kill of a worker to the repeated start of each of its runs, in milliseconds."""
    return percentiles(_takeovers(redis, witness, number, _kill))


def after_term(redis: FaultyRedis, witness: RedisServer, number: int) -> dict[str, Any]:
    """From the end of an interrupted run to the next start of its job, which is overdue."""
    return percentiles(_takeovers(redis, witness, number, _end))


def _kill(place: Place) -> None:
    place.send(signal.SIGKILL)


def _end(place: Place) -> None:
    place.send(signal.SIGTERM)


def _takeovers(
    redis: FaultyRedis, witness: RedisServer, number: int, how: Callable[[Place], None]
) -> list[float]:
    with redis.client() as client:
        client.flushall()
    taken: list[float] = []
    with Fleet(redis, witness, ENDLESS, places=3, drain_timeout=0) as fleet:
        while len(taken) < number:
            running = _one_run_each(fleet)
            place = fleet.place_of(next(iter(running.values())).pid)
            assert place is not None
            hit = [run for run in running.values() if run.pid == place.pid]
            if how is _end:
                # Else it is the schedule that lets the next start wait, and not the takeover.
                due = max(_due_again(fleet, run) for run in hit)
                wait_for(lambda due=due: moment_ms() > due, message="overdue jobs")
            # Not always at the same moment of a lease and of a check.
            time.sleep((len(taken) * 0.137) % 1)
            at = moment_ms()
            how(place)
            place.fill()
            for run in hit:
                again = _next_start(fleet, run)
                # After TERM the run itself said when it ended.
                since = at if how is _kill else _ended(fleet, run)
                taken.append(again - since)
            wait_for(lambda p=place: p.is_ready, message=fleet.log)
    return taken


def _one_run_each(fleet: Fleet) -> dict[str, Seen]:
    def newest() -> dict[str, Seen]:
        found: dict[str, Seen] = {}
        for run in sorted(fleet.witness.runs(), key=lambda run: run.token):
            found[run.job] = run
        alive = [run for run in found.values() if fleet.place_of(run.pid) and run.ended is None]
        return found if len(alive) == len(fleet.works) else {}

    return wait_for(newest, message=fleet.log)


def _next_start(fleet: Fleet, run: Seen) -> float:
    def later() -> list[Seen]:
        runs = fleet.witness.runs()
        return [r for r in runs if r.job == run.job and r.token > run.token]

    found = wait_for(later, message=fleet.log)
    return min(r.started_ms for r in found) - wall_offset_ms()


def _due_again(fleet: Fleet, run: Seen) -> float:
    return run.started_ms + fleet.works[run.job].interval_ms - wall_offset_ms()


def _ended(fleet: Fleet, run: Seen) -> float:
    def end() -> float | None:
        return {r.run_id: r.ended for r in fleet.witness.runs()}[run.run_id]

    ended = wait_for(end, message=fleet.log)
    assert ended is not None
    return ended
