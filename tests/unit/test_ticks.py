"""The calls of a tick: how many jobs each asks about, in which order, and within which slots."""

from __future__ import annotations

from itertools import pairwise

import gevent
import pytest

from jobrunner import StoreError
from jobrunner.engine.pauses import Coming
from jobrunner.engine.sizes import sizes
from jobrunner.store.redis import MAX_BATCH

from .agendas import MINUTE, NOON
from .ticking import Fleet, due_first


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
    def test_is_put_together_before_its_time_and_asked_about_then(self) -> None:
        fleet = Fleet(0)
        fleet.register("job", NOON)
        fleet.trust = MINUTE / 1000 - 0.001
        fleet.scheduler.tick()
        fleet.forget()
        asked_at: list[float] = []
        fleet.on_claim = lambda: asked_at.append(fleet.trust)

        fleet.waits_for_coming()
        fleet.scheduler.tick(coming=Coming(NOON + MINUTE + 1, MINUTE / 1000 + 0.001))

        assert ["job"] == [run.job for run in fleet.runs]
        assert [MINUTE / 1000 + 0.001] == asked_at
        assert "prepare 1" == fleet.events[0]

    def test_is_left_when_the_instance_stops_meanwhile(self) -> None:
        fleet = Fleet(3)
        fleet.waits_for_coming(lambda: setattr(fleet.scheduler, "is_stopping", True))
        fleet.scheduler.tick(coming=Coming(NOON + 3 * MINUTE, fleet.trust + 0.001))
        assert [] == fleet.calls

        fleet.scheduler.is_stopping = False
        fleet.scheduler.tick()
        assert due_first(3) == [run.job for run in fleet.runs]

    def test_is_put_together_anew_by_who_stood_still_meanwhile(self) -> None:
        fleet = Fleet(1)
        fleet.trust = 50.0
        fleet.register("with grace", NOON, grace=30)
        fleet.scheduler.tick()
        fleet.forget()
        fleet.trust = 60.0

        fleet.waits_for_coming(late_by=40)
        fleet.scheduler.tick(coming=Coming(NOON + MINUTE + 1, 60.001))

        assert ["job 0"] == [run.job for run in fleet.runs]
