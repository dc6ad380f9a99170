"""How long an instance waits before it asks, by the size of its fleet."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable

import pytest

from jobrunner.engine.spread import delay

from .agendas import MINUTE, NOON, known
from .runners import Other, runner_of


@pytest.mark.parametrize("living", [0, 1])
def test_who_is_alone_does_not_wait(living: int) -> None:
    assert {0.0} == set(delays(living))


@pytest.mark.parametrize("living", [2, 3, 8, 9, 50, 100])
def test_the_first_of_a_fleet_comes_about_a_millisecond_late(living: int) -> None:
    chance = random.Random(living)
    firsts = [
        min(delay(chance, living, 1.0) for _ in range(living)) for _ in range(10_000 // living)
    ]

    assert 0.0005 < statistics.mean(firsts) < 0.0015


def test_most_of_a_large_fleet_wait_long_and_others_each_time() -> None:
    waited = delays(100, number=10_000)

    soon = [seconds < 0.008 for seconds in waited]
    assert 0.08 < statistics.mean(soon) < 0.16
    assert 0.09 < statistics.mean(waited) < 0.1


@pytest.mark.parametrize(("check_interval", "longest"), [(0.02, 0.004), (1.0, 0.2), (60.0, 0.25)])
@pytest.mark.parametrize("living", [5, 300, 10**9])
def test_it_is_bounded(living: int, check_interval: float, longest: float) -> None:
    waited = delays(living, check_interval)

    assert 0 <= min(waited) < max(waited) <= longest


def delays(living: int, check_interval: float = 1.0, number: int = 1000) -> list[float]:
    """What one instance waits, time after time."""
    chance = random.Random(living)
    return [delay(chance, living, check_interval) for _ in range(number)]


class Loop:
    """A loop that sleeps when it is told to, at noon, with one job in its agenda."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        runner = runner_of(namespace="shop", check_interval=1.0)
        runner.register(Other())
        runner.tick(wait=True)
        self._instance = runner._state(None).instance()
        #: What happens while it sleeps.
        self.meanwhile: Callable[[], None] = lambda: None
        self.woken = False
        self._slept = 0.0
        pauses = self._instance.scheduler._pauses
        monkeypatch.setattr(pauses.alarm, "sleep", self.sleep_for)
        monkeypatch.setattr(pauses.alarm, "ring", self.ring)

    def due_in(self, milliseconds: int) -> None:
        agenda = self._instance.scheduler._agenda
        entry = agenda.entry("other")
        assert entry is not None
        agenda.put(entry, NOON + milliseconds)

    def is_held_and_overdue(self) -> None:
        agenda = self._instance.scheduler._agenda
        entry = agenda.entry("other")
        assert entry is not None
        agenda.learn(entry, known(NOON - 2 * MINUTE, "run-1", lease_left_ms=30_000), NOON)

    def a_run_is_over(self) -> None:
        self._instance.scheduler._pauses.reconsider()

    def sleep(self, living: int = 1) -> float:
        """How many milliseconds it sleeps in a fleet of so many."""
        self._instance.store.living = living
        self.woken = False
        self._instance.scheduler._pauses.sleep(lambda: False)
        return self._slept * 1000

    # The alarm that ends its sleep.

    def sleep_for(self, seconds: float) -> bool:
        self._slept = seconds
        self.meanwhile()
        return False

    def ring(self) -> None:
        self.woken = True


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    return Loop(monkeypatch)


def test_alone_it_wakes_when_a_job_is_due(loop: Loop) -> None:
    loop.due_in(300)

    assert [pytest.approx(300)] * 9 == [loop.sleep() for _ in range(9)]


def test_in_a_fleet_it_waits_by_chance(loop: Loop) -> None:
    loop.due_in(300)

    slept = [loop.sleep(living=50) for _ in range(500)]

    assert 300 <= min(slept) < 305
    assert 450 < max(slept) <= 500


@pytest.mark.parametrize("living", [1, 50, 10_000])
def test_it_never_sleeps_longer_than_the_check_interval(loop: Loop, living: int) -> None:
    for due_in in (990, 1000, 5000):
        loop.due_in(due_in)
        assert max(loop.sleep(living) for _ in range(50)) <= 1000


def test_a_survivor_that_counts_the_dead_takes_over_within_one_check_interval(loop: Loop) -> None:
    """The job is overdue, and whoever held it may have died right after the answer."""
    loop.is_held_and_overdue()

    assert 940 < max(loop.sleep(living=10_000) for _ in range(500)) <= 950


@pytest.mark.parametrize("living", [1, 10_000])
def test_what_was_due_anyway_wakes_nobody_in_the_middle_of_a_wait(loop: Loop, living: int) -> None:
    loop.due_in(300)
    loop.meanwhile = loop.a_run_is_over

    for _ in range(50):
        loop.sleep(living)
        assert not loop.woken


@pytest.mark.parametrize("living", [1, 10_000])
def test_what_is_due_sooner_wakes_it(loop: Loop, living: int) -> None:
    loop.due_in(300)

    def sooner() -> None:
        loop.due_in(299)
        loop.a_run_is_over()

    loop.meanwhile = sooner
    loop.sleep(living)
    assert loop.woken
