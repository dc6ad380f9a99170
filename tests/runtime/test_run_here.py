"""A run by hand, in this process: what interrupts it, and what it tells meanwhile."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import Any

import fakeredis
import gevent
import pytest
from gevent.event import Event

from jobrunner import JobContext, JobRunner, every
from jobrunner.run import Outcome, Progress


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def runner() -> JobRunner:
    return JobRunner(redis=fakeredis.FakeRedis(), namespace="shop")


def run_here(runner: JobRunner, on_progress: Any = None) -> Any:
    return runner._state(None).run_here("job", on_progress)


def outcomes(runner: JobRunner) -> list[Outcome]:
    return [entry.outcome for entry in runner.history("job")]


def test_progress_is_told_where_the_run_tells_it(runner: JobRunner) -> None:
    told: list[Progress] = []

    @runner.job(every(hours=1))
    def job(ctx: JobContext) -> None:
        ctx.progress(1, 4, "first")
        assert 1 == len(told)  # at once, though the hub has had no turn
        ctx.progress(2, None)

    entry = run_here(runner, told.append)

    assert Outcome.SUCCEEDED is entry.outcome
    assert [(1, 4, "first"), (2, None, "")] == [(it.done, it.total, it.message) for it in told]
    assert told[0].at == pytest.approx(entry.started_at, abs=60)


def waits(ctx: JobContext) -> None:
    press()
    gevent.sleep(600)


def computes(ctx: JobContext) -> None:
    """Never lets the hub go on: it alone could throw into the run."""
    press()
    until = time.monotonic() + 600
    while time.monotonic() < until:
        pass


def swallows_errors(ctx: JobContext) -> None:
    for _ in range(600):
        try:
            press()
            time.sleep(1)
        except Exception as error:
            raise AssertionError("it is no error that a job may catch") from error


@pytest.mark.parametrize("body", [waits, computes, swallows_errors])
def test_ctrl_c_cancels_the_run_wherever_it_is(runner: JobRunner, body: Any) -> None:
    runner.job(every(hours=1), name="job")(body)
    before = signal.getsignal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_here(runner)

    assert [Outcome.CANCELLED] == outcomes(runner)
    (status,) = runner.status()
    assert (None, None) == (status.running, status.lease_left)
    assert before is signal.getsignal(signal.SIGINT)


def test_a_run_that_goes_on_is_told_again_and_knows_it(runner: JobRunner) -> None:
    seen: list[bool] = []

    @runner.job(every(hours=1))
    def job(ctx: JobContext) -> None:
        try:
            press()
            gevent.sleep(600)
        except BaseException:
            seen.append(ctx.cancelled)
        gevent.sleep(600)

    with pytest.raises(KeyboardInterrupt):
        run_here(runner)

    assert [True] == seen
    assert [Outcome.CANCELLED] == outcomes(runner)


def test_a_second_ctrl_c_waits_for_nothing(runner: JobRunner) -> None:
    began = Event()

    @runner.job(every(hours=1))
    def job(ctx: JobContext) -> None:
        began.set()
        while True:  # goes on, whatever it is told
            with suppress(BaseException):
                gevent.sleep(600)

    def press_twice() -> None:
        began.wait()
        press()
        press()

    gevent.spawn(press_twice)
    with pytest.raises(KeyboardInterrupt):
        run_here(runner)

    (status,) = runner.status()
    assert status.running is not None
