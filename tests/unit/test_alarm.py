"""The alarm that ends the pause between two ticks."""

import time

import gevent
import pytest

from jobrunner.engine.alarm import Alarm

#: Longer than any of these tests; what ends sooner was ended by a ring.
LONG = 60.0


def test_a_sleep_ends_when_its_time_is_over() -> None:
    alarm, begun = Alarm(), time.monotonic()
    assert not alarm.sleep(0.02)
    assert time.monotonic() - begun >= 0.019


def test_a_sleep_that_begins_late_in_a_turn_of_the_loop_is_no_shorter() -> None:
    alarm = Alarm()
    alarm.sleep(0.001)  # resumed by a timer: the loop's own time stands still from here on
    begun = time.monotonic()
    while time.monotonic() - begun < 0.03:
        pass
    lies_down = time.monotonic()
    assert not alarm.sleep(0.02)
    assert time.monotonic() - lies_down >= 0.019


def test_a_ring_ends_it() -> None:
    alarm = Alarm()
    gevent.spawn(alarm.ring)
    assert alarm.sleep(LONG)
    assert not alarm.sleep(0)


def test_a_ring_before_it_ends_it_at_once() -> None:
    alarm = Alarm()
    alarm.ring()
    assert alarm.is_rung
    assert alarm.sleep(LONG)
    assert not alarm.is_rung


def test_many_rings_end_one_sleep() -> None:
    alarm = Alarm()
    ringing = [gevent.spawn(alarm.ring) for _ in range(3)]
    assert alarm.sleep(LONG)
    # Who is woken sees what all of them have rung for: they have rung before it went on.
    assert all(one.ready() for one in ringing)
    assert not alarm.sleep(0.01)


def test_a_sleeper_that_is_killed_leaves_it_in_order() -> None:
    alarm = Alarm()
    sleeper = gevent.spawn(alarm.sleep, LONG)
    gevent.sleep(0)
    sleeper.kill()
    alarm.ring()
    assert alarm.sleep(LONG)


def test_a_time_limit_around_it_counts() -> None:
    alarm = Alarm()
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.01):
        alarm.sleep(LONG)
    assert not alarm.sleep(0)
