"""The calls of a tick: how many jobs each asks about, in which order, and within which slots."""

from __future__ import annotations

from itertools import pairwise

import gevent
import pytest

from jobrunner import StoreError
from jobrunner.engine import timely
from jobrunner.engine.pauses import AHEAD_MS, Coming
from jobrunner.engine.sizes import AHEAD, sizes
from jobrunner.store.answers import Known
from jobrunner.store.redis import MAX_BATCH

from .agendas import MINUTE, NOON
from .ticking import LEASE_MS, Fleet, due_first


class TestWhatIsDue:
    @pytest.mark.parametrize("number", [1, 60, 500, 1300])
    def test_each_job_is_asked_about_once_in_the_order_in_which_they_came_due(
        self, number: int
    ) -> None:
        fleet = Fleet(number)
        fleet.scheduler.tick()

        assert due_first(number) == fleet.asked()
        assert due_first(number) == [run.job for run in fleet.runs]
        assert number == len({ask.run_id for call in fleet.calls for ask in call})

    def test_the_calls_grow(self) -> None:
        fleet = Fleet(1300)
        fleet.scheduler.tick()

        found = [len(call) for call in fleet.calls]
        assert found[0] < max(sizes(9, 0.0)) == found[-2]
        assert all(one <= other for one, other in pairwise(found[:-1]))

    def test_after_a_slow_call_each_is_as_large_as_it_may_be(self) -> None:
        fleet = Fleet(500)
        fleet.call_takes = 0.05
        fleet.scheduler.tick()
        rest = 500 - sum(sizes(0, 0.0))

        assert [*sizes(0, 0.0), 200, rest - 200] == [len(call) for call in fleet.calls]

    def test_no_more_is_claimed_than_there_are_slots(self) -> None:
        fleet = Fleet(500, slots=130)
        fleet.scheduler.tick()
        assert due_first(500)[:130] == [run.job for run in fleet.runs] == fleet.asked()

        fleet.forget()
        fleet.free_slots = 70
        fleet.scheduler.tick()
        assert due_first(500, 130)[:70] == [run.job for run in fleet.runs] == fleet.asked()

    def test_without_a_slot_a_tick_is_one_call_that_asks_for_none(self) -> None:
        fleet = Fleet(500, slots=0)
        fleet.scheduler.tick()

        assert [[]] == fleet.calls

    def test_a_tick_that_looks_at_every_job_asks_about_none_twice(self) -> None:
        fleet = Fleet(700)
        fleet.scheduler.tick(everything=True)

        claimed = [ask.definition.name for call in fleet.calls for ask in call if ask.run_id]
        assert due_first(700) == claimed
        assert all(len(call) <= MAX_BATCH for call in fleet.calls)

    def test_nor_about_those_of_which_nothing_is_known_yet(self) -> None:
        fleet = Fleet(0)
        for n in range(60):
            fleet.register(f"job {n}", NOON + MINUTE - n)
        fleet.scheduler.tick(everything=True)

        assert sorted(fleet.known) == sorted(fleet.asked())


class TestEndsMeanwhile:
    def test_are_held_back_while_more_than_one_batch_is_asked_about_and_let_go_then(self) -> None:
        fleet = Fleet(60)
        fleet.scheduler.tick()

        assert ["hold back", *map(len, fleet.calls), "let go"] == fleet.events

    def test_what_one_batch_was_granted_begins_while_the_next_is_asked_about(self) -> None:
        fleet = Fleet(300)
        begun: list[int] = []
        fleet.on_claim = lambda: begun.append(len(fleet.runs))
        fleet.scheduler.tick()

        first, second = sizes(0, 0.0)
        # What the last batch of a call was granted begins while the next call is on its way.
        assert [0, first, first + second] == begun[:3]

    def test_are_let_go_when_redis_does_not_answer(self) -> None:
        fleet = Fleet(60)
        fleet.fails_at = {2}
        with pytest.raises(StoreError):
            fleet.scheduler.tick()

        assert "hold back" in fleet.events
        assert "let go" == fleet.events[-1]

    def test_a_tick_with_nothing_to_do_holds_nothing_back(self) -> None:
        fleet = Fleet(0)
        fleet.scheduler.tick()

        assert [0, "let go"] == fleet.events


