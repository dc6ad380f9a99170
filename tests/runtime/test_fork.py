"""A forked child does nothing of what its parent does, and is somebody else."""

import multiprocessing
import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from jobrunner import JobContext, JobRunner, Outcome, every
from tests.runtime.actor import Stage
from tests.runtime.stage import Play
from tests.support.wait import wait_for

Observe = Callable[..., JobRunner]

both_ways = pytest.mark.parametrize("patched", [True, False], ids=["greenlet", "thread"])


def in_child(work: Callable[[], Any], by: str) -> int:
    """Do `work` in a forked child; its exit code."""
    if by == "multiprocessing":
        child = multiprocessing.get_context("fork").Process(target=work)
        child.start()
        child.join()
        assert child.exitcode is not None
        return child.exitcode
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def forks(stage: Stage, redis_url: str, by: str) -> int:
    runner = JobRunner(redis_url=redis_url, namespace="fork", check_interval=0.05)

    @runner.job(every(milliseconds=20))
    def busy(ctx: JobContext) -> None:
        stage.say("ran", pid=os.getpid(), instance=ctx.run.instance)

    runner.start()
    stage.wait_for("fork")

    def child() -> None:
        stage.say("child", pid=os.getpid())
        time.sleep(0.5)  # a hub goes round, and what lives in it would run
        runner.stop()  # of the parent: does nothing here
        stage.say("child tells")

    code = in_child(child, by)
    stage.wait_for("stop")
    runner.stop()
    return code


@both_ways
@pytest.mark.parametrize("by", ["os.fork", "multiprocessing"])
def test_an_instance_that_was_made_before_the_fork_does_nothing_in_the_child(
    redis_url: str, observe: Observe, patched: bool, by: str
) -> None:
    with Play(forks, patched=patched, redis_url=redis_url, by=by) as play:
        play.wait_for("ran")
        play.say("fork")
        forked = play.wait_for("child")
        told = play.wait_for("child tells")
        before = len(play.events("ran"))
        wait_for(lambda: len(play.events("ran")) > before + 3, message="the parent goes on")
        play.say("stop")
        assert 0 == play.end()
    assert {play.pid} == {event["pid"] for event in play.events("ran")}
    assert forked["pid"] != play.pid
    assert told["at"] - forked["at"] > 0.4
    history = observe(redis_url, "fork", "busy").history("busy", limit=100)
    assert {Outcome.SUCCEEDED} == {entry.outcome for entry in history}


def forks_while_running(stage: Stage, redis_url: str, by: str) -> int:
    runner = JobRunner(redis_url=redis_url, namespace="fork", check_interval=0.05)
    parent = os.getpid()

    @runner.job(every(hours=1))
    def long(ctx: JobContext) -> None:
        stage.say("started", run=ctx.run.id)
        time.sleep(0.3)
        while os.getpid() == parent and not stage.heard("end"):
            time.sleep(0.01)

    runner.start()
    stage.wait_for("fork")
    code = in_child(lambda: time.sleep(1), by)
    stage.say("child gone")
    stage.wait_for("stop")
    runner.stop()
    return code


@both_ways
@pytest.mark.parametrize("by", ["os.fork", "multiprocessing"])
def test_the_copy_of_a_run_in_a_child_does_not_end_the_run(
    redis_url: str, observe: Observe, patched: bool, by: str
) -> None:
    with Play(forks_while_running, patched=patched, redis_url=redis_url, by=by) as play:
        run = play.wait_for("started")["run"]
        play.say("fork")
        play.wait_for("child gone")
        looking = observe(redis_url, "fork", "long")
        (status,) = looking.status()
        assert (run, []) == (status.running, looking.history("long"))
        play.say("end")
        play.say("stop")
        assert 0 == play.end()
        (entry,) = looking.history("long")
        assert (run, Outcome.SUCCEEDED) == (entry.run_id, entry.outcome)


def own_instance(stage: Stage, redis_url: str, by: str) -> int:
    runner = JobRunner(redis_url=redis_url, namespace="fork", check_interval=0.05)

    @runner.job(every(milliseconds=1))
    def busy(ctx: JobContext) -> None:
        stage.say("ran", pid=os.getpid(), instance=ctx.run.instance)

    runner.tick(wait=True)

    def child() -> None:
        runner.tick(wait=True)
        runner.stop()

    code = in_child(child, by)
    runner.stop()
    return code


@both_ways
@pytest.mark.parametrize("by", ["os.fork", "multiprocessing"])
def test_ids_differ_after_a_fork(redis_url: str, patched: bool, by: str) -> None:
    with Play(own_instance, patched=patched, redis_url=redis_url, by=by) as play:
        assert 0 == play.end()
    parent, child = play.events("ran")
    assert parent["pid"] != child["pid"]
    assert parent["instance"] != child["instance"]
