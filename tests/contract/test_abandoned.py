"""The mark of an abandoned run, and the token of a run that found a larger one."""

from __future__ import annotations

import pytest

from jobrunner import Outcome
from jobrunner.job import JobDefinition
from jobrunner.store.answers import Ask, Status
from tests.contract.fleet import LONG_AGO, MINUTE, NOON, Fleet


@pytest.fixture
def abandoned(fleet: Fleet, purge: JobDefinition) -> JobDefinition:
    """A job whose run-1 was claimed at noon and recorded as abandoned ten minutes later."""
    fleet.claimed(purge, "run-1")
    fleet.lease_ends(purge)
    fleet.now_ms = NOON + 10 * MINUTE
    assert "run-1" == fleet.look(purge).abandoned
    return purge


def test_every_answer_tells_of_it(fleet: Fleet, abandoned: JobDefinition) -> None:
    known = fleet.look(abandoned, NOON).known

    assert NOON == known.abandoned_due_ms
    assert (1, NOON + 10 * MINUTE) == (known.abandoned_in_row, known.abandoned_ms)
    assert f"{NOON}/1/{NOON + 10 * MINUTE}" == known.version


def test_who_does_not_know_of_it_is_told_before_it_claims(
    fleet: Fleet, abandoned: JobDefinition
) -> None:
    from tests.contract.fleet import ask

    (answer,) = fleet.two.claim([ask(abandoned, "run-2", NOON)])

    assert Status.CHANGED == answer.status
    assert 1 == answer.known.abandoned_in_row


def test_who_knows_of_another_death_is_told_too(fleet: Fleet, abandoned: JobDefinition) -> None:
    """A late finish takes one from the number, the next death adds one: it is the same again."""
    known = fleet.claim(abandoned, "run-2", NOON).known
    assert "amended" == fleet.finish(abandoned, "run-1").status
    fleet.lease_ends(abandoned)
    fleet.now_ms = NOON + 20 * MINUTE
    assert "run-2" == fleet.look(abandoned, known.last_ms).abandoned

    (answer,) = fleet.two.claim([Ask(abandoned, "run-3", known.version, LONG_AGO, 0)])

    assert Status.CHANGED == answer.status
    assert known.abandoned_in_row == answer.known.abandoned_in_row == 1
    assert answer.known.abandoned_due_ms is not None


def test_the_next_claim_takes_the_mark(fleet: Fleet, abandoned: JobDefinition) -> None:
    answer = fleet.claim(abandoned, "run-2", NOON)

    assert Status.CLAIMED == answer.status
    assert answer.known.abandoned_due_ms is None
    assert 1 == answer.known.abandoned_in_row


def test_a_give_back_puts_the_mark_there_again(fleet: Fleet, abandoned: JobDefinition) -> None:
    fleet.claimed(abandoned, "run-2", NOON)

    assert fleet.give_back(abandoned, "run-2")

    assert NOON == fleet.look(abandoned, NOON).known.abandoned_due_ms
    assert not fleet.give_back(abandoned, "run-2")


def test_a_late_finish_takes_mark_and_count_back(fleet: Fleet, abandoned: JobDefinition) -> None:
    finish = fleet.finish(abandoned, "run-1")

    assert "amended" == finish.status
    assert (None, 0) == (finish.known.abandoned_due_ms, finish.known.abandoned_in_row)
    assert "gone" == fleet.finish(abandoned, "run-1").status
    assert 0 == fleet.look(abandoned, NOON).known.abandoned_in_row


def test_a_late_finish_during_the_repetition_is_not_repeated_after_a_give_back(
    fleet: Fleet, abandoned: JobDefinition
) -> None:
    fleet.claimed(abandoned, "run-2", NOON)
    assert "amended" == fleet.finish(abandoned, "run-1").status

    assert fleet.give_back(abandoned, "run-2")

    assert fleet.look(abandoned, NOON).known.abandoned_due_ms is None


@pytest.mark.parametrize(
    ("outcome", "in_row"),
    [
        (Outcome.SUCCEEDED, 0),
        (Outcome.FAILED, 0),
        (Outcome.INTERRUPTED, 1),
        (Outcome.LEASE_LOST, 1),
        (Outcome.STALE, 1),
    ],
)
def test_what_ended_while_its_instance_lived_breaks_the_row(
    fleet: Fleet, abandoned: JobDefinition, outcome: Outcome, in_row: int
) -> None:
    fleet.claimed(abandoned, "run-2", NOON)

    assert in_row == fleet.finish(abandoned, "run-2", outcome).known.abandoned_in_row


class TestALargerToken:
    def test_is_larger_than_what_the_database_holds(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        token, _ = fleet.claimed(purge, "run-1")
        stored = 2**52

        larger = fleet.one.larger_token(purge, "run-1", stored)

        assert larger == stored + 1 > token
        assert str(larger) == fleet.client.hget(purge.keys.state, "token")

    def test_is_the_state_s_from_then_on(self, fleet: Fleet, purge: JobDefinition) -> None:
        fleet.claimed(purge, "run-1")
        larger = fleet.one.larger_token(purge, "run-1", 2**52)
        fleet.finish(purge, "run-1")
        fleet.now_ms = NOON + 2 * MINUTE

        token, _ = fleet.claimed(purge, "run-2", NOON)

        assert larger == token - 1

    def test_is_not_for_a_run_that_is_not_the_running_one(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        fleet.claimed(purge, "run-1")
        fleet.finish(purge, "run-1")

        assert fleet.one.larger_token(purge, "run-1", 5) is None


def test_a_late_finish_is_told_when_it_was(fleet: Fleet, abandoned: JobDefinition) -> None:
    """Else who asked goes on counting from when the death was recorded."""
    fleet.now_ms = NOON + 3 * MINUTE

    finish = fleet.finish(abandoned, "run-1")

    assert ("amended", NOON + 3 * MINUTE) == (finish.status, finish.known.finished_ms)
    assert NOON + 3 * MINUTE == fleet.look(abandoned, NOON).known.finished_ms
