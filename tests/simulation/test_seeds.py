"""A few hundred stories; `make simulate` tells more. Every promise is kept in each of them."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from jobrunner.run import Outcome

from .plan import KINDS, make
from .story import Tally, shrink, tell
from .watch import Broken

SEEDS = 300


class Told:
    """What happened in all of them."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.faults: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.broken: list[int] = []

    def tell(self, seed: int) -> None:
        plan = make(seed)
        self.faults.update(fault.kind for fault in plan.faults)
        try:
            world = tell(plan)
        except Broken:
            self.broken.append(seed)
            return
        self.tally.add(world)
        records = world.watch.runs.values()
        self.outcomes.update(str(record.outcome) for record in records if record.outcome)


@cache
def told() -> Told:
    told = Told()
    for seed in range(SEEDS):
        told.tell(seed)
    return told


def test_every_promise_is_kept() -> None:
    broken = told().broken
    if broken:
        pytest.fail(f"{len(broken)} of {SEEDS} seeds: {broken}\n{shrink(make(broken[0]))}")


def test_much_happens_in_them() -> None:
    """A green story in which nothing went wrong would show nothing."""
    assert set(KINDS) == set(told().faults)
    ended = {str(outcome) for outcome in Outcome} - {
        Outcome.ABANDONED,
        Outcome.TIMED_OUT,
        Outcome.CANCELLED,
    }
    assert ended == set(told().outcomes)
    tally = told().tally
    assert tally.runs > 3 * SEEDS
    assert tally.abandoned > SEEDS / 10
    assert tally.given_back > 0
