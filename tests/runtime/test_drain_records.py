"""What ends while its instance drains is in Redis when the drain is over."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from jobrunner import Job, JobContext, JobRunner, Outcome, StoreError
from tests.runtime.actor import Stage, instance_of
from tests.runtime.stage import Play
from tests.support.servers import RedisServer

Observe = Callable[..., JobRunner]

both_ways = pytest.mark.parametrize("patched", [True, False], ids=["greenlet", "thread"])


class Waits(Job):
    interval = 3600

    def __init__(self, stage: Stage, name: str) -> None:
        self.stage = stage
        self.name = name

    def run(self, ctx: JobContext) -> None:
        self.stage.say("started")
        self.stage.wait_for(f"end {self.name}")
        self.stage.say(f"ended {self.name}")


def drains(stage: Stage, redis_url: str, names: list[str], finishes: str | None = None) -> bool:
    """Runs some jobs, and stops when it hears so; `finishes` says what is wrong with them."""
    runner = JobRunner(
        jobs=[Waits(stage, name) for name in names],
        redis_url=redis_url,
        namespace="drain",
        check_interval=0.05,
    )
    runner.start()
    if finishes is not None:
        store = instance_of(runner).store
        store.finish = {"fail once": failing_once, "are slow": slow}[finishes](stage, store.finish)
    stage.wait_for("stop")
    by_themselves = runner.stop()
    stage.say("stopped")
    return by_themselves


def failing_once(stage: Stage, finish: Callable[[Any], Any]) -> Callable[[Any], Any]:
    refused: list[Any] = []

    def refuse_once(endings: Any) -> Any:
        if not refused:
            refused.append(endings)
            raise StoreError("this Redis did not hear")
        return finish(endings)

    return refuse_once


def slow(stage: Stage, finish: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The first finish goes on until the second run has ended too; the second takes its time."""

    def take_time(endings: Any) -> Any:
        if endings[0].definition.name == "first":
            stage.say("sending")
            stage.wait_for("go on")
        else:
            time.sleep(0.5)
        answers = finish(endings)
        stage.say("sent")
        return answers

    return take_time


@both_ways
def test_a_finish_that_fails_is_sent_again(redis_url: str, observe: Observe, patched: bool) -> None:
    with Play(
        drains, patched=patched, redis_url=redis_url, names=["one"], finishes="fail once"
    ) as play:
        play.wait_for("started")
        play.say("stop")
        play.wait_for_log("Stopping")
        play.say("end one")
        assert play.end() is True
    (entry,) = observe(redis_url, "drain", "one").history("one")
    assert Outcome.SUCCEEDED == entry.outcome


def test_a_finish_that_another_run_sends_is_awaited(redis_url: str, observe: Observe) -> None:
    """The run that ended first sends for the second, when its own end is recorded already."""
    names = ["first", "second"]
    with Play(drains, patched=True, redis_url=redis_url, names=names, finishes="are slow") as play:
        play.wait_for("started", count=2)
        play.say("end first")
        play.wait_for("sending")
        play.say("end second")
        play.wait_for("ended second")
        play.say("go on")
        play.wait_for("sent")
        play.say("stop")
        assert play.end() is True
    assert play.events("sent")[1]["at"] < play.events("stopped")[0]["at"]
    looking = observe(redis_url, "drain", *names)
    assert [1, 1] == [status.succeeded for status in looking.status()]


@both_ways
def test_a_drain_ends_also_when_redis_is_away(own_redis: RedisServer, patched: bool) -> None:
    with Play(drains, patched=patched, redis_url=own_redis.url, names=["one"]) as play:
        play.wait_for("started")
        own_redis.stop()
        play.say("stop")
        play.wait_for_log("Stopping")
        play.say("end one")
        assert play.end() is True
        assert [] == play.log("ERROR")
