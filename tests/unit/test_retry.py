"""Retry: who is tried again, and after what pause."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from jobrunner.errors import InvalidJobError
from jobrunner.retry import Retry


def test_the_pauses_grow_to_the_cap() -> None:
    retry = Retry(attempts=6, base=1, factor=3, cap=20, jitter=False)

    assert [1, 3, 9, 20, 20] == [round(retry.pause(n, random.Random()), 6) for n in range(1, 6)]


def test_full_jitter_takes_any_part_of_the_pause() -> None:
    retry, chance = Retry(base=8, cap=100), random.Random(1)

    pauses = [retry.pause(1, chance) for _ in range(1000)]

    assert 0 <= min(pauses) < 0.5
    assert 7.5 < max(pauses) <= 8


@pytest.mark.parametrize("attempt", [1, 2, 999])
def test_no_pause_overflows(attempt: int) -> None:
    chance = random.Random()
    assert Retry(1000, factor=1000, cap=5, jitter=False).pause(attempt, chance) <= 5
    assert 0 == Retry(1000, base=0, factor=1000).pause(attempt, chance)
    assert 0 == Retry(1000, cap=0, factor=1000).pause(attempt, chance)


def test_seconds_may_be_timedeltas() -> None:
    retry = Retry(base=timedelta(minutes=1), cap=timedelta(hours=1), jitter=False)

    assert 60 == retry.pause(1, random.Random())


def test_who_is_tried_again() -> None:
    retry = Retry(attempts=3, on=(OSError,), give_up_on=(FileNotFoundError,))

    assert retry.tries_again(OSError(), 2)
    assert not retry.tries_again(OSError(), 3)
    assert not retry.tries_again(FileNotFoundError(), 1)
    assert not retry.tries_again(ValueError(), 1)
    assert retry.tries_again(ValueError(), 1, always=True)
    assert not retry.tries_again(FileNotFoundError(), 1, always=True)


def test_one_class_will_do() -> None:
    assert (OSError,) == Retry(on=OSError).on  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "quoted"),
    [
        ({"attempts": 0}, r"attempts=0.*1 to 1000"),
        ({"attempts": True}, "attempts=True"),
        ({"attempts": 2.5}, r"attempts=2\.5"),
        ({"base": -1}, "base=-1"),
        ({"base": float("nan")}, "base=nan"),
        ({"base": "1"}, "base='1'"),
        ({"cap": 1e9}, "cap=1000000000"),
        ({"factor": 0.5}, r"factor=0\.5"),
        ({"factor": "2"}, "factor='2'"),
        ({"jitter": 1}, "jitter=1"),
        ({"on": "OSError"}, "on='OSError'"),
        ({"give_up_on": (int,)}, "give_up_on="),
    ],
)
def test_what_cannot_work_is_quoted(arguments: dict[str, Any], quoted: str) -> None:
    with pytest.raises(InvalidJobError, match=quoted):
        Retry(**arguments)
