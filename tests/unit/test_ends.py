"""How attempts ended, whatever a job raises or returns."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobrunner import (
    LeaseLostError,
    Outcome,
    RunCancelledError,
    RunInterruptedError,
    RunStopped,
    RunTimedOutError,
    StaleRunError,
)
from jobrunner.engine.ends import MAX_ERROR, Body, as_json, described, end_of, traceback_of

LATE, CANCELLED = RunTimedOutError("late"), RunCancelledError("cancelled")
LOST, INTERRUPTED, STALE = LeaseLostError("x"), RunInterruptedError("x"), StaleRunError("x")
WRONG = ValueError("wrong")


@pytest.mark.parametrize(
    ("error", "cut_by", "outcome"),
    [
        (None, None, Outcome.SUCCEEDED),
        (WRONG, None, Outcome.FAILED),
        (LOST, None, Outcome.LEASE_LOST),
        (INTERRUPTED, None, Outcome.INTERRUPTED),
        (STALE, None, Outcome.STALE),
        (LATE, None, Outcome.TIMED_OUT),
        (CANCELLED, None, Outcome.CANCELLED),
        # Told, and ended otherwise.
        (None, LATE, Outcome.TIMED_OUT),
        (WRONG, LATE, Outcome.TIMED_OUT),
        (None, CANCELLED, Outcome.CANCELLED),
        (WRONG, CANCELLED, Outcome.CANCELLED),
        (LATE, CANCELLED, Outcome.CANCELLED),
        (STALE, LATE, Outcome.STALE),
        (LOST, CANCELLED, Outcome.LEASE_LOST),
        # A run that was merely interrupted may still have come to its end.
        (None, INTERRUPTED, Outcome.SUCCEEDED),
        (WRONG, INTERRUPTED, Outcome.FAILED),
        (None, LOST, Outcome.SUCCEEDED),
    ],
)
def test_the_outcome_follows_from_the_error_and_from_what_it_was_told(
    error: BaseException | None, cut_by: RunStopped | None, outcome: Outcome
) -> None:
    end = end_of(Body("value", error, '"value"'), cut_by)

    assert outcome == end.outcome
    succeeded = outcome is Outcome.SUCCEEDED
    assert succeeded == (end.error is None)
    assert (("value", '"value"') if succeeded else (None, "")) == (end.returned, end.result)


class Broken(Exception):
    def __str__(self) -> str:
        raise SystemExit(1)

    __repr__ = __str__


def caught(error: BaseException) -> BaseException:
    """The error with a traceback, which begins here."""
    try:
        raise error
    except BaseException as raised:
        return raised


class TestTraceback:
    def test_it_is_the_end_that_is_kept(self) -> None:
        text = traceback_of(caught(ValueError("x" * 50)), 40)

        assert 40 == len(text)
        assert "…" + "x" * 39 == text

    def test_a_short_one_is_kept_whole(self) -> None:
        lines = traceback_of(caught(WRONG), 4000).splitlines()

        assert ("Traceback (most recent call last):", "ValueError: wrong") == (lines[0], lines[-1])

    @pytest.mark.parametrize(
        "error", [Broken(), ValueError("\ud800"), ExceptionGroup("many", [Broken(), WRONG])]
    )
    def test_it_can_always_be_stored(self, error: BaseException) -> None:
        text = traceback_of(caught(error), 4000)

        assert text
        text.encode()

    def test_none_at_all(self) -> None:
        assert ["", ""] == [traceback_of(None, 4000), traceback_of(caught(WRONG), 0)]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (None, ""),
        (WRONG, "ValueError: wrong"),
        (KeyError(), "KeyError"),
        (Broken(), "Broken: (its text cannot be made)"),
        (ValueError("\ud800"), "ValueError: ?"),
    ],
)
def test_an_error_is_described(error: BaseException | None, text: str) -> None:
    assert text == described(error)


def test_a_long_error_is_cut() -> None:
    assert MAX_ERROR == len(described(ValueError("x" * 10_000)))


class Rude(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("no items")


class TestJson:
    @pytest.mark.parametrize("value", [0, "", [], {"a": [1, 2.5, "ä"]}, True, "x" * 98])
    def test_what_fits_is_kept(self, value: object) -> None:
        text, problem = as_json(value, 100)

        assert ("", value) == (problem, json.loads(text))

    def test_one_byte_too_many_is_not(self) -> None:
        text, problem = as_json("x" * 99, 100)

        assert ("", True) == (text, "larger than 100 bytes" in problem)

    def test_nothing_and_no_room(self) -> None:
        assert [("", ""), ("", "")] == [as_json(None, 100), as_json("x", 0)]

    def test_what_encodes_itself_badly(self) -> None:
        endless: list[object] = []
        endless.append(endless)

        problems = [as_json(value, 100)[1] for value in (endless, Rude(a=1), {(1,): 1})]

        assert all(problem.startswith("it is not JSON: ") for problem in problems), problems

    def test_an_endless_value_costs_no_more_than_its_beginning(self) -> None:
        class Endless(list[int]):
            taken = 0

            def __iter__(self) -> Any:
                while True:
                    self.taken += 1
                    yield 1

        endless = Endless([1])

        assert "larger than" in as_json(endless, 100)[1]
        assert endless.taken < 200
