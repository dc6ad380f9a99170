"""What a test may set decides what is due: on fakeredis, without a sleep."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime

import fakeredis
import freezegun
import pytest
import time_machine

from jobrunner import JobContext, JobRunner, cron, every

#: 2023-11-14 22:13:20 UTC.
NOON = 1_700_000_000.0

#: Makes it that moment, in Unix seconds.
SetTime = Callable[[float], None]


@pytest.fixture
def runner() -> JobRunner:
    return JobRunner(redis=fakeredis.FakeRedis(), namespace="shop")


def moment(unix_seconds: float) -> datetime:
    # Rounded, for a float's microseconds are not exact and freezegun cuts them off.
    return datetime.fromtimestamp(round(unix_seconds, 3), UTC)


class Ways:
    """The four ways in which a test of a user's sets the time."""

    @staticmethod
    @contextmanager
    def runner_clock(runner: JobRunner) -> Iterator[SetTime]:
        with pytest.MonkeyPatch.context() as monkeypatch:
            yield lambda now: monkeypatch.setattr(runner, "clock", lambda: now)

    @staticmethod
    @contextmanager
    def time_time(runner: JobRunner) -> Iterator[SetTime]:
        with pytest.MonkeyPatch.context() as monkeypatch:
            yield lambda now: monkeypatch.setattr(time, "time", lambda: now)

    @staticmethod
    @contextmanager
    def time_machine(runner: JobRunner) -> Iterator[SetTime]:
        with time_machine.travel(NOON, tick=False) as traveller:
            yield lambda now: traveller.move_to(moment(now))

    @staticmethod
    @contextmanager
    def freezegun(runner: JobRunner) -> Iterator[SetTime]:
        with freezegun.freeze_time(moment(NOON)) as frozen:
            yield lambda now: frozen.move_to(moment(now))


@pytest.fixture(params=["runner_clock", "time_time", "time_machine", "freezegun"])
def time_set(request: pytest.FixtureRequest, runner: JobRunner) -> AbstractContextManager[SetTime]:
    """One of the four; entered in the test, for pytest itself measures what a fixture takes."""
    way: AbstractContextManager[SetTime] = getattr(Ways, request.param)(runner)
    return way


@pytest.fixture
def starts(runner: JobRunner) -> list[float]:
    """When the five-minute job of the runner started, run by run."""
    starts: list[float] = []

    @runner.job(every(minutes=5))
    def purge(ctx: JobContext) -> None:
        starts.append(ctx.run.started_at)

    return starts


def test_a_job_runs_when_more_than_its_interval_has_passed(
    runner: JobRunner, time_set: AbstractContextManager[SetTime], starts: list[float]
) -> None:
    with time_set as set_time:
        set_time(NOON)
        runner.tick(wait=True)
        assert [NOON] == starts, "with no last run it is due at once"

        for too_early in (NOON, NOON + 299, NOON + 299.999, NOON + 300):
            set_time(too_early)
            runner.tick(wait=True)
        assert [NOON] == starts

        set_time(NOON + 300.001)
        runner.tick(wait=True)
        assert [NOON, NOON + 300.001] == starts

        runner.tick(wait=True)
        set_time(NOON + 300.001 + 86_400)
        runner.tick(wait=True)
        runner.tick(wait=True)
        assert 3 == len(starts), "what was missed is made up for once"


def test_a_small_step_back_starts_nothing(
    runner: JobRunner, time_set: AbstractContextManager[SetTime], starts: list[float]
) -> None:
    with time_set as set_time:
        set_time(NOON)
        runner.tick(wait=True)

        set_time(NOON - 299)
        runner.tick(wait=True)
        set_time(NOON + 300)
        runner.tick(wait=True)

        assert [NOON] == starts


def test_a_cron_job_runs_from_its_moment_on(
    runner: JobRunner, time_set: AbstractContextManager[SetTime]
) -> None:
    with time_set as set_time:
        due_and_start: list[tuple[float, float]] = []

        @runner.job(cron("30 23 * * *", tz="Europe/Vienna"))
        def report(ctx: JobContext) -> None:
            due_and_start.append((ctx.run.due_at, ctx.run.started_at))

        # It is 23:13:20 in Vienna.
        half_past = NOON + 1000
        for too_early in (NOON, half_past - 0.001):
            set_time(too_early)
            runner.tick(wait=True)
        assert [] == due_and_start, "no moment has come since it was first seen"

        set_time(half_past)
        runner.tick(wait=True)
        runner.tick(wait=True)
        set_time(half_past + 86_399)
        runner.tick(wait=True)
        assert [(half_past, half_past)] == due_and_start

        set_time(half_past + 86_400 + 60)
        runner.tick(wait=True)
        assert (half_past + 86_400, half_past + 86_460) == due_and_start[-1]


def test_what_is_told_of_a_job_is_by_that_clock_too(
    runner: JobRunner, time_set: AbstractContextManager[SetTime], starts: list[float]
) -> None:
    with time_set as set_time:
        set_time(NOON)
        runner.tick(wait=True)

        (status,) = runner.status()
        (entry,) = runner.history("purge")
        assert (NOON, NOON + 300) == (status.last_run, status.next_due)
        assert (NOON, NOON, NOON) == (entry.due_at, entry.started_at, entry.finished_at)


def test_the_runner_s_clock_goes_before_the_system_s(
    runner: JobRunner, starts: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: NOON)
    monkeypatch.setattr(runner, "clock", lambda: 12.5)
    runner.tick(wait=True)

    monkeypatch.setattr(runner, "clock", None)
    runner.tick(wait=True)

    assert [12.5, NOON] == starts


def test_a_clock_may_begin_at_zero(
    runner: JobRunner, starts: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [0.0, 300.001, 600.002]
    for now in (0.0, 300.0, 300.001, 600.001, 600.002):
        monkeypatch.setattr(runner, "clock", lambda now=now: now)
        runner.tick(wait=True)

    assert expected == starts


def test_two_runners_with_clocks_of_their_own() -> None:
    """One process, two applications under test: neither sets the other's clock."""
    ran: list[str] = []

    def make(name: str, clock: Callable[[], float]) -> JobRunner:
        runner = JobRunner(redis=fakeredis.FakeRedis(), namespace=name, clock=clock)
        runner.job(every(minutes=5))(lambda ctx: ran.append(f"{name} {ctx.run.started_at:g}"))
        return runner

    for runner in (make("shop", lambda: 100.0), make("blog", lambda: 900.0)):
        runner.tick(wait=True)

    assert ["shop 100", "blog 900"] == ran
