"""What began here: asked about no more until it is over, or has gone on for a check interval."""

from __future__ import annotations

import pytest

from jobrunner import cron, every
from jobrunner.engine.agenda import Agenda, Entry
from jobrunner.store.answers import UNKNOWN, Known

from .agendas import CHECK, MINUTE, NOON, agenda_of, job, known, learnt, take

LEASE = 30_000


def begun(agenda: Agenda, name: str, now_ms: int = NOON) -> tuple[Entry, Known]:
    """A run of the job has begun here at `now_ms`."""
    entry = agenda.entry(name)
    assert entry is not None
    agenda.take_due(now_ms, 100, 500)
    then = known(now_ms, "run-1", LEASE)
    agenda.begin(entry, then, now_ms)
    return entry, then


def learn_what_goes_on(agenda: Agenda, now_ms: int) -> list[str]:
    """As a tick does. The names of the jobs."""
    going_on = agenda.going_on(now_ms)
    for entry, then, since_ms in going_on:
        agenda.learn(entry, then, since_ms)
    return [entry.definition.name for entry, _, _ in going_on]


class TestWhileItIsYoung:
    def test_it_is_not_asked_about(self) -> None:
        agenda, _ = learnt(job("a", every(milliseconds=100)), known(NOON - MINUTE))
        entry, then = begun(agenda, "a")

        assert agenda.next_ms() is None
        assert ([], []) == take(agenda, NOON + CHECK - 1)
        assert [] == agenda.going_on(NOON) == agenda.going_on(NOON + CHECK - 1)
        assert then is entry.known

    def test_the_rolling_look_reaches_it_and_claims_nothing(self) -> None:
        agenda, _ = learnt(job("a"), known(NOON - MINUTE))
        entry, _ = begun(agenda, "a")

        assert [entry] == agenda.take_slice(1)
        assert UNKNOWN == entry.ask().computed_from

    def test_when_it_is_over_what_that_told_counts(self) -> None:
        agenda, _ = learnt(job("a"), known(NOON - MINUTE))
        entry, _ = begun(agenda, "a")
        agenda.learn(entry, known(NOON), NOON + 10)

        assert NOON + MINUTE + 1 == agenda.next_ms()
        assert [] == agenda.going_on(NOON + CHECK)
        assert NOON + MINUTE + 1 == agenda.next_ms()

    def test_when_nothing_is_known_of_its_end_it_is_only_looked_at(self) -> None:
        agenda, _ = learnt(job("a"), known(NOON - MINUTE))
        entry, _ = begun(agenda, "a")
        agenda.shelve(entry)

        assert [] == agenda.going_on(NOON + CHECK)
        assert agenda.next_ms() is None

    def test_somebody_may_look_at_it(self) -> None:
        agenda, _ = learnt(job("a"), known(NOON - MINUTE))
        entry, _ = begun(agenda, "a")
        agenda.put(entry, 0)

        assert [] == agenda.going_on(NOON + CHECK)
        assert ([], ["a"]) == take(agenda, NOON)


class TestWhenItGoesOn:
    def test_it_is_told_once_as_it_was_then(self) -> None:
        agenda, _ = learnt(job("a"), known(NOON - MINUTE))
        entry, then = begun(agenda, "a")

        assert [(entry, then, NOON)] == agenda.going_on(NOON + CHECK)
        assert [] == agenda.going_on(NOON + 2 * CHECK)

    @pytest.mark.parametrize(
        ("interval_ms", "expected_ms", "asked"),
        [(2 * MINUTE, NOON + LEASE, ([], ["a"])), (10_000, NOON + 10_001, (["a"], []))],
        ids=["the end of its lease", "the next due time"],
    )
    def test_it_is_asked_about_at(
        self, interval_ms: int, expected_ms: int, asked: tuple[list[str], list[str]]
    ) -> None:
        agenda, _ = learnt(job("a", every(milliseconds=interval_ms)), known(NOON - 2 * MINUTE))
        begun(agenda, "a")

        assert ["a"] == learn_what_goes_on(agenda, NOON + CHECK)
        assert expected_ms == agenda.next_ms()
        assert ([], []) == take(agenda, expected_ms - 1)
        assert asked == take(agenda, expected_ms)

    def test_due_again_meanwhile_it_is_asked_about_at_once_so_that_redis_notes_the_skip(
        self,
    ) -> None:
        agenda, _ = learnt(job("a", every(milliseconds=100)), known(NOON - MINUTE))
        entry, _ = begun(agenda, "a")
        learn_what_goes_on(agenda, NOON + CHECK)

        assert (["a"], []) == take(agenda, NOON + CHECK)
        assert (str(NOON), NOON + 100) == (entry.ask().computed_from, entry.ask().due_ms)

    def test_a_grid_is_asked_about_at_its_moment(self) -> None:
        agenda, _ = learnt(job("a", cron("* * * * *")), known(NOON - MINUTE))
        begun(agenda, "a")
        learn_what_goes_on(agenda, NOON + CHECK)

        assert NOON + LEASE == agenda.next_ms()

    def test_the_oldest_are_told_first_and_who_is_young_waits(self) -> None:
        agenda = agenda_of(job("a"), job("b"), job("c"))
        for name, began_ms in [("b", NOON), ("a", NOON + 1), ("c", NOON + CHECK)]:
            begun(agenda, name, began_ms)

        assert ["b"] == learn_what_goes_on(agenda, NOON + CHECK)
        assert ["a"] == learn_what_goes_on(agenda, NOON + CHECK + 1)
        assert ["c"] == learn_what_goes_on(agenda, NOON + 2 * CHECK)

    def test_who_begins_again_is_young_again(self) -> None:
        agenda = agenda_of(job("a"), job("b"))
        begun(agenda, "a", NOON)
        begun(agenda, "b", NOON + 1)
        begun(agenda, "a", NOON + CHECK // 2)

        assert ["b"] == learn_what_goes_on(agenda, NOON + CHECK + 1)
        assert ["a"] == learn_what_goes_on(agenda, NOON + 2 * CHECK)

    def test_by_a_clock_that_went_back_all_do(self) -> None:
        agenda = agenda_of(job("a"), job("b"))
        begun(agenda, "a", NOON)
        begun(agenda, "b", NOON + 1)

        assert ["a", "b"] == learn_what_goes_on(agenda, NOON - MINUTE)


class TestWhatBecameOfTheJobMeanwhile:
    def test_another_has_its_name(self) -> None:
        agenda, _ = learnt(job("a"), known(NOON - MINUTE))
        old, _ = begun(agenda, "a")
        agenda.sync([job("a", every(hours=1))], {})

        assert [] == agenda.going_on(NOON + CHECK)
        assert ([], ["a"]) == take(agenda, NOON)
        assert old is not agenda.entry("a")

    def test_it_was_taken_away(self) -> None:
        agenda, _ = learnt(job("a"), known(NOON - MINUTE))
        begun(agenda, "a")
        agenda.sync([], {})

        assert [] == agenda.going_on(NOON + CHECK)
        assert agenda.next_ms() is None

    def test_others_came(self) -> None:
        first = job("a")
        agenda, _ = learnt(first, known(NOON - MINUTE))
        begun(agenda, "a")
        agenda.sync([first, job("b")], {})

        assert ([], ["b"]) == take(agenda, NOON)
        assert ["a"] == learn_what_goes_on(agenda, NOON + CHECK)
