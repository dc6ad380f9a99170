"""A thousand runs that succeed, raise, time out, are killed or interrupted leave nothing behind."""

import time
from collections import Counter

import gevent
import redis
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text
from sqlalchemy.orm import Session

from jobrunner import JobContext, JobRunner
from tests.runtime.actor import Stage
from tests.runtime.stage import Play
from tests.runtime.test_database import Uses, ask
from tests.support.wait import wait_for

ENDS = {
    "hang": 20,
    "hang_in_a_query": 20,
    "be_killed": 160,
    "be_killed_in_a_query": 50,
    "time_itself_out": 50,
    "run_out_of_time": 60,
    "succeed": 340,
    "fail": 300,
}
INTERRUPTED = 40
#: Runs that a kill, or a time limit of the job's own, ends from outside.
KILLED = 260

#: The server goes on with it when its client has gone, and keeps a place occupied.
QUERY = text("SELECT pg_sleep(0.5)")


class Ends(Uses):
    """Also dies of a kill from outside, or of a time limit: its own, or the policy's."""

    def be_killed(self, ctx: JobContext, session: Session) -> None:
        _kill_soon()
        while True:
            time.sleep(0.01)

    def be_killed_in_a_query(self, ctx: JobContext, session: Session) -> None:
        _kill_soon()
        session.execute(QUERY)

    def time_itself_out(self, ctx: JobContext, session: Session) -> None:
        with gevent.Timeout(0.02):  # a BaseException, in the middle of a query
            session.execute(QUERY)

    def run_out_of_time(self, ctx: JobContext, session: Session) -> None:
        session.execute(QUERY)


def _kill_soon() -> None:
    gevent.spawn_later(0.02, gevent.getcurrent().kill, block=False)


def runs_a_thousand(stage: Stage, redis_url: str, database_url: str) -> int:
    """Returns how many connections were checked out at the end of all."""
    app = Flask("shop")
    app.config["SQLALCHEMY_DATABASE_URI"] = database_url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": 60, "max_overflow": 0}
    db = SQLAlchemy(app)
    jobs = [Ends(stage, db, i, end) for end, number in ENDS.items() for i in range(number)]
    for job in jobs:
        if job.name.startswith("run_out_of_time"):
            job.timeout = 0.02
    runner = JobRunner(
        app,
        jobs=jobs,
        redis_url=redis_url,
        mode="greenlet",
        max_concurrent_runs=100,
        drain_timeout=0.1,
        check_interval=0.2,
    )
    runner.start()
    wait_for(
        lambda: (
            sum(s.succeeded + s.failed + s.timed_out for s in runner.status())
            == len(jobs) - INTERRUPTED
        ),
        timeout=120,
        every=0.5,
    )
    stage.say("all but the hanging")
    stage.wait_for("stop")
    runner.stop()
    stage.say("stopped", outcomes=Counter(s.last_outcome for s in runner.status()))
    stage.wait_for("go")
    with app.app_context():
        return db.engine.pool.checkedout()


def test_a_thousand_runs_leave_no_connection_no_transaction_and_no_lease(
    redis_url: str, postgres_url: str
) -> None:
    assert 1000 == sum(ENDS.values())
    ask(postgres_url, "CREATE TABLE notes (job text)")
    states = "SELECT state FROM pg_stat_activity WHERE datname = current_database()"
    arguments = {"redis_url": redis_url, "database_url": postgres_url}
    with Play(runs_a_thousand, patched=True, **arguments) as playing:
        playing.wait_for("hangs", count=INTERRUPTED)
        assert "idle in transaction" in ask(postgres_url, states)
        playing.wait_for("all but the hanging")
        with redis.Redis.from_url(redis_url) as client:
            assert INTERRUPTED == len(list(client.scan_iter("*:lease", count=1000)))
            playing.say("stop")
            outcomes = playing.wait_for("stopped")["outcomes"]
            ended = {
                "succeeded": ENDS["succeed"],
                "failed": ENDS["fail"] + KILLED,
                "timed_out": ENDS["run_out_of_time"],
                "interrupted": INTERRUPTED,
            }
            assert ended == outcomes
            assert [] == list(client.scan_iter("*:lease", count=1000))
        wait_for(
            lambda: "idle in transaction" not in ask(postgres_url, states),
            message=lambda: str(ask(postgres_url, states)),
        )
        playing.say("go")
        assert 0 == playing.end()
    assert ENDS["succeed"] == len(ask(postgres_url, "SELECT job FROM notes"))
