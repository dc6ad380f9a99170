"""A few hundred stories; `make simulate` tells more. Every promise is kept in each of them."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from jobrunner.run import Outcome

from .plan import CONTROLS, KINDS, make
from .story import Tally, shrink, tell
from .watch import Broken

SEEDS = 300


class Told:
    """What happened in all of them."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.faults: Counter[str] = Counter()
        self.controls: Counter[str] = Counter()
        self.answered = 0
        self.outcomes: Counter[str] = Counter()
        self.broken: list[int] = []

    def tell(self, seed: int) -> None:
        plan = make(seed)
        self.faults.update(fault.kind for fault in plan.faults)
        self.controls.update(control.kind for control in plan.controls)
        try:
            world = tell(plan)
        except Broken:
            self.broken.append(seed)
            return
        self.tally.add(world)
        self.answered += len(world.watch.answered)
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
    assert set(CONTROLS) == set(told().controls)
    ended = {str(outcome) for outcome in Outcome} - {Outcome.ABANDONED}
    assert ended == set(told().outcomes)
    assert told().answered > SEEDS / 10
    tally = told().tally
    assert tally.runs > 3 * SEEDS
    assert tally.abandoned > SEEDS / 10
    assert tally.given_back > 0
