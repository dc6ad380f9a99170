"""What is claimed before its time waits for it."""

from __future__ import annotations

from collections.abc import Callable

import fakeredis
import gevent
import pytest

from jobrunner import JobContext, JobRunner, every
from jobrunner.clock import trust_seconds
from jobrunner.engine import timely
from jobrunner.engine.busy import turn_of_the_loop
from jobrunner.engine.gate import Gate
from jobrunner.engine.timely import TIMER_LATE, wait_until
from jobrunner.store.answers import NEVER, Answer, Ask


class Watch:
    """A clock that goes on by a thousandth at each step of whoever waits."""

    def __init__(self) -> None:
        self.now = 100.0
        self.begun: list[tuple[str, float]] = []
        #: What happens at the next step.
        self.happens: Callable[[], object] = lambda: None

    def step(self, left: float) -> None:
        self.now += 0.001
        happens, self.happens = self.happens, lambda: None
        happens()
        gevent.sleep(0)

    def begin(self, name: str) -> Callable[[], object]:
        return lambda: self.begun.append((name, round(self.now, 6)))


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(timely, "step", watch.step)
    return watch


@pytest.fixture
def gate(watch: Watch) -> Gate:
    return Gate(lambda: watch.now)


def wait_for_all(watch: Watch, number: int) -> None:
    for _ in range(1000):
        if len(watch.begun) == number:
            return
        gevent.sleep(0)
    raise AssertionError(f"{watch.begun} have begun")


def test_all_begin_at_their_moment_in_order(watch: Watch, gate: Gate) -> None:
    for name in "abc":
        gate.hold(watch.begin(name), 100.005)
    assert [] == watch.begun

    wait_for_all(watch, 3)
    assert ["a", "b", "c"] == [name for name, _ in watch.begun]
    assert all(100.005 <= at < 100.007 for _, at in watch.begun)


def test_none_begins_before_its_own_moment(watch: Watch, gate: Gate) -> None:
    gate.hold(watch.begin("a"), 100.003)
    watch.happens = lambda: gate.hold(watch.begin("b"), 100.008)

    wait_for_all(watch, 2)
    assert all(100.008 <= at < 100.010 for _, at in watch.begun)


def test_an_earlier_moment_makes_nobody_else_begin_sooner(watch: Watch, gate: Gate) -> None:
    gate.hold(watch.begin("a"), 100.008)
    gate.hold(watch.begin("b"), 100.003)

    wait_for_all(watch, 2)
    assert all(100.008 <= at < 100.010 for _, at in watch.begun)


def test_it_opens_again_and_again(watch: Watch, gate: Gate) -> None:
    gate.hold(watch.begin("a"), 100.003)
    wait_for_all(watch, 1)
    gate.hold(watch.begin("b"), 101.0)

    wait_for_all(watch, 2)
    assert ("b", pytest.approx(101.0, abs=0.0011)) == watch.begun[1]


def test_a_moment_that_is_over_is_not_waited_for(watch: Watch, gate: Gate) -> None:
    gate.hold(watch.begin("a"), 99.0)
    gevent.sleep(0)
    assert [("a", 100.0)] == watch.begun


class TestWaitUntil:
    def test_it_is_a_timer_then_turns_of_the_loop_with_naps_and_in_the_end_turns_alone(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 0.0
        steps: list[tuple[str, float]] = []

        def taking(name: str, more: float) -> Callable[..., None]:
            """A wait that takes so much longer than it was to take."""

            def wait(seconds: float = 0.0) -> None:
                nonlocal now
                now += seconds + more
                steps.append((name, round(now, 6)))

            return wait

        monkeypatch.setattr(timely.gevent, "sleep", taking("timer", 0.0003))
        monkeypatch.setattr(timely, "turn_of_the_loop", taking("turn", 0.00001))
        monkeypatch.setattr(timely, "_sleep", taking("nap", 0.00006))
        wait_until(lambda: now, 0.010)

        names = [name for name, _ in steps]
        assert ["timer", "turn", "nap", "turn", "nap"] == names[:5]
        assert ("timer", pytest.approx(0.010 - TIMER_LATE + 0.0003)) == steps[0]
        assert {"turn"} == set(names[-10:])
        assert 0.0098 > max(at for name, at in steps if name == "nap")
        assert 0.010 <= now < 0.01002

    def test_each_turn_is_one_of_the_loop_that_hears_of_sockets_too(self) -> None:
        heard: list[int] = []
        looks: list[int] = []

        def trust() -> float:
            looks.append(1)
            return 1.0 if heard or len(looks) == 50 else 0.9995

        turn_of_the_loop()  # after which gevent calls what is called already, for 5 ms
        watcher = gevent.get_hub().loop.async_()
        watcher.start(heard.append, 1)
        watcher.send()
        try:
            wait_until(trust, 1.0)
        finally:
            watcher.close()
        assert [1] == heard


class Held:
    """An instance that was granted a run a moment before its time."""

    def __init__(self) -> None:
        runner = JobRunner(redis=fakeredis.FakeRedis(), namespace="shop")
        self.began_at: list[float] = []

        @runner.job(every(hours=1))
        def purge(ctx: JobContext) -> None:
            self.began_at.append(trust_seconds())

        instance = runner._state(None).instance()
        self.executor, self.store = instance.executor, instance.store
        (definition,) = instance.scheduler._registry
        ask = Ask(definition, "run-1", NEVER, 0, 0)
        (granted,) = self.store.claim([ask])
        assert isinstance(granted, Answer)
        self.moment = trust_seconds() + 0.05
        self.active = self.executor.start(definition, granted, self.moment + 30, self.moment)
        self.look = Ask(definition, "", NEVER, 0, 0)

    def running(self) -> str | None:
        (answer,) = self.store.claim([self.look])
        assert isinstance(answer, Answer)
        return answer.known.running


class TestARunThatWaits:
    def test_is_under_way_and_begins_at_its_moment(self) -> None:
        held = Held()
        assert [held.active] == held.executor.active()

        assert held.executor.join([held.active], 30)
        (began_at,) = held.began_at
        assert held.moment <= began_at

    def test_does_not_begin_a_second_time_in_a_process_that_was_forked_meanwhile(self) -> None:
        held = Held()
        held.executor._pid += 1  # as a child finds it, where every greenlet has a copy
        greenlet = held.active.greenlet
        assert greenlet is not None
        with gevent.Timeout(30):
            while not greenlet.dead:
                gevent.sleep(0.005)

        assert [] == held.began_at
        assert "run-1" == held.running()

    def test_is_given_back_by_an_instance_that_stops_meanwhile(self) -> None:
        held = Held()
        assert "run-1" == held.running()

        assert held.executor.drain(trust_seconds() + 30, 1)
        assert [] == held.began_at
        assert [] == held.executor.active()
        assert held.running() is None
