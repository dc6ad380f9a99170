"""How long the loop sleeps between two ticks, and what of the news wakes it. Time is the test's."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from jobrunner.clock import RedisClock
from jobrunner.engine.agenda import Agenda, Entry
from jobrunner.engine.pauses import Pauses

from .agendas import NOON, agenda_of, job

#: Seconds, and ms.
CHECK, CHECK_MS = 10.0, 10_000


class Sleeper:
    """An alarm whose sleeps take no time, but move the test's clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        #: What happens so many seconds after a sleep began, sleep by sleep.
        self.meanwhile: list[tuple[float, Callable[[], None]]] = []
        self._is_rung = False

    def ring(self) -> None:
        self._is_rung = True

    def sleep(self, seconds: float) -> bool:
        self.slept.append(round(seconds, 4))
        ends = self.now + seconds
        if self.meanwhile:
            after, happens = self.meanwhile.pop(0)
            self.now += after
            happens()
        was_rung, self._is_rung = self._is_rung, False
        if not was_rung:
            self.now = ends
        return was_rung


class Loop:
    """The pauses of a scheduler with two jobs, of which nothing is known yet."""

    def __init__(self, *, up: bool = True) -> None:
        self.sleeper = Sleeper()
        self.agenda: Agenda = agenda_of(job("a"), job("b"))
        self.agenda.take_due(NOON, 100, 100)
        clock = RedisClock(trust=lambda: self.sleeper.now)
        clock.heard(NOON, 0.0)
        store: Any = SimpleNamespace(link=SimpleNamespace(up=up), living=1)
        self.pauses = Pauses(self.agenda, store, clock, check_interval=CHECK, instance="one")
        self.pauses.alarm = self.sleeper  # type: ignore[assignment]
        self.is_stopping = False

    def entry(self, name: str) -> Entry:
        entry = self.agenda.entry(name)
        assert entry is not None
        return entry

    def due_in(self, name: str, ms: int) -> None:
        """As a run that is over does."""
        self.agenda.put(self.entry(name), NOON + ms)
        self.pauses.reconsider()

    def stop(self) -> None:
        self.is_stopping = True
        self.pauses.end()

    def sleep(self) -> list[float]:
        """One pause. The sleeps that it took; a tick, and with it a claim, follows each pause."""
        self.pauses.sleep(lambda: self.is_stopping)
        return self.sleeper.slept


class TestHowLong:
    def test_until_something_is_due(self) -> None:
        loop = Loop()
        loop.due_in("a", 2500)
        assert [2.5] == loop.sleep()

    def test_for_the_check_interval_at_most(self) -> None:
        loop = Loop()
        loop.due_in("a", CHECK_MS + 1)
        assert [CHECK] == loop.sleep()

    def test_for_the_check_interval_when_nothing_is_known(self) -> None:
        assert [CHECK] == Loop().sleep()

    def test_while_redis_is_away_for_the_check_interval(self) -> None:
        loop = Loop(up=False)
        loop.due_in("a", 2500)
        assert [CHECK] == loop.sleep()

    def test_what_is_due_already_is_not_asked_about_without_end(self) -> None:
        loop = Loop()
        loop.due_in("a", -5)
        (seconds,) = loop.sleep()
        assert 0 < seconds <= 0.001

    def test_to_the_fraction_of_a_millisecond(self) -> None:
        loop = Loop()
        loop.sleeper.now = 0.0004
        loop.due_in("a", 1500)
        assert [1.4996] == loop.sleep()


class TestWhatWakes:
    def test_what_is_due_sooner_is_slept_for_in_the_same_pause(self) -> None:
        loop = Loop()
        loop.due_in("a", 5000)
        loop.sleeper.meanwhile = [(1.0, lambda: loop.due_in("b", 3000))]

        assert [5.0, 2.0] == loop.sleep()  # one claim, at its due time
        assert pytest.approx(3.0) == loop.sleeper.now

    def test_and_what_is_due_sooner_still(self) -> None:
        loop = Loop()
        loop.sleeper.meanwhile = [
            (1.0, lambda: loop.due_in("a", 9000)),
            (1.0, lambda: loop.due_in("b", 4000)),
            (1.0, lambda: loop.due_in("a", 3500)),
        ]

        assert [CHECK, 8.0, 2.0, 0.5] == loop.sleep()

    def test_however_often_it_is_woken_it_ends_after_the_check_interval(self) -> None:
        loop = Loop()
        loop.sleeper.meanwhile = [(4.0, loop.pauses.end), (4.0, loop.pauses.end)]

        assert [CHECK, 6.0, 2.0] == loop.sleep()

    def test_what_is_due_later_does_not(self) -> None:
        loop = Loop()
        loop.due_in("a", 5000)
        loop.sleeper.meanwhile = [(1.0, lambda: loop.due_in("b", 6000))]

        assert [5.0] == loop.sleep()

    def test_what_is_due_at_once_ends_it(self) -> None:
        loop = Loop()
        loop.due_in("a", 5000)
        loop.sleeper.meanwhile = [(1.0, lambda: loop.due_in("b", 0))]

        assert [5.0] == loop.sleep()
        assert 1.0 == loop.sleeper.now

    def test_a_slot_for_who_waits_for_one_ends_it(self) -> None:
        loop = Loop()
        loop.agenda.put_first(loop.entry("a"))
        loop.sleeper.meanwhile = [(1.0, loop.pauses.reconsider)]

        assert [CHECK] == loop.sleep()
        assert 1.0 == loop.sleeper.now

    def test_the_end_of_the_instance_ends_it(self) -> None:
        loop = Loop()
        loop.due_in("a", 5000)
        loop.sleeper.meanwhile = [(1.0, loop.stop)]

        assert [5.0] == loop.sleep()
        assert 1.0 == loop.sleeper.now

    def test_while_redis_is_away_any_news_does(self) -> None:
        loop = Loop(up=False)
        loop.sleeper.meanwhile = [(1.0, loop.pauses.end)]

        assert [CHECK] == loop.sleep()
        assert 1.0 == loop.sleeper.now

    def test_news_during_a_tick_does_not_wake_from_the_pause_after_it(self) -> None:
        loop = Loop()
        loop.due_in("a", 5000)
        loop.sleeper.meanwhile = [(1.0, lambda: loop.due_in("b", 0))]
        loop.sleep()
        loop.agenda.take_due(NOON + 1000, 100, 100)
        loop.due_in("b", 3000)

        assert [5.0, 2.0] == loop.sleep()
