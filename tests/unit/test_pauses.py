"""How long the loop sleeps between two ticks, and what of the news wakes it. Time is the test's."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from jobrunner.clock import Clock, RedisClock
from jobrunner.engine.agenda import Agenda, Entry
from jobrunner.engine.pauses import AHEAD_MS, Pauses

from .agendas import NOON, agenda_of, job

#: Seconds, and ms.
CHECK, CHECK_MS = 10.0, 10_000

#: So many seconds before something is due it wakes, to claim it.
AHEAD = 0.00129


class Sleeper:
    """An alarm whose sleeps take no time, but move the test's clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        #: What happens so many seconds after a sleep began, sleep by sleep.
        self.meanwhile: list[tuple[float, Callable[[], None]]] = []
        self._is_rung = False
        self.late_by = 0.0

    def ring(self) -> None:
        self._is_rung = True

    def sleep(self, seconds: float) -> bool:
        self.slept.append(round(seconds, 6))
        ends = self.now + seconds
        if self.meanwhile:
            after, happens = self.meanwhile.pop(0)
            self.now += after
            happens()
        was_rung, self._is_rung = self._is_rung, False
        if not was_rung:
            self.now = ends + self.late_by
        return was_rung


class Loop:
    """The pauses of a scheduler with two jobs, of which nothing is known yet."""

    def __init__(self, *, up: bool = True, injected: Clock | None = None) -> None:
        self.sleeper = Sleeper()
        self.agenda: Agenda = agenda_of(job("a"), job("b"))
        self.agenda.take_due(NOON, 100, 100)
        clock = RedisClock(lambda: injected, trust=lambda: self.sleeper.now)
        clock.heard(NOON, 0.0)
        self.servers = SimpleNamespace(patience=None, undivided=True)
        self.store: Any = SimpleNamespace(
            link=SimpleNamespace(up=up), living=1, servers=self.servers
        )
        self.pauses = Pauses(self.agenda, self.store, clock, check_interval=CHECK, instance="one")
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

    def ms(self) -> int:
        """Milliseconds since noon."""
        return round(self.sleeper.now * 1000)

    def pass_(self, seconds: float) -> None:
        self.sleeper.now += seconds

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
        assert [2.5 - AHEAD] == loop.sleep()

    def test_and_the_longer_before_that_the_more_is_to_be_claimed(self) -> None:
        slept = []
        for number in (2, 100, 300):
            loop = Loop()
            loop.agenda.sync((job(f"job {n}") for n in range(number)), {})
            loop.agenda.take_due(NOON, number, number)
            loop.due_in("job 1", 2500)
            slept += loop.sleep()
        assert [2.5 - 0.00129, 2.5 - 0.00325, 2.5 - 0.00325] == slept

    def test_and_the_longer_a_call_takes(self) -> None:
        slept = []
        for took in (0.001, 0.004, 1.0):
            loop = Loop()
            loop.pauses.call_took = took
            loop.due_in("a", 2500)
            slept += loop.sleep()
        assert [2.5 - AHEAD - 0.001, 2.5 - AHEAD - 0.004, 2.5 - AHEAD - 0.004] == slept

    def test_and_never_longer_than_a_claim_may_come_before_its_time(self) -> None:
        loop = Loop()
        loop.agenda.sync((job(f"job {n}") for n in range(300)), {})
        loop.pauses.call_took = 1.0
        assert AHEAD < loop.pauses._ahead(0.0) < AHEAD_MS / 1000 - 0.002

    def test_for_the_check_interval_at_most(self) -> None:
        loop = Loop()
        loop.due_in("a", CHECK_MS + 5)
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
        assert [1.4996 - AHEAD] == loop.sleep()


class TestWhatWakes:
    def test_what_is_due_sooner_is_slept_for_in_the_same_pause(self) -> None:
        loop = Loop()
        loop.due_in("a", 5000)
        loop.sleeper.meanwhile = [(1.0, lambda: loop.due_in("b", 3000))]

        assert [5.0 - AHEAD, 2.0 - AHEAD] == loop.sleep()  # one claim, at its due time
        assert pytest.approx(3.0 - AHEAD) == loop.sleeper.now

    def test_and_what_is_due_sooner_still(self) -> None:
        loop = Loop()
        loop.sleeper.meanwhile = [
            (1.0, lambda: loop.due_in("a", 9000)),
            (1.0, lambda: loop.due_in("b", 4000)),
            (1.0, lambda: loop.due_in("a", 3500)),
        ]

        assert [CHECK, 8.0 - AHEAD, 2.0 - AHEAD, 0.5 - AHEAD] == loop.sleep()

    def test_however_often_it_is_woken_it_ends_after_the_check_interval(self) -> None:
        loop = Loop()
        loop.sleeper.meanwhile = [(4.0, loop.pauses.end), (4.0, loop.pauses.end)]

        assert [CHECK, 6.0, 2.0] == loop.sleep()

    def test_what_is_due_later_does_not(self) -> None:
        loop = Loop()
        loop.due_in("a", 5000)
        loop.sleeper.meanwhile = [(1.0, lambda: loop.due_in("b", 6000))]

        assert [5.0 - AHEAD] == loop.sleep()

    def test_what_is_due_at_once_ends_it(self) -> None:
        loop = Loop()
        loop.due_in("a", 5000)
        loop.sleeper.meanwhile = [(1.0, lambda: loop.due_in("b", 0))]

        assert [5.0 - AHEAD] == loop.sleep()
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

        assert [5.0 - AHEAD] == loop.sleep()
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

        assert [5.0 - AHEAD, 2.0 - AHEAD] == loop.sleep()


