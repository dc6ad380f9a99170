"""The greenlets of runs, and those that are made before their time."""

from __future__ import annotations

import threading
import weakref
from contextvars import ContextVar
from typing import Any

import fakeredis
import gevent
import pytest
from gevent.event import Event
from gevent.local import local
from greenlet import getcurrent

from jobrunner import JobRunner
from jobrunner.engine.greenlets import RunGreenlets

said: ContextVar[str] = ContextVar("said", default="nothing")


class Runs:
    """What lives in them, until it may end."""

    def __init__(self) -> None:
        self.may_end = Event()
        self.may_end.set()
        self.lived: list[tuple[Any, Any]] = []
        self.mine = local()
        #: What each finds that another may have left.
        self.found: list[tuple[str, str]] = []
        self.greenlets = RunGreenlets(self._live)  # type: ignore[arg-type]

    def start(self, run: Any) -> Any:
        hub = gevent.get_hub()
        one = self.greenlets.take(hub)
        hub.loop.run_callback(one.switch, run)
        return one

    def let_end(self) -> None:
        """Who may end has ended."""
        gevent.sleep(0)  # their last lines
        gevent.sleep(0)  # and the way out of those that were prepared

    def _live(self, run: Any) -> None:
        self.lived.append((run, getcurrent()))
        self.found.append((said.get(), getattr(self.mine, "word", "nothing")))
        said.set(f"{run} was here")
        self.mine.word = f"{run} was here"
        self.may_end.wait()


@pytest.fixture
def runs() -> Runs:
    return Runs()


def test_each_run_has_one_of_its_own_prepared_or_not(runs: Runs) -> None:
    runs.greenlets.prepare(3)
    assert [] == runs.lived

    started = [runs.start(n) for n in range(5)]
    runs.let_end()

    assert list(enumerate(started)) == runs.lived
    assert 5 == len(set(started))
    assert all(one.dead for one in started)


def test_none_finds_what_another_left_or_who_prepared_it(runs: Runs) -> None:
    said.set("I prepare")
    for _ in range(2):
        runs.greenlets.prepare(2)
        for n in range(3):
            runs.start(n)
        gevent.sleep(0)

    assert [("nothing", "nothing")] * 6 == runs.found


def test_they_may_wait_for_something(runs: Runs) -> None:
    runs.may_end.clear()
    runs.greenlets.prepare(2)
    started = [runs.start(n) for n in range(3)]
    gevent.sleep(0)
    assert 3 == len(runs.lived)
    assert not any(one.dead for one in started)

    runs.may_end.set()
    runs.let_end()
    assert all(one.dead for one in started)


def test_those_that_were_prepared_end_after_others_have_begun(runs: Runs) -> None:
    runs.greenlets.prepare(2)
    first, second = runs.start(1), runs.start(2)
    runs.start(3)  # has a greenlet that was not prepared
    gevent.sleep(0)

    assert [1, 2, 3] == [run for run, _ in runs.lived]
    assert not first.dead
    assert not second.dead


def test_what_a_run_forgot_strikes_it_no_more_once_it_is_over(runs: Runs) -> None:
    runs.greenlets.prepare(1)
    started = runs.start(1)
    gevent.sleep(0)
    assert not started.dead

    assert started.throw(gevent.Timeout(1)) is None
    assert not started.dead
    runs.let_end()
    assert started.dead
    assert started.throw(gevent.Timeout(1)) is None


def test_and_does_before(runs: Runs) -> None:
    runs.may_end.clear()
    runs.greenlets.prepare(1)
    started = runs.start(1)
    gevent.sleep(0)

    gevent.get_hub().loop.run_callback(started.throw, gevent.GreenletExit())
    gevent.sleep(0)

    assert started.dead


def test_those_that_found_no_run_are_there_the_next_time(runs: Runs) -> None:
    runs.greenlets.prepare(3)
    before = set(runs.greenlets._waiting)
    runs.start(1)
    runs.greenlets.prepare(2)
    assert before > set(runs.greenlets._waiting)

    runs.greenlets.prepare(3)
    assert 3 == len(runs.greenlets._waiting)
    assert 2 == len(before & set(runs.greenlets._waiting))


def test_another_hub_has_its_own(runs: Runs) -> None:
    runs.greenlets.prepare(1)
    (waiting,) = runs.greenlets._waiting

    def elsewhere() -> None:
        started = runs.start("there")
        gevent.sleep(0)
        assert started is not waiting
        runs.greenlets.prepare(1)
        assert waiting not in runs.greenlets._waiting
        runs.start("there, prepared")
        gevent.sleep(0)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(10)

    assert ["there", "there, prepared"] == [run for run, _ in runs.lived]


def test_forgotten_ones_end_and_do_nothing(runs: Runs) -> None:
    runs.greenlets.prepare(3)
    gone = [weakref.ref(one) for one in runs.greenlets._waiting]
    runs.greenlets.forget()

    assert [None] * 3 == [ref() for ref in gone]
    assert [] == runs.lived


def test_an_instance_makes_a_hundred_at_most_and_keeps_none_when_it_stops() -> None:
    runner = JobRunner(redis=fakeredis.FakeRedis(), namespace="shop")
    executor = runner._state(None).instance().executor
    executor.prepare(150)
    assert 100 == len(executor._greenlets._waiting)

    assert runner.stop()
    executor.prepare(1)
    assert [] == executor._greenlets._waiting
