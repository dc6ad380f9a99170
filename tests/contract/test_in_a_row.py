"""Several batches of claims, one after the other in one round trip."""

from __future__ import annotations

from itertools import islice

import pytest

from jobrunner.errors import StoreError
from jobrunner.job import JobDefinition
from jobrunner.store.answers import Answer, Ask, Status

from .fleet import Fleet, ask, job


def batches(*sizes: int) -> list[list[Ask]]:
    numbers = iter(range(sum(sizes)))
    return [[ask(job(f"job {n}"), f"run-{n}") for n in islice(numbers, size)] for size in sizes]


def statuses(answers: list[Answer | StoreError]) -> list[object]:
    return [one.status if isinstance(one, Answer) else one for one in answers]


def test_each_has_its_answers_in_its_order(fleet: Fleet) -> None:
    asked = batches(3, 1, 4)
    found = list(fleet.one.claim_in_a_row(asked))

    assert [[Status.CLAIMED] * n for n in (3, 1, 4)] == [statuses(answers) for answers in found]
    assert [[one.run_id for one in batch] for batch in asked] == [
        [answer.known.running for answer in answers if isinstance(answer, Answer)]
        for answers in found
    ]


def test_the_first_is_there_before_the_others_are_read(fleet: Fleet) -> None:
    answers = fleet.one.claim_in_a_row(batches(2, 2))
    assert [Status.CLAIMED] * 2 == statuses(next(answers))
    # Another call of the same store meanwhile has a connection of its own.
    assert "run-0" == fleet.claim(job("job 0"), "run-9").known.running
    assert [Status.CLAIMED] * 2 == statuses(next(answers))
    assert next(answers, None) is None


def test_who_does_not_read_all_of_them_leaves_nothing_to_the_next_call(
    fleet: Fleet, purge: JobDefinition
) -> None:
    answers = fleet.one.claim_in_a_row(batches(2, 2, 2))
    next(answers)
    answers.close()  # type: ignore[attr-defined]

    assert Status.CLAIMED is fleet.claim(purge, "run-9").status


@pytest.mark.parametrize("sizes", [(2,), (2, 3)])
def test_something_can_be_done_before_the_first_answer(
    fleet: Fleet, sizes: tuple[int, ...]
) -> None:
    done: list[str] = []
    answers = fleet.one.claim_in_a_row(batches(*sizes), lambda: done.append("meanwhile"))
    done += (f"{len(some)} answers" for some in answers)

    assert ["meanwhile", *(f"{n} answers" for n in sizes)] == done


def test_a_script_that_the_server_has_forgotten_is_sent_again(fleet: Fleet) -> None:
    list(fleet.one.claim_in_a_row(batches(1, 1)))
    fleet.client.script_flush()

    asked = [[ask(job(f"again {n}"), f"again-{n}")] for n in range(3)]
    found = [statuses(answers) for answers in fleet.one.claim_in_a_row(asked)]
    assert [[Status.CLAIMED]] * 3 == found


def test_what_a_server_refuses_is_an_error_and_the_link_knows(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(fleet.one.claim_in_a_row(batches(1, 1)))
    asked = [[ask(job("odd"), "run-1")._replace(early_until_ms="no number")]] * 2  # type: ignore[arg-type]
    with pytest.raises(StoreError):
        list(fleet.one.claim_in_a_row(asked))
    assert not fleet.one.link.up

    assert [[Status.CLAIMED]] * 2 == [
        statuses(answers)
        for answers in fleet.one.claim_in_a_row(
            [[ask(job(f"after {n}"), f"after-{n}")] for n in range(2)]
        )
    ]
    assert fleet.one.link.up
