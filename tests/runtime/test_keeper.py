"""The lease keeper: a thread and a client of its own, which no error ends."""

import time
from collections.abc import Callable

import pytest

from jobrunner import JobContext, JobRunner, LeaseLostError, Outcome, every
from jobrunner.engine.keeper import LeaseKeeper
from jobrunner.store import scripts
from tests.runtime.actor import Stage
from tests.runtime.stage import Play
from tests.runtime.watch import LeaseWatch, Monitor
from tests.support.servers import RedisServer
from tests.support.wait import wait_for

Observe = Callable[..., JobRunner]

LEASE = 0.6
FAILURES = 3

both_ways = pytest.mark.parametrize("patched", [True, False], ids=["greenlet", "thread"])


def keeps(stage: Stage, redis_url: str, failing: str | None = None) -> None:
    """A run, while a step of the keeper fails at first for a reason that nobody foresaw."""
    if failing is not None:
        fail_at_first(stage, failing)
    runner = JobRunner(redis_url=redis_url, namespace="keeper", lease=LEASE, check_interval=0.1)

    @runner.job(every(hours=1))
    def work(ctx: JobContext) -> None:
        stage.say("started", run=ctx.run.id)
        try:
            stage.wait_for("end")
        except LeaseLostError:
            stage.say("told")
            raise
        stage.say("ended")

    runner.start()
    stage.wait_for("stop")
    runner.stop()


def fail_at_first(stage: Stage, name: str) -> None:
    step = getattr(LeaseKeeper, name)
    failures: list[str] = []

    def fails(keeper: LeaseKeeper) -> float:
        if keeper.leases and len(failures) < FAILURES:
            failures.append(name)
            stage.say("failed")
            raise ZeroDivisionError("nobody foresaw this")
        return step(keeper)

    setattr(LeaseKeeper, name, fails)


@both_ways
def test_an_error_that_nobody_foresaw_does_not_end_the_renewing(
    redis_url: str, observe: Observe, patched: bool
) -> None:
    with (
        LeaseWatch(redis_url, "keeper", "work") as watch,
        Play(keeps, patched=patched, redis_url=redis_url, failing="renew") as play,
    ):
        started = play.wait_for("started")
        play.wait_for("failed", count=FAILURES)
        wait_for(lambda: time.monotonic() > started["at"] + 3 * LEASE)
        play.say("end")
        ended = play.wait_for("ended")
        play.say("stop")
        play.end()
        assert any("nobody foresaw this" in line for line in play.log("WARNING"))
    assert {started["run"]} == set(watch.holders(after=started["at"], before=ended["at"]))
    (entry,) = observe(redis_url, "keeper", "work").history("work")
    assert Outcome.SUCCEEDED == entry.outcome


def test_an_error_that_nobody_foresaw_does_not_end_the_telling(own_redis: RedisServer) -> None:
    with Play(keeps, patched=True, redis_url=own_redis.url, failing="expire") as play:
        play.wait_for("started")
        play.wait_for("failed", count=FAILURES)
        own_redis.stop()
        play.wait_for("told")


@both_ways
def test_leases_are_renewed_through_a_client_of_their_own(
    redis_server: RedisServer, redis_url: str, patched: bool
) -> None:
    with (
        Monitor(redis_server, redis_url) as monitor,
        Play(keeps, patched=patched, redis_url=redis_url) as play,
    ):

        def clients(script: scripts.Script) -> set[str]:
            """Which ones sent it."""
            return {
                heard["client_port"]
                for heard in monitor.commands()
                if script.digest in heard["command"] or script.source in heard["command"]
            }

        wait_for(lambda: clients(scripts.claim) and clients(scripts.renew))
        play.say("end")
        play.say("stop")
        play.end()
        assert 1 == len(clients(scripts.renew))
        assert not clients(scripts.renew) & (clients(scripts.claim) | clients(scripts.finish))