class TestComing:
    def test_what_it_woke_for_is_claimed_before_its_time(self) -> None:
        loop = Loop()
        loop.due_in("a", 5000)
        loop.sleep()

        assert (NOON + 5000, pytest.approx(5.0)) == loop.pauses.coming()
        assert loop.pauses.coming() is None  # one pause, one time

    def test_so_is_what_comes_due_a_moment_after_the_longest_pause(self) -> None:
        for ms in (CHECK_MS - 1, CHECK_MS, CHECK_MS + 1, CHECK_MS + 5):
            loop = Loop()
            loop.due_in("a", ms)
            (slept,) = loop.sleep()

            assert CHECK - 0.003 < slept <= CHECK
            assert (NOON + ms, pytest.approx(ms / 1000)) == loop.pauses.coming()

    def test_also_when_it_becomes_known_during_that_pause(self) -> None:
        loop = Loop()
        loop.sleeper.meanwhile = [(1.0, lambda: loop.due_in("a", CHECK_MS + 1))]
        loop.sleep()

        assert (NOON + CHECK_MS + 1, pytest.approx(CHECK + 0.001)) == loop.pauses.coming()

    def test_again_when_redis_s_clock_has_gone_back(self) -> None:
        loop = Loop()
        loop.pauses._came_ms = NOON + 3_600_000
        loop.due_in("a", 5000)
        loop.sleep()

        assert loop.pauses.coming() is not None

    def test_nothing_is_when_it_woke_too_late(self) -> None:
        loop = Loop()
        loop.due_in("a", 5000)
        loop.sleep()
        loop.pass_(0.0015)

        assert loop.pauses.coming() is None

    def test_nor_what_is_due_already(self) -> None:
        loop = Loop()
        loop.due_in("a", -5)
        loop.sleep()

        assert loop.pauses.coming() is None

    def test_nor_when_it_was_woken_long_before(self) -> None:
        loop = Loop()
        loop.due_in("a", 5000)
        loop.sleeper.meanwhile = [(1.0, loop.stop)]
        loop.sleep()

        assert loop.pauses.coming() is None

    def test_nor_where_one_due_time_follows_close_upon_another(self) -> None:
        loop = Loop()
        loop.due_in("a", 5000)
        loop.sleep()
        assert loop.pauses.coming() is not None
        loop.due_in("a", 5020)

        assert 5.020 - loop.sleeper.now == pytest.approx(loop.sleep()[-1], abs=1e-6)
        assert loop.pauses.coming() is None

    def test_nor_in_a_fleet_where_chance_says_who_comes_first(self) -> None:
        loop = Loop()
        loop.store.living = 4
        loop.due_in("a", 5000)

        (slept,) = loop.sleep()
        assert slept > 5.0
        assert loop.pauses.coming() is None

    def test_nor_when_it_wakes_there_shortly_before(self) -> None:
        loop = Loop()
        loop.store.living = 4
        loop.due_in("a", CHECK_MS + 3)

        assert [CHECK] == loop.sleep()
        assert loop.pauses.coming() is None

    def test_nor_on_a_cluster_whose_servers_have_clocks_of_their_own(self) -> None:
        loop = Loop()
        loop.servers.undivided = False
        loop.due_in("a", 5000)

        assert [5.0] == loop.sleep()
        assert loop.pauses.coming() is None

    def test_nor_by_an_injected_clock(self) -> None:
        loop = Loop(injected=lambda: NOON / 1000)
        loop.due_in("a", 5000)

        assert [5.0] == loop.sleep()
        assert loop.pauses.coming() is None


class TestBusyHub:
    """One that wakes the loop late, because it has requests to answer."""

    def late(self, loop: Loop, seconds: float) -> None:
        loop.due_in("a", loop.ms() + 5000)
        loop.sleeper.late_by = seconds
        loop.sleep()

    def test_redis_is_waited_for_without_a_turn_of_it(self) -> None:
        loop = Loop()
        self.late(loop, 0.04)
        assert loop.servers.patience is not None

        self.late(loop, 0.001)
        assert loop.servers.patience is None

    def test_nothing_is_put_together_before_its_time(self) -> None:
        loop = Loop()
        self.late(loop, 0.04)
        loop.sleeper.slept.clear()
        loop.due_in("a", loop.ms() + 5000)

        (slept,) = loop.sleep()
        assert pytest.approx(5.0, abs=0.0006) == slept  # noon is a whole millisecond, now is none
        assert loop.pauses.coming() is None

    def test_who_was_woken_by_news_knows_no_better(self) -> None:
        loop = Loop()
        self.late(loop, 0.04)
        loop.due_in("a", loop.ms() + 5000)
        loop.sleeper.meanwhile = [(1.0, loop.stop)]
        loop.sleep()

        assert loop.servers.patience is not None
