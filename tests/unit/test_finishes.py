"""When the ends of runs are sent: together, behind claims that are under way, and never lost."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import fakeredis
import gevent
import pytest
from gevent.event import Event

from jobrunner import JobContext, JobRunner, Outcome, Run, StoreError, every
from jobrunner.engine.busy import turn_of_the_loop
from jobrunner.signals import job_succeeded
from jobrunner.store.answers import Ending


class Instance:
    """An instance with a number of jobs that all run until they may end, and what it sends."""

    def __init__(self) -> None:
        self.may_end = Event()
        self.begun: list[str] = []
        #: The size of each call that records ends.
        self.calls: list[int] = []
        self.is_away = False
        #: Each of those calls waits for it.
        self.may_send = Event()
        self.may_send.set()
        self.runner = JobRunner(
            redis=fakeredis.FakeRedis(),
            namespace="shop",
            clock=lambda: 1_700_000_000.0,
            max_concurrent_runs=1000,
        )
        parts: Any = self.runner._state(None).instance()
        self.executor, self.scheduler = parts.executor, parts.scheduler
        self._finish, parts.store.finish = parts.store.finish, self._noted

    def start(self, number: int) -> None:
        """Runs of so many jobs begin."""
        self.claim(range(number))
        gevent.sleep(0)

    def claim(self, numbers: Iterable[int]) -> None:
        """Runs of these jobs are claimed."""
        for n in numbers:
            self.runner.job(every(hours=1), name=f"job {n}")(self._run)
        self.scheduler.tick()

    def end(self) -> None:
        """All of them end, and each has had its turns for that."""
        self.may_end.set()
        self.turns()

    def turns(self) -> None:
        for _ in range(10):
            turn_of_the_loop()

    def make_busy(self) -> None:
        """As the loop finds its hub when it wakes late."""
        self.scheduler._pauses._late = 1.0
        self.scheduler.tick()

    def outcomes(self, number: int) -> set[str]:
        return {entry.outcome for n in range(number) for entry in self.runner.history(f"job {n}")}

    def _run(self, ctx: JobContext) -> None:
        self.begun.append(ctx.run.job)
        self.may_end.wait()

    def _noted(self, endings: Sequence[Ending]) -> Any:
        self.calls.append(len(endings))
        self.may_send.wait()
        if self.is_away:
            raise StoreError("this Redis takes no finish")
        return self._finish(endings)


@pytest.fixture
def instance() -> Iterator[Instance]:
    instance = Instance()
    yield instance
    instance.is_away = False
    instance.may_end.set()
    instance.may_send.set()
    instance.runner.stop()


class TestTogether:
    def test_those_that_end_in_one_turn_are_one_call(self, instance: Instance) -> None:
        instance.start(40)
        instance.end()

        assert [40] == instance.calls
        assert {Outcome.SUCCEEDED} == instance.outcomes(40)

    def test_those_that_end_at_once_too(self, instance: Instance) -> None:
        instance.may_end.set()
        instance.start(40)
        instance.turns()

        assert [40] == instance.calls

    def test_one_alone_waits_for_nobody(self, instance: Instance) -> None:
        instance.start(1)
        instance.end()

        assert [1] == instance.calls

    def test_all_begin_before_the_first_is_told_to_have_ended(self, instance: Instance) -> None:
        ended_after: list[int] = []

        def note(sender: object, **of: object) -> None:
            ended_after.append(len(instance.begun))

        with job_succeeded.connected_to(note):
            instance.may_end.set()
            instance.start(40)
            instance.turns()

        assert [40] * 40 == ended_after
        assert 0 == instance.executor._unbegun  # else each end would wait for a turn of the hub


class TestMakingWay:
    """Of those that end while others are to begin, or claims are under way."""

    @pytest.fixture
    def left(self, instance: Instance) -> Iterator[list[int]]:
        """How many are not concluded, in each turn of the loop until none is left."""
        left: list[int] = []

        def watch() -> None:
            while not left or left[-1]:
                left.append(instance.executor._under_way)
                turn_of_the_loop()

        instance.start(90)
        instance.executor.finishes.hold_back()
        instance.end()
        assert 90 == instance.executor._under_way
        watching = gevent.spawn(watch)
        yield left
        watching.get(timeout=10)

    def test_some_of_them_are_concluded_in_each_turn_of_the_loop(
        self, instance: Instance, left: list[int]
    ) -> None:
        instance.executor.finishes.let_go()
        instance.turns()

        assert any(0 < number < 90 for number in left), "nobody came in between"
        assert 0 == left[-1]

    def test_who_waits_for_them_waits_until_they_are_concluded(self, instance: Instance) -> None:
        instance.start(3)
        runs = instance.executor.active()
        instance.executor.finishes.hold_back()
        instance.end()
        assert not instance.executor.join(runs, timeout=0)

        instance.executor.finishes.let_go()
        assert instance.executor.join(runs, timeout=10)
        instance.executor.finishes.record(runs)
        assert {Outcome.SUCCEEDED} == instance.outcomes(3)

    def test_on_a_busy_hub_all_are_concluded_at_once(
        self, instance: Instance, left: list[int]
    ) -> None:
        instance.make_busy()
        instance.executor.finishes.let_go()
        instance.turns()

        assert {90, 0} == set(left)

    def test_who_listens_holds_up_no_other(self, instance: Instance) -> None:
        may_go_on, heard = Event(), []

        def listener(sender: object, run: Run, **of: object) -> None:
            heard.append(run.job)
            may_go_on.wait()

        with job_succeeded.connected_to(listener):
            instance.may_end.set()
            instance.start(40)
            instance.turns()
            assert 40 == len(heard)
            may_go_on.set()
            instance.turns()

        assert 40 == sum(instance.calls)
        assert instance.executor._idle.is_set()

    def test_a_filter_of_the_log_that_raises_loses_none(
        self,
        instance: Instance,
        capfd: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def refuse(record: logging.LogRecord) -> bool:
            if "finished" in record.msg and record.args == ("job 3",):
                raise ValueError("no such line")
            return True

        logger = logging.getLogger("jobrunner")
        caplog.set_level(logging.INFO, "jobrunner")
        logger.addFilter(refuse)
        try:
            instance.may_end.set()
            instance.start(40)
            instance.turns()
        finally:
            logger.removeFilter(refuse)

        assert {Outcome.SUCCEEDED} == instance.outcomes(40)
        assert instance.executor._idle.is_set()
        assert "no such line" in capfd.readouterr().err


class TestParts:
    def test_up_to_a_hundred_are_sent_in_two_calls(self, instance: Instance) -> None:
        instance.start(90)
        instance.end()

        assert [50, 40] == instance.calls

    def test_more_in_one(self, instance: Instance) -> None:
        instance.start(150)
        instance.end()

        assert [150] == instance.calls

    def test_and_all_on_a_busy_hub(self, instance: Instance) -> None:
        instance.start(90)
        instance.make_busy()
        instance.end()

        assert [90] == instance.calls


class TestHeldBack:
    def test_while_claims_are_under_way_and_sent_when_they_are_answered(
        self, instance: Instance
    ) -> None:
        instance.start(40)
        instance.executor.finishes.hold_back()
        instance.end()
        assert [] == instance.calls

        instance.executor.finishes.let_go()
        instance.turns()
        assert [40] == instance.calls
        assert instance.executor.free_slots == 1000

    def test_together_with_what_the_last_claims_began(self, instance: Instance) -> None:
        instance.start(1)
        instance.executor.finishes.hold_back()
        instance.end()
        with pytest.MonkeyPatch.context() as patched:
            # As if the first had ended in the middle of the tick: nothing else runs in there here.
            patched.setattr(instance.executor.finishes, "flush", lambda: None)
            patched.setattr(instance.executor.finishes, "let_go", lambda: None)
            instance.claim(range(1, 41))
        instance.executor.finishes.let_go()
        instance.turns()

        assert [41] == instance.calls

    def test_they_hold_their_slots_and_leases(self, instance: Instance) -> None:
        instance.start(40)
        instance.executor.finishes.hold_back()
        instance.end()

        assert 960 == instance.executor.free_slots
        assert 40 == len(instance.executor.active())

    def test_not_when_they_are_many(self, instance: Instance) -> None:
        instance.start(250)
        instance.executor.finishes.hold_back()
        instance.end()

        assert instance.calls
        assert 150 >= len(instance.executor.active())
        instance.executor.finishes.let_go()
        instance.turns()
        assert 250 == sum(instance.calls)

    def test_after_that_an_end_is_sent_at_once_again(self, instance: Instance) -> None:
        instance.start(2)
        instance.executor.finishes.hold_back()
        instance.executor.finishes.let_go()
        assert [] == instance.calls

        instance.end()
        assert [2] == instance.calls

    def test_what_redis_does_not_take_then_stays_for_the_next_flush(
        self, instance: Instance
    ) -> None:
        instance.start(3)
        instance.executor.finishes.hold_back()
        instance.end()
        instance.is_away = True
        instance.executor.finishes.let_go()
        instance.turns()
        assert 3 == len(instance.executor.active())

        instance.is_away = False
        instance.executor.finishes.flush()
        assert [] == instance.executor.active()
        assert {Outcome.SUCCEEDED} == instance.outcomes(3)

    def test_a_drain_sends_them_too(self, instance: Instance) -> None:
        instance.start(3)
        instance.executor.finishes.hold_back()
        instance.end()

        assert instance.runner.stop()
        assert [3] == instance.calls


def test_a_run_ended_when_its_code_did_and_not_when_another_let_the_hub_go() -> None:
    began: list[float] = []

    def slow(ctx: JobContext) -> None:
        began.append(time.time())
        time.sleep(0.3)

    runner = JobRunner(redis=fakeredis.FakeRedis(), namespace="shop")
    runner.job(every(hours=1), name="quick")(lambda ctx: None)
    runner.job(every(hours=1), name="slow")(slow)
    runner.tick(wait=True)

    (quick,) = runner.history("quick")
    assert quick.finished_at < began[0] + 0.2


def test_a_timeout_that_a_job_forgot_strikes_nobody(
    instance: Instance, capfd: pytest.CaptureFixture[str]
) -> None:
    runs: list[Any] = []

    @instance.runner.job(every(hours=1), name="forgets")
    def forgets(ctx: JobContext) -> None:
        runs.append(gevent.getcurrent())
        gevent.Timeout(0.001).start()

    instance.runner.tick(wait=True)
    assert runs[0].dead
    gevent.sleep(0.002)  # a timer too: it goes off after that one

    assert "" == capfd.readouterr().err
    assert [Outcome.SUCCEEDED] == [e.outcome for e in instance.runner.history("forgets")]


class TestATickThatWaits:
    def test_returns_when_its_ends_are_recorded_though_others_are_being_sent(
        self, instance: Instance
    ) -> None:
        instance.start(1)
        instance.may_send.clear()
        instance.end()
        assert [1] == instance.calls
        instance.runner.job(every(hours=1), name="job 1")(instance._run)

        ticking = gevent.spawn(instance.runner.tick, wait=True)
        instance.turns()
        assert ["job 0", "job 1"] == instance.begun
        assert not ticking.dead
        instance.may_send.set()
        ticking.get(timeout=10)

        assert [1, 1] == instance.calls
        assert {Outcome.SUCCEEDED} == instance.outcomes(2)
        assert 1 == len(instance.runner.history("job 1"))

    def test_leaves_what_redis_does_not_take_to_the_next_one(self, instance: Instance) -> None:
        instance.may_end.set()
        instance.is_away = True
        instance.runner.job(every(hours=1), name="job 0")(instance._run)

        instance.runner.tick(wait=True)
        assert 1 == len(instance.executor.active())
        instance.is_away = False
        instance.runner.tick(wait=True)

        assert {Outcome.SUCCEEDED} == instance.outcomes(1)