def test_what_got_no_answer_is_asked_again_with_its_run_ids_before_the_others() -> None:
    fleet = Fleet(200)
    fleet.fails_at = {2}
    with pytest.raises(StoreError):
        fleet.scheduler.tick()
    first, lost = fleet.calls
    fleet.forget()
    fleet.fails_at = set()
    fleet.scheduler.tick()

    again = [(ask.definition.name, ask.run_id) for call in fleet.calls for ask in call]
    assert {(ask.definition.name, ask.run_id) for ask in lost} == set(again[: len(lost)])
    assert due_first(200, len(first) + len(lost)) == [name for name, _ in again[len(lost) :]]


@pytest.mark.parametrize(
    "error", [StoreError("this Redis is away"), gevent.Timeout(), SystemExit()]
)
def test_so_it_is_whatever_ends_the_tick(error: BaseException) -> None:
    fleet = Fleet(200)
    fleet.fails_at, fleet.fails_with = {2}, error
    with pytest.raises(type(error)):
        fleet.scheduler.tick()
    asked = [ask.run_id for call in fleet.calls for ask in call]
    fleet.forget()
    fleet.fails_at = set()
    fleet.scheduler.tick()

    again = [ask.run_id for call in fleet.calls for ask in call]
    granted = sizes(0, 0.0)[0]
    assert asked[granted:] == again[: len(asked) - granted]
    assert 200 - granted == len(again) == len(set(again))


def test_a_claim_that_is_answered_twice_is_one_run() -> None:
    fleet = Fleet(1)
    fleet.scheduler.tick()
    (run,) = fleet.runs
    entry = fleet.scheduler._agenda.entry(run.job)
    assert entry is not None
    entry.run_id = run.id
    fleet.scheduler._agenda.put_first(entry)
    fleet.says_again = True
    fleet.scheduler.tick()

    assert run.id == fleet.calls[-1][0].run_id
    assert [run] == fleet.runs


def test_what_is_too_late_to_be_claimed_is_looked_at_once() -> None:
    fleet = Fleet(40)
    fleet.trust = 50.0
    fleet.register("with grace", NOON - 100, grace=30)
    fleet.scheduler.tick()
    fleet.forget()
    fleet.trust = 200.0
    fleet.scheduler.tick()

    asked = [a.run_id for call in fleet.calls for a in call if a.definition.name == "with grace"]
    assert "" == asked[0]
    assert len(asked) == len(set(asked))
    assert 41 == len({run.id for run in fleet.runs}) == len(fleet.runs)


