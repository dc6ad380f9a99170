"""What a tick claimed and what becomes of it: learnt about once, or when it goes on for long."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import fakeredis
import gevent
import pytest
from gevent.event import Event

from jobrunner import JobContext, JobRunner, every
from jobrunner.engine.agenda import Entry
from jobrunner.job import FunctionJob
from jobrunner.store.answers import Known

from .agendas import MINUTE, NOON, nothing
from .ticking import DUE, LEASE_MS, Fleet


def test_a_run_that_ends_soon_is_learnt_about_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet, learnt = Fleet(1), []
    learn = fleet.scheduler._agenda.learn

    def noted(entry: Entry, known: Known, now_ms: int) -> None:
        learnt.append(known)
        learn(entry, known, now_ms)

    monkeypatch.setattr(fleet.scheduler._agenda, "learn", noted)
    fleet.scheduler.tick()
    over = fleet.known["job 0"] = fleet.known["job 0"]._replace(running=None, lease_left_ms=0)
    fleet.on_over([(fleet.registry.get("job 0"), over)])
    fleet.trust = DUE + 5
    fleet.scheduler.tick()

    assert [over] == learnt


class TestARunThatGoesOn:
    def test_is_asked_about_when_its_job_is_due_again(self) -> None:
        fleet = Fleet(1)
        fleet.scheduler.tick()
        (run,) = fleet.runs

        asked_at = []
        for ms in range(500, 62_000, 500):
            fleet.forget()
            fleet.trust = DUE + ms / 1000
            fleet.scheduler.tick()
            asked_at += [ms] * len(fleet.asked())
        # Where its lease ends at the latest, since it may have died; and at its due time.
        assert LEASE_MS == asked_at[0]
        assert MINUTE + 500 in asked_at
        assert run.id == fleet.known["job 0"].running

    def test_and_not_before_a_check_interval_is_over(self) -> None:
        fleet = Fleet(1)
        fleet.scheduler.tick()
        fleet.forget()
        fleet.trust = DUE + 0.9
        fleet.scheduler.tick()

        assert [[]] == fleet.calls

    def test_what_has_its_name_now_is_looked_at(self) -> None:
        fleet = Fleet(1)
        fleet.scheduler.tick()
        fleet.forget()
        fleet.registry.replace(FunctionJob(nothing, every(hours=1), name="job 0"))
        fleet.trust = DUE + 5
        fleet.scheduler.tick()

        ((ask,),) = fleet.calls
        assert ("job 0", "") == (ask.definition.name, ask.run_id)

    def test_a_job_that_was_taken_away_is_not(self) -> None:
        fleet = Fleet(1)
        fleet.scheduler.tick()
        fleet.forget()
        fleet.registry.unregister("job 0")
        for seconds in (5, 31, 62):
            fleet.trust = DUE + seconds
            fleet.scheduler.tick()

        assert [] == fleet.asked()


@pytest.fixture
def held() -> Iterator[Any]:
    """A job that is due ten times a second, and a run of it that goes on."""
    redis, end = fakeredis.FakeRedis(decode_responses=True), Event()
    now = count(NOON, 1000)
    runner = JobRunner(redis=redis, namespace="shop", check_interval=1.0)
    runner.clock = lambda: NOON / 1000

    @runner.job(every(milliseconds=100), name="work")
    def work(ctx: JobContext) -> None:
        end.wait()

    def tick() -> dict[str, str]:
        ms = next(now)
        runner.clock = lambda: ms / 1000
        runner._state(None).instance().scheduler.tick()
        gevent.sleep(0)
        state: dict[str, str] = redis.hgetall("{shop}:job:work:state")  # type: ignore[assignment]
        return state

    yield tick
    end.set()
    runner.stop()


def test_the_skips_of_a_run_that_goes_on_are_noted(held: Any) -> None:
    assert "count_skip_held" not in held()
    assert "1" == held()["count_skip_held"]
