"""The calls of a tick: how many jobs each asks about, in which order, and within which slots."""

from __future__ import annotations

from itertools import pairwise

import pytest

from jobrunner import StoreError
from jobrunner.engine.sizes import LARGEST
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

        sizes = [len(call) for call in fleet.calls]
        assert sizes[0] < LARGEST == sizes[-2]
        assert all(one <= other for one, other in pairwise(sizes[:-1]))

    def test_after_a_slow_call_each_is_as_large_as_it_may_be(self) -> None:
        fleet = Fleet(500)
        fleet.call_takes = 0.05
        fleet.scheduler.tick()
        first = len(fleet.calls[0])

        assert [first, 200, 200, 100 - first] == [len(call) for call in fleet.calls]

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
    def test_are_held_back_from_the_second_call_on_and_let_go_behind_the_last(self) -> None:
        fleet = Fleet(60)
        fleet.scheduler.tick()
        sizes = [len(call) for call in fleet.calls]

        expected: list[object] = [sizes[0]]
        for size in sizes[1:]:
            expected += ["hold back", size]
        assert [*expected, "let go"] == fleet.events

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
