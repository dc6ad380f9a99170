"""Redis goes away and comes back: runs are told in time, nothing starts, nothing is lost."""

import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from jobrunner import Job, JobContext, JobRunner, LeaseLostError, Outcome, every
from tests.runtime.actor import Stage
from tests.runtime.stage import Play
from tests.runtime.watch import LeaseWatch
from tests.support.servers import RedisServer
from tests.support.wait import wait_for

Observe = Callable[..., JobRunner]

CHECK_INTERVAL = 0.2


class Long(Job):
    """Goes on until it is told to stop."""

    name = "long"
    interval = 3600

    def __init__(self, stage: Stage, way: str) -> None:
        self.stage = stage
        self.way = way

    def run(self, ctx: JobContext) -> None:
        self.stage.say("started", run=ctx.run.id)
        try:
            getattr(self, self.way)(ctx)
        except LeaseLostError:
            self.stage.say("told")
            raise

    def sleeping(self, ctx: JobContext) -> None:
        time.sleep(120)  # of a greenlet: the error is thrown into it

    def computing(self, ctx: JobContext) -> None:
        while not ctx.cancelled:
            sum(range(1000))  # yields to no hub, so nothing can be thrown
        ctx.check()

    def checking(self, ctx: JobContext) -> None:
        while True:
            ctx.check()
            time.sleep(0.005)


def runs(
    stage: Stage, redis_url: str, way: str, lease: float, ticking: bool = True, name: str = "away"
) -> None:
    runner = JobRunner(
        jobs=[Long(stage, way)],
        redis_url=redis_url,
        namespace=name,
        lease=lease,
        check_interval=CHECK_INTERVAL,
    )

    if ticking:

        @runner.job(every(milliseconds=100))
        def ticker(ctx: JobContext) -> None:
            stage.say("ticked", started_at=ctx.run.started_at)

    runner.start()
    stage.wait_for("stop")
    runner.stop()


#: How a run can be told, and whether in a patched process.
WAYS = {"sleeping": True, "computing": True, "checking": False}


def test_a_run_is_told_before_its_lease_ends(own_redis: RedisServer, observe: Observe) -> None:
    """Asleep in a greenlet, computing in a greenlet, in a native thread: side by side."""
    url = own_redis.url
    with ExitStack() as stack:
        client = stack.enter_context(own_redis.client())
        plays = {
            way: stack.enter_context(
                Play(runs, patched=patched, redis_url=url, way=way, lease=4.0, name=way)
            )
            for way, patched in WAYS.items()
        }
        started = {way: play.wait_for("started") for way, play in plays.items()}
        watches = {way: stack.enter_context(LeaseWatch(url, way, "long")) for way in plays}

        # Reads are answered, so the leases can be seen to end; renewals are not.
        client.client_pause(120_000, all=False)
        told = {way: play.wait_for("told") for way, play in plays.items()}
        for way, watch in watches.items():
            wait_for(lambda watch=watch: client.get(watch.key) is None, message="a lease's end")
            held_later = watch.holders(after=told[way]["at"], before=time.monotonic())
            assert started[way]["run"] in held_later, way
        client.client_unpause()

        for way, play in plays.items():
            play.say("stop")
            play.end()
            (entry,) = observe(url, way, "long").history("long")
            assert Outcome.LEASE_LOST == entry.outcome


@pytest.mark.parametrize(("way", "patched"), [("sleeping", True), ("checking", False)])
def test_nothing_starts_while_redis_is_stopped_and_all_goes_on_when_it_is_back(
    own_redis: RedisServer, observe: Observe, way: str, patched: bool
) -> None:
    with Play(runs, patched=patched, redis_url=own_redis.url, way=way, lease=1.0) as play:
        play.wait_for("started")
        play.wait_for("ticked")

        own_redis.stop()
        down = time.time()
        play.wait_for("told")
        up = time.time()
        own_redis.start()
        answering = time.time()

        def started_since() -> list[float]:
            moments = [event["started_at"] for event in play.events("ticked")]
            assert [] == [moment for moment in moments if down < moment < up]
            return [moment for moment in moments if moment > up]

        first, *_ = wait_for(started_since, message="a run after Redis came back")
        assert first - answering < CHECK_INTERVAL + 5  # a busy machine is late
        looking = observe(own_redis.url, "away", "long")
        wait_for(lambda: looking.history("long"), message="the record of the lost run")
        play.say("stop")
        play.end()

        (entry,) = looking.history("long")
        assert Outcome.LEASE_LOST == entry.outcome
        assert_one_line_each(play)


def test_on_a_read_only_redis_nothing_starts_and_it_is_told_as_away(
    own_redis: RedisServer, observe: Observe
) -> None:
    with (
        own_redis.client() as client,
        Play(
            runs, patched=True, redis_url=own_redis.url, way="sleeping", lease=1.0, ticking=False
        ) as play,
    ):
        play.wait_for("started")
        client.config_set("min-replicas-to-write", 1)
        play.wait_for("told")
        client.config_set("min-replicas-to-write", 0)
        looking = observe(own_redis.url, "away", "long")
        wait_for(lambda: looking.history("long"), message="the record of the lost run")
        play.say("stop")
        play.end()
        assert_one_line_each(play)


def assert_one_line_each(play: Play) -> None:
    warnings = play.log("WARNING")
    assert 1 == sum("Could not check and run jobs" in line for line in warnings), warnings
    assert 1 == sum("is back" in line for line in warnings), warnings
