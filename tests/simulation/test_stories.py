"""The teller: a seed always tells the same story, and a broken one is told as short as it gets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .__main__ import main
from .plan import Fault, make
from .planted import unconditional_release
from .story import fails, shrink, tell
from .world import World

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("seed", range(5))
def test_a_seed_tells_the_same_story_each_time(seed: int) -> None:
    assert tell(make(seed), aloud=True).history == tell(make(seed), aloud=True).history


def test_in_any_process_too() -> None:
    """Neither the order of sets nor what was told before decides anything."""
    stories = []
    for hashes in ("1", "2"):
        command = [sys.executable, "-m", "tests.simulation", "--seed", "12"]
        environment = {**os.environ, "PYTHONHASHSEED": hashes}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        stories.append(done.stdout)
    assert stories[0] == stories[1]
    *history, verdict = stories[0].splitlines()
    assert "seed 12: every promise was kept" == verdict
    assert tell(make(12), aloud=True).history == history


@pytest.mark.parametrize("seed", range(10))
def test_fakeredis_s_own_way_with_scripts_tells_the_same(seed: int) -> None:
    plain = World(make(seed), aloud=True, own_scripting=False)
    plain.run()

    assert plain.history == tell(make(seed), aloud=True).history


def test_a_broken_story_is_shortened() -> None:
    with unconditional_release():
        plan = next(plan for seed in range(500) if fails(plan := make(seed)) is not None)
        told = shrink(plan)
        needed = [fault for fault in told.plan.faults if not fails(told.plan.without(fault))]

        assert len(told.plan.faults) < len(plan.faults)
        assert list(told.plan.faults) == needed, "each fault that is left is needed"
        assert fails(told.plan) is not None


def test_the_command_tells_a_broken_story_and_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with unconditional_release():
        seed = next(seed for seed in range(500) if fails(make(seed)) is not None)
        monkeypatch.setattr(sys, "argv", ["simulation", "--first", str(seed), "--seeds", "1"])
        many = main()
        shortest = capsys.readouterr().out
        monkeypatch.setattr(sys, "argv", ["simulation", "--seed", str(seed)])
        aloud = main()
        whole = capsys.readouterr().out

    assert (1, 1) == (many, aloud)
    for text in (shortest, whole):
        assert f"SEED {seed}: promise 1: finish " in text
        assert " begins\n" in text
    assert f"BROKEN by 1 seeds: [{seed}]" in shortest


def test_what_a_seed_does_stands_in_its_plan_alone() -> None:
    plan = make(3)
    assert plan == make(3)
    assert plan.faults
    fewer = plan.without(plan.faults[0])
    assert len(plan.faults) - 1 == len(fewer.faults)
    assert all(isinstance(fault, Fault) for fault in fewer.faults)