class TestComing:
    """What comes due in a moment: claimed before its time, and begun at it."""

    #: In trust seconds, when what was last run at noon is due, and what is claimed before that.
    AT = (MINUTE + 1) / 1000
    BEFORE = AT - 0.004
    COMING = Coming(NOON + MINUTE + 1, AT)

    @pytest.fixture
    def fleet(self, monkeypatch: pytest.MonkeyPatch) -> Fleet:
        """It has no jobs yet, and waits in no time."""
        fleet = Fleet(0)
        monkeypatch.setattr(timely, "step", fleet.pass_)
        fleet.trust = self.BEFORE
        return fleet

    def with_jobs(self, fleet: Fleet, number: int) -> None:
        """So many, due at the same time."""
        for n in range(number):
            fleet.register(f"job {n}", NOON)
        fleet.trust -= 1
        fleet.scheduler.tick()  # hears of them
        fleet.trust += 1
        fleet.forget()

    def test_is_claimed_before_its_time_and_begins_at_it(self, fleet: Fleet) -> None:
        self.with_jobs(fleet, 3)
        asked_at: list[float] = []
        fleet.on_claim = lambda: asked_at.append(fleet.trust)

        fleet.scheduler.tick(coming=self.COMING)

        assert ["job 0", "job 1", "job 2"] == [run.job for run in fleet.runs]
        assert [self.BEFORE] == asked_at
        assert [pytest.approx(self.AT)] * 3 == fleet.moments
        assert {(NOON + MINUTE + 1) / 1000} == {run.started_at for run in fleet.runs}
        assert self.AT <= fleet.trust, "what else is due then is asked about in the same tick"
        assert "prepare 3" == fleet.events[1]

    def test_the_first_call_is_small_and_more_than_the_second_takes_waits_for_its_time(
        self, fleet: Fleet
    ) -> None:
        self.with_jobs(fleet, 150)
        fleet.scheduler.tick(coming=self.COMING)

        first, second = AHEAD
        assert [first, second, 150 - first - second] == [len(call) for call in fleet.calls]
        assert [AHEAD_MS, AHEAD_MS, 0] == fleet.ahead
        assert [True] * 100 + [False] * 50 == [moment is not None for moment in fleet.moments]
        assert 150 == len({run.job for run in fleet.runs})

    def test_what_is_due_already_begins_at_once(self, fleet: Fleet) -> None:
        fleet.register("late", NOON - MINUTE)
        self.with_jobs(fleet, 1)
        fleet.known["late"] = fleet.known["late"]._replace(last_ms=NOON - MINUTE, running=None)
        fleet.scheduler.look_at("late")

        fleet.scheduler.tick(coming=self.COMING)

        moments = {run.job: m for run, m in zip(fleet.runs, fleet.moments, strict=True)}
        assert {"late": None, "job 0": pytest.approx(self.AT)} == moments

    def test_an_answer_that_came_late_begins_what_it_grants_at_once(self, fleet: Fleet) -> None:
        self.with_jobs(fleet, 1)
        fleet.call_takes = 0.2

        fleet.scheduler.tick(coming=self.COMING)

        assert [None] == fleet.moments

    def test_a_lost_answer_that_is_asked_for_again_begins_nothing_sooner(
        self, fleet: Fleet
    ) -> None:
        self.with_jobs(fleet, 1)
        fleet.fails_at = {1}
        with pytest.raises(StoreError):
            fleet.scheduler.tick(coming=self.COMING)
        (asked,) = fleet.calls[0]
        fleet.known["job 0"] = Known(NOON + MINUTE + 1, NOON, asked.run_id, LEASE_MS)
        fleet.trust, fleet.says_again = self.BEFORE + 0.001, True

        fleet.scheduler.tick()

        assert [pytest.approx(self.AT)] == fleet.moments

    def test_and_what_was_claimed_by_a_clock_that_has_gone_back_since_begins_at_once(
        self, fleet: Fleet
    ) -> None:
        self.with_jobs(fleet, 1)
        fleet.says_again = True
        fleet.known["job 0"] = Known(NOON + 60 * MINUTE, NOON, "run-1", LEASE_MS)
        fleet.trust = self.AT

        fleet.scheduler.tick()

        assert [None] == fleet.moments

    def test_nothing_more_is_claimed_by_who_stops_meanwhile(self, fleet: Fleet) -> None:
        self.with_jobs(fleet, 150)
        fleet.on_claim = lambda: setattr(fleet.scheduler, "is_stopping", True)

        fleet.scheduler.tick(coming=self.COMING)

        assert [AHEAD_MS, AHEAD_MS] == fleet.ahead

    def test_where_nothing_is_to_be_claimed_the_tick_is_as_any_other(self, fleet: Fleet) -> None:
        self.with_jobs(fleet, 1)
        fleet.free_slots = 0

        fleet.scheduler.tick(coming=self.COMING)

        assert [] == fleet.runs
        assert [0] == fleet.ahead

    def test_who_stood_still_meanwhile_knows_what_is_too_late_by_now(self, fleet: Fleet) -> None:
        fleet.register("with grace", NOON, grace=30)
        self.with_jobs(fleet, 1)
        fleet.trust = self.AT + 40

        fleet.scheduler.tick(coming=self.COMING)

        assert ["job 0"] == [run.job for run in fleet.runs]
