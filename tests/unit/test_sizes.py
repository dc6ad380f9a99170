"""In which batches a tick asks about the jobs that are due."""

from itertools import pairwise

from jobrunner.engine.sizes import LEAST, sizes
from jobrunner.store.redis import MAX_BATCH


def test_the_batches_grow_while_calls_are_quick() -> None:
    largest = [max(sizes(turn, 0.001)) for turn in range(7)]
    assert all(one <= other for one, other in pairwise(largest))
    assert sizes(6, 0.001) == sizes(1_000_000, 0.001)


def test_the_first_one_is_small_so_that_the_first_runs_begin_soon() -> None:
    first, *others = sizes(0, 0.001)
    assert others
    assert 2 * first < min(others)


def test_after_a_slow_call_they_are_the_largest() -> None:
    slow = sizes(0, 0.040)
    assert slow == sizes(7, 0.040)
    assert max(slow) >= max(sizes(7, 0.001))


def test_none_exceeds_what_a_script_takes_and_no_call_is_below_the_least() -> None:
    rows = [sizes(turn, took) for turn in range(5) for took in (0.001, 0.04)]
    assert all(0 < size <= MAX_BATCH for row in rows for size in row)
    assert LEAST <= min(map(sum, rows))
