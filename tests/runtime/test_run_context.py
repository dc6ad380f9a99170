"""What a run stands in: a context of its own, the application's, and nothing of its caller's."""

import contextvars
import time
from typing import Any

import pytest
from flask import Flask, current_app, g

from jobrunner import JobContext, JobRunner, every
from tests.runtime.actor import Stage
from tests.runtime.stage import Play, play
from tests.support.wait import wait_for

whose = contextvars.ContextVar("whose", default="nobody's")

both_ways = pytest.mark.parametrize("patched", [True, False], ids=["greenlet", "thread"])


def looks_around(stage: Stage, redis_url: str, mode: str) -> dict[str, Any]:
    app = Flask("shop")
    seen: dict[str, Any] = {"runs": [], "teardowns": []}

    @app.teardown_appcontext
    def teardown(error: BaseException | None) -> None:
        seen["teardowns"].append(g.get("job", "a caller's"))

    runner = JobRunner(app, redis_url=redis_url, mode=mode)

    def look(ctx: JobContext) -> None:
        before = {"user": g.get("user"), "whose": whose.get()}
        g.user, g.job = "the run's", ctx.run.job
        whose.set("the run's")
        time.sleep(0.05)  # others run meanwhile
        seen["runs"].append(
            {
                **before,
                "same app": current_app == app and ctx.app is app,
                "own g": g.job == ctx.run.job,
            }
        )
        if ctx.run.job == "raises":
            raise ValueError("a job's own")

    for name in ("one", "two", "raises"):
        runner.job(every(milliseconds=150), name=name)(look)

    whose.set("the caller's")
    with app.app_context():
        g.user = "the caller's"
        runner.start()
        runner.tick(wait=True)
        wait_for(lambda: len(seen["runs"]) >= 9)
        runner.stop()
        seen["caller"] = {"user": g.user, "whose": whose.get(), "job": g.get("job")}
    return seen


@both_ways
def test_a_run_has_an_empty_context_inside_the_application(redis_url: str, patched: bool) -> None:
    mode = "greenlet" if patched else "thread"
    seen = play(looks_around, patched=patched, redis_url=redis_url, mode=mode)
    for run in seen["runs"]:
        assert {
            "user": None,
            "whose": "nobody's",
            "same app": True,
            "own g": True,
        } == run
    assert {"user": "the caller's", "whose": "the caller's", "job": None} == seen["caller"]
    *of_runs, last = seen["teardowns"]
    assert "a caller's" == last
    assert len(seen["runs"]) == len(of_runs)
    assert {"one", "two", "raises"} == set(of_runs)


def interrupted(stage: Stage, redis_url: str) -> list[str]:
    app = Flask("shop")
    teardowns: list[str] = []

    @app.teardown_appcontext
    def teardown(error: BaseException | None) -> None:
        teardowns.append(type(error).__name__)

    runner = JobRunner(app, redis_url=redis_url, mode="greenlet", drain_timeout=0)

    @runner.job(every(hours=1))
    def work(ctx: JobContext) -> None:
        stage.say("started")
        time.sleep(120)

    runner.start()
    stage.wait_for("stop")
    runner.stop()
    return teardowns


def test_teardown_functions_run_when_a_run_is_interrupted(redis_url: str) -> None:
    with Play(interrupted, patched=True, redis_url=redis_url) as playing:
        playing.wait_for("started")
        playing.say("stop")
        assert ["RunInterruptedError"] == playing.end()
