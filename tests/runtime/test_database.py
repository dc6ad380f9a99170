"""The session of a run, on PostgreSQL: three ways to name the database, and nothing left open."""

import time
from collections import Counter
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session, sessionmaker

from jobrunner import Job, JobContext, JobRunner
from tests.runtime.actor import Stage
from tests.runtime.stage import Play, play
from tests.support.wait import wait_for

NOTE = text("INSERT INTO notes (job) VALUES (:job)")

both_ways = pytest.mark.parametrize("patched", [True, False], ids=["greenlet", "thread"])


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """A database with a table."""
    ask(postgres_url, "CREATE TABLE notes (job text)")
    return postgres_url


def ask(url: str, query: str) -> list[Any]:
    """The first column of the answer."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        cursor = connection.execute(query)
        return [] if cursor.description is None else [row[0] for row in cursor]


class Writes(Job):
    interval = 3600

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, ctx: JobContext) -> None:
        with ctx.session() as session:
            session.execute(NOTE, {"job": self.name})
            if self.name == "fails":
                raise ValueError("after its statement")


def writes(stage: Stage, redis_url: str, database_url: str, way: str) -> dict[str, str]:
    jobs = [Writes("succeeds"), Writes("fails")]
    if way == "JobContext":
        context = JobContext(session_factory=sessionmaker(create_engine(database_url)))
        runner = JobRunner(jobs=jobs, redis_url=redis_url, namespace="shop", context=context)
    else:
        app = Flask("shop")
        app.config["SQLALCHEMY_DATABASE_URI"] = database_url
        if way == "Flask-SQLAlchemy":
            SQLAlchemy(app)
        runner = JobRunner(app, jobs=jobs, redis_url=redis_url, mode="greenlet")
    runner.tick(wait=True)
    outcomes = {job.name: runner.history(job.name)[0].outcome for job in jobs}
    runner.stop()
    return outcomes


@pytest.mark.parametrize("way", ["Flask-SQLAlchemy", "SQLALCHEMY_DATABASE_URI", "JobContext"])
def test_a_session_commits_at_its_end_and_rolls_back_on_an_error(
    redis_url: str, database_url: str, way: str
) -> None:
    outcomes = play(writes, patched=True, redis_url=redis_url, database_url=database_url, way=way)
    assert {"succeeds": "succeeded", "fails": "failed"} == outcomes
    assert ["succeeds"] == ask(database_url, "SELECT job FROM notes")


class Uses(Job):
    """Opens a session in one way or the other, and ends in one way or another."""

    interval = 3600

    def __init__(self, stage: Stage, db: SQLAlchemy, number: int, end: str) -> None:
        self.name = f"{end} {number}"
        self.stage = stage
        self.db = db
        self.scoped = number % 2 == 0
        self.end = getattr(self, end.replace(" ", "_"))

    def run(self, ctx: JobContext) -> None:
        if self.scoped:
            self.write(ctx, self.db.session)
            self.db.session.commit()
        else:
            with ctx.session() as session:
                self.write(ctx, session)

    def write(self, ctx: JobContext, session: Session) -> None:
        session.execute(NOTE, {"job": self.name})
        self.end(ctx, session)

    def succeed(self, ctx: JobContext, session: Session) -> None:
        pass

    def fail(self, ctx: JobContext, session: Session) -> None:
        raise ValueError("a job's own")

    def hang(self, ctx: JobContext, session: Session) -> None:
        self.stage.say("hangs")
        while True:
            ctx.check()
            time.sleep(0.01)

    def hang_in_a_query(self, ctx: JobContext, session: Session) -> None:
        self.stage.say("hangs")
        session.execute(text("SELECT pg_sleep(60)"))


def uses(stage: Stage, redis_url: str, database_url: str, ends: dict[str, int], mode: str) -> int:
    """Returns how many connections were checked out at the end of all."""
    app = Flask("shop")
    app.config["SQLALCHEMY_DATABASE_URI"] = database_url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": 30, "max_overflow": 0}
    db = SQLAlchemy(app)
    jobs = [Uses(stage, db, i, end) for end, number in ends.items() for i in range(number)]
    runner = JobRunner(
        app,
        jobs=jobs,
        redis_url=redis_url,
        mode=mode,
        max_concurrent_runs=100,
        drain_timeout=0.1,
        check_interval=0.2,
    )
    runner.start()
    wait_for(lambda: sum(s.succeeded + s.failed for s in runner.status()) == 180, timeout=60)
    stage.wait_for("stop")
    runner.stop()
    stage.say("stopped", outcomes=Counter(s.last_outcome for s in runner.status()))
    stage.wait_for("go")
    with app.app_context():
        return db.engine.pool.checkedout()


@pytest.mark.parametrize(
    ("mode", "hanging"),
    [("greenlet", {"hang": 10, "hang in a query": 10}), ("thread", {"hang": 20})],
    ids=["greenlet", "thread"],
)
def test_two_hundred_runs_leave_no_connection_checked_out_and_no_transaction_open(
    redis_url: str, database_url: str, mode: str, hanging: dict[str, int]
) -> None:
    ends = {**hanging, "succeed": 90, "fail": 90}
    arguments = {"redis_url": redis_url, "database_url": database_url, "mode": mode, "ends": ends}
    states = "SELECT state FROM pg_stat_activity WHERE datname = current_database()"
    with Play(uses, patched=mode == "greenlet", **arguments) as playing:
        playing.wait_for("hangs", count=20)
        assert "idle in transaction" in ask(database_url, states)
        playing.say("stop")
        outcomes = playing.wait_for("stopped")["outcomes"]
        assert {"succeeded": 90, "failed": 90, "interrupted": 20} == outcomes
        wait_for(
            lambda: "idle in transaction" not in ask(database_url, states),
            message=lambda: str(ask(database_url, states)),
        )
        playing.say("go")
        assert 0 == playing.end()
    assert 90 == len(ask(database_url, "SELECT job FROM notes"))
