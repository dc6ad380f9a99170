"""The simulation finds bugs: each that is planted, within 500 seeds."""

from __future__ import annotations

import pytest

from .plan import Plan, make
from .planted import PLANTED
from .story import fails, shrink

SEEDS = 500


def first_that_fails() -> Plan:
    for seed in range(SEEDS):
        plan = make(seed)
        if fails(plan) is not None:
            return plan
    raise AssertionError(f"{SEEDS} seeds, and nobody objected")


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found(bug: str) -> None:
    with PLANTED[bug]():
        found = first_that_fails()
        told = shrink(found, tellings=20)

    assert f"SEED {found.seed}: promise {told.broken.promise}" in str(told)
    assert len(told.plan.faults) <= len(found.faults)
    assert f"BROKEN: {told.broken}" in told.history[-1]
    assert fails(told.plan) is None, "without the bug the same story breaks no promise"
