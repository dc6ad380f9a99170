"""Runs: their ids, and how they end."""

from __future__ import annotations

import dataclasses

import pytest

from jobrunner import Outcome, Run
from jobrunner.run import new_id, new_ids


def test_ids_are_printable_and_never_the_same() -> None:
    ids = {new_id() for _ in range(1000)}

    assert 1000 == len(ids)
    assert all(id.isascii() and id.isalnum() and len(id) == 24 for id in ids)


def test_ids_do_not_depend_on_the_seed_of_the_process() -> None:
    """Forked from one master, workers begin with the same random state."""
    import random

    random.seed(1)
    first = new_id()
    random.seed(1)

    assert first != new_id()


def test_a_run_does_not_change() -> None:
    run = Run("run-1", "purge", "one", 7, 1.5, 2.25)

    assert 1 == run.attempt
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.token = 8  # type: ignore[misc]


def test_an_outcome_is_its_word() -> None:
    words = [
        "succeeded",
        "failed",
        "timed_out",
        "cancelled",
        "interrupted",
        "lease_lost",
        "stale",
        "abandoned",
    ]

    assert words == [str(outcome) for outcome in Outcome]
    assert Outcome.LEASE_LOST is Outcome("lease_lost")


def test_several_ids_are_as_many_different_ones_of_the_same_kind() -> None:
    ids = new_ids(50)
    assert 50 == len(set(ids))
    assert {len(new_id())} == set(map(len, ids))
    assert [] == new_ids(0)
