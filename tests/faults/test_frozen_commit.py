"""A run that is frozen in its transaction and thawed after its lease: its commit is refused.

Real processes, a real PostgreSQL, and a job that does not let itself be stopped. Its successor has
opened its session by then, and has committed or not; Redis knows of both runs, or has lost all that
it knew of the first.
"""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from jobrunner import Outcome
from tests.faults.effects import Effects
from tests.faults.fleet import Fleet, Place
from tests.faults.jobs import Work
from tests.faults.moments import moment_ms
from tests.faults.servers import FaultyRedis
from tests.faults.witness import Seen
from tests.support.servers import RedisServer
from tests.support.wait import wait_for

pytestmark = pytest.mark.cluster

#: Seconds; the runs of the job follow each other because the first of them is abandoned.
LEASE, INTERVAL = 2.0, 600

SUPERSEDED = "ERROR Job transfer stopped: a newer run has superseded it"


class Story:
    """Two processes and one job, of which a run in each has an open transaction."""

    def __init__(self, fleet: Fleet, effects: Effects) -> None:
        self._fleet = fleet
        self._effects = effects

    def begin(self, *, flush: bool) -> None:
        """Freeze the first run, let its lease pass, and let the other process take over."""
        self.older = self._opened(1)
        self.frozen = self._place_of(self.older)
        self.frozen.send(signal.SIGSTOP)
        since = moment_ms()
        wait_for(lambda: _is_stopped(self.older.pid), message="a process that stands still")
        if flush:
            self._fleet.redis.flush()
        self.newer = self._opened(2)
        wait_for(lambda: moment_ms() - since > 1.5 * LEASE * 1000, message="the end of a lease")
        assert self.newer.pid != self.older.pid
        assert self.newer.token > self.older.token
        assert [] == self._effects.committed()

    def let_the_newer_commit(self) -> None:
        self._fleet.witness.give_leave(self.newer.run_id, "commit")
        wait_for(lambda: self.newer.token in self._effects.committed(), message=self._fleet.log)

    def thaw(self) -> set[tuple[str, ...]]:
        """Let the older run go on to its end, and its process end after it, which records that.

        Returns who held leases meanwhile.
        """
        self._fleet.witness.give_leave(self.older.run_id, "commit")
        self._fleet.witness.give_leave(self.older.run_id, "end")
        held: set[tuple[str, ...]] = set()

        def once(true: Callable[[], bool]) -> bool:
            held.add(tuple(self._fleet.leases().values()))
            return true()

        self.frozen.send(signal.SIGCONT)
        wait_for(lambda: once(lambda: bool(self.ending(self.older))), message=self._fleet.log)
        self.frozen.send(signal.SIGTERM)
        ended = self.frozen.process
        wait_for(lambda: once(lambda: ended.poll() is not None), message=self._fleet.log)
        assert 0 == ended.returncode, self._fleet.log()
        return held

    def end(self) -> None:
        self._fleet.witness.give_leave(self.newer.run_id, "end")
        wait_for(lambda: self.ending(self.newer), message=self._fleet.log)
        wait_for(lambda: self.newer.run_id in self.outcomes(), message=self._fleet.log)

    def ending(self, run: Seen) -> str | None:
        return {seen.run_id: seen.ending for seen in self._fleet.witness.runs()}[run.run_id]

    def outcomes(self) -> dict[str, Outcome]:
        return {entry.run_id: entry.outcome for entry in self._fleet.history()["transfer"]}

    def _opened(self, number: int) -> Seen:
        """The run that was the `number`th to write in its session."""

        def found() -> list[Seen]:
            tokens = self._effects.opened()[number - 1 :]
            return [run for run in self._fleet.witness.runs() if run.token in tokens]

        (run,) = wait_for(found, message=self._fleet.log)
        return run

    def _place_of(self, run: Seen) -> Place:
        place = self._fleet.place_of(run.pid)
        assert place is not None
        return place


def _is_stopped(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "T"


@pytest.fixture
def effects(postgres_url: str) -> Effects:
    effects = Effects(postgres_url)
    effects.prepare()
    return effects


def fleet_of(redis: FaultyRedis, witness: RedisServer, effects: Effects, *, fenced: bool) -> Fleet:
    work = Work("transfer", INTERVAL, 0, recover=True, kind="obeys", fenced=fenced)
    return Fleet(redis, witness, [work], places=2, database=effects.url, lease=LEASE)


@pytest.mark.parametrize("flush", [False, True], ids=["data kept", "data lost"])
@pytest.mark.parametrize("committed", [True, False], ids=["committed", "uncommitted"])
def test_a_frozen_run_does_not_commit_beside_its_successor(
    faulty_redis: FaultyRedis,
    witness_redis: RedisServer,
    effects: Effects,
    committed: bool,
    flush: bool,
) -> None:
    with fleet_of(faulty_redis, witness_redis, effects, fenced=True) as fleet:
        story = Story(fleet, effects)
        story.begin(flush=flush)
        if committed:
            story.let_the_newer_commit()
        held = story.thaw()
        assert "StaleRunError" == story.ending(story.older)
        assert {(story.newer.run_id,)} == held
        assert ([story.newer.token] if committed else []) == effects.committed()
        if not committed:
            story.let_the_newer_commit()
        story.end()
        assert "returned" == story.ending(story.newer)
        assert [story.newer.token] == effects.committed()
        outcomes = {story.newer.run_id: Outcome.SUCCEEDED}
        if not flush:
            outcomes[story.older.run_id] = Outcome.STALE
        assert outcomes == story.outcomes()
        assert f"{story.older.pid} {SUPERSEDED}" in fleet.log().splitlines()


@pytest.mark.parametrize("committed", [True, False], ids=["committed", "uncommitted"])
def test_without_a_fence_it_does(
    faulty_redis: FaultyRedis, witness_redis: RedisServer, effects: Effects, committed: bool
) -> None:
    """So that the test above proves something."""
    with fleet_of(faulty_redis, witness_redis, effects, fenced=False) as fleet:
        story = Story(fleet, effects)
        story.begin(flush=False)
        if committed:
            story.let_the_newer_commit()
        story.thaw()
        assert story.older.token in effects.committed()
