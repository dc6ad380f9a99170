"""How many of the jobs that are due one call asks about."""

from jobrunner.engine.sizes import LARGEST, size
from jobrunner.store.redis import MAX_BATCH


def test_calls_grow_while_they_are_quick() -> None:
    assert [50, 50, 100, 100, 200, 200, 200] == [size(turn, 0.001) for turn in range(7)]
    assert LARGEST == size(1_000_000, 0.001)


def test_a_slow_call_is_followed_by_the_largest() -> None:
    assert [LARGEST] * 3 == [size(turn, 0.040) for turn in range(3)]


def test_none_exceeds_what_a_script_takes() -> None:
    assert LARGEST <= MAX_BATCH
