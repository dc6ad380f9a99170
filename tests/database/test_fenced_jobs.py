"""Fenced jobs through the public API: a run that was superseded commits nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import fakeredis
import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    insert,
    select,
)
from sqlalchemy.orm import sessionmaker

from jobrunner import (
    ConfigurationError,
    JobContext,
    JobRunner,
    Outcome,
    Retry,
    every,
    fence_table,
)

LEASE = "{shop}:job:purge:lease"

METADATA = MetaData()
EFFECTS = Table(
    "fenced_effects", METADATA, Column("id", Integer, primary_key=True), Column("run", String(50))
)
fence_table(METADATA)


class Shop:
    """Instances of one application, on one Redis and one PostgreSQL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.redis = fakeredis.FakeRedis()
        self._engines: list[Engine] = []
        self.engine = self._new_engine()
        self.now = 1_700_000_000.0
        self._apps: list[Flask] = []
        METADATA.create_all(self.engine)

    def instance(self, body: Callable[[JobContext], object], **options: Any) -> JobRunner:
        """An instance whose job does `body`, with an engine of its own."""
        context = JobContext(session_factory=sessionmaker(self._new_engine()))
        settings = {name: options.pop(name) for name in ["fenced_by_default"] if name in options}
        runner = JobRunner(
            redis=self.redis,
            context=context,
            clock=lambda: self.now,
            fenced=settings.get("fenced_by_default", False),
        )
        runner.job(every(minutes=10), name="purge", **{"fenced": True, **options})(body)
        app = Flask("shop")
        runner.init_app(app)
        self._apps.append(app)
        return runner

    def _new_engine(self) -> Engine:
        engine = create_engine(self.url)
        self._engines.append(engine)
        return engine

    def close(self) -> None:
        """Dispose of its engines: who leaves that to the garbage collector is warned."""
        for engine in self._engines:
            engine.dispose()

    def effects(self) -> list[str | None]:
        with self.engine.connect() as connection:
            return list(connection.scalars(select(EFFECTS.c.run).order_by(EFFECTS.c.id)))

    def loses_the_lease(self) -> None:
        """As a frozen process, or a failover, does; and the job is due again."""
        self.redis.delete(LEASE)
        self.now += 600.001


@pytest.fixture
def shop(postgres_url: str) -> Iterator[Shop]:
    shop = Shop(postgres_url)
    yield shop
    shop.close()


def writes(ctx: JobContext) -> None:
    with ctx.session() as session:
        session.execute(insert(EFFECTS).values(run=ctx.run.id))


def outcomes(runner: JobRunner) -> list[Outcome]:
    return [entry.outcome for entry in runner.history("purge")]


@pytest.mark.parametrize("policy", [{"fenced": True}, {"fenced": None, "fenced_by_default": True}])
def test_a_superseded_run_is_refused_and_its_successor_s_work_stands(
    shop: Shop, policy: dict[str, Any]
) -> None:
    successor = shop.instance(writes, **policy)

    def superseded(ctx: JobContext) -> None:
        with ctx.session() as session:
            session.execute(insert(EFFECTS).values(run="too late"))
            shop.loses_the_lease()
            successor.tick(wait=True)

    older = shop.instance(superseded, **policy)
    older.tick(wait=True)

    assert [Outcome.STALE, Outcome.SUCCEEDED] == outcomes(older)
    assert "too late" not in shop.effects()
    assert 1 == len(shop.effects())
    assert 1 == older.status()[0].stale


def test_without_the_fence_it_commits(shop: Shop) -> None:
    """What the fence is for: the test above sees the fence, and not something else."""
    successor = shop.instance(writes, fenced=False)

    def superseded(ctx: JobContext) -> None:
        with ctx.session() as session:
            session.execute(insert(EFFECTS).values(run="too late"))
            shop.loses_the_lease()
            successor.tick(wait=True)

    shop.instance(superseded, fenced=False).tick(wait=True)

    assert "too late" in shop.effects()


def test_a_successor_that_has_only_opened_its_session_refuses_it_too(shop: Shop) -> None:
    seen = []

    def older_body(ctx: JobContext) -> None:
        with ctx.session() as session:
            session.execute(insert(EFFECTS).values(run="too late"))
            shop.loses_the_lease()
            successor.tick(wait=True)

    def successor_body(ctx: JobContext) -> None:
        with ctx.session() as session:
            seen.append(session.scalar(select(EFFECTS.c.id)))

    successor = shop.instance(successor_body)
    shop.instance(older_body).tick(wait=True)

    assert [None] == seen
    assert [] == shop.effects()


def test_after_redis_lost_everything_the_older_run_is_refused_all_the_same(shop: Shop) -> None:
    def superseded(ctx: JobContext) -> None:
        with ctx.session() as session:
            session.execute(insert(EFFECTS).values(run="too late"))
            shop.redis.flushall()
            shop.now += 600.001
            successor.tick(wait=True)

    successor = shop.instance(writes)
    shop.instance(superseded).tick(wait=True)

    assert "too late" not in shop.effects()
    assert 1 == len(shop.effects())


def test_a_run_with_a_token_too_small_gets_a_larger_one(shop: Shop) -> None:
    """A new master whose clock is behind: the newest run must not be refused for that."""
    shop.instance(writes).tick(wait=True)
    with shop.engine.begin() as connection:
        table = METADATA.tables["jobrunner_fence"]
        connection.execute(table.update().values(token=2**52))
    shop.now += 600.001
    runner = shop.instance(writes)

    runner.tick(wait=True)

    assert [Outcome.SUCCEEDED, Outcome.SUCCEEDED] == outcomes(runner)
    assert str(2**52 + 1).encode() == shop.redis.hget("{shop}:job:purge:state", "token")


def test_a_run_that_repeats_an_abandoned_one_knows_that_the_effect_is_there(shop: Shop) -> None:
    told = []

    def body(ctx: JobContext) -> None:
        told.append(ctx.run.already_committed)
        if not told[-1]:
            writes(ctx)
            shop.redis.delete(LEASE)  # it dies before its finish is recorded
            again.tick(wait=True)

    again = shop.instance(body, recover=True)
    shop.instance(body, recover=True).tick(wait=True)

    assert [False, True] == told
    assert 1 == len(shop.effects())


def test_an_attempt_knows_what_the_one_before_it_has_committed(shop: Shop) -> None:
    found: list[bool] = []

    def commits_and_fails(ctx: JobContext) -> None:
        found.append(ctx.run.already_committed)
        if not found[-1]:
            writes(ctx)
        if ctx.run.attempt < 3:
            raise ValueError("after its commit")

    runner = shop.instance(commits_and_fails, retry=Retry(attempts=3, base=0))
    runner.tick(wait=True)

    assert [False, True, True] == found
    assert 1 == len(shop.effects())
    (entry,) = runner.history("purge")
    assert (Outcome.SUCCEEDED, 3) == (entry.outcome, entry.attempts)


def test_an_attempt_that_failed_before_its_commit_leaves_no_mark(shop: Shop) -> None:
    found: list[bool] = []

    def fails_once(ctx: JobContext) -> None:
        found.append(ctx.run.already_committed)
        with ctx.session() as session:
            session.execute(insert(EFFECTS).values(run=ctx.run.id))
            if ctx.run.attempt == 1:
                raise ValueError("before its commit")

    shop.instance(fails_once, retry=Retry(attempts=2, base=0)).tick(wait=True)

    assert [False, False] == found
    assert 1 == len(shop.effects())


def test_a_superseded_run_is_not_tried_again(shop: Shop) -> None:
    attempts: list[int] = []
    other = shop.instance(writes)

    def is_superseded(ctx: JobContext) -> None:
        attempts.append(ctx.run.attempt)
        with ctx.session() as session:
            session.execute(insert(EFFECTS).values(run=ctx.run.id))
            session.commit()
            shop.loses_the_lease()
            other.tick(wait=True)  # records the death
            other.tick(wait=True)
            session.execute(insert(EFFECTS).values(run="too late"))

    one = shop.instance(is_superseded, retry=Retry(attempts=3, base=0))
    one.tick(wait=True)

    assert [1] == attempts
    assert [Outcome.STALE, Outcome.SUCCEEDED] == outcomes(one)  # its entry was amended last
    assert "too late" not in shop.effects()


def test_what_a_teardown_function_commits_is_fenced_too(shop: Shop) -> None:
    app = Flask("shop")
    app.config["SQLALCHEMY_DATABASE_URI"] = shop.url
    db = SQLAlchemy(app)

    @app.teardown_appcontext
    def commit(error: BaseException | None) -> None:
        db.session.commit()

    runner = JobRunner(redis=shop.redis)

    @runner.job(every(minutes=10), name="purge", fenced=True)
    def purge(ctx: JobContext) -> None:
        db.session.execute(select(EFFECTS.c.id))
        db.session.commit()
        with shop.engine.begin() as connection:  # a newer run comes
            fence = METADATA.tables["jobrunner_fence"]
            connection.execute(fence.update().values(token=2**60, run_id="newer"))
        db.session.execute(insert(EFFECTS).values(run="too late"))

    runner.init_app(app)
    runner.tick(wait=True)

    assert [] == shop.effects()
    assert [Outcome.STALE] == outcomes(runner)
    with app.app_context():
        db.engine.dispose()


def test_a_table_that_is_missing_is_an_error_that_says_how_to_make_it(shop: Shop) -> None:
    METADATA.tables["jobrunner_fence"].drop(shop.engine)
    runner = shop.instance(writes)

    runner.tick(wait=True)

    (entry,) = runner.history("purge")
    assert Outcome.FAILED == entry.outcome
    assert "flask jobs init-db" in str(entry.error)
    assert "fence_table" in str(entry.error)


def test_a_job_without_a_fence_cannot_ask(shop: Shop) -> None:
    asked: list[ConfigurationError] = []

    def body(ctx: JobContext) -> None:
        with pytest.raises(ConfigurationError, match="fenced=True") as caught:
            ctx.run.already_committed  # noqa: B018
        asked.append(caught.value)

    shop.instance(body, fenced=False).tick(wait=True)

    assert 1 == len(asked)


def test_init_db_makes_the_table_once(shop: Shop) -> None:
    METADATA.tables["jobrunner_fence"].drop(shop.engine)
    app = Flask("shop")
    app.config["SQLALCHEMY_DATABASE_URI"] = shop.url
    JobRunner(app, redis=shop.redis)
    cli = app.test_cli_runner()

    from jobrunner.faces.cli import jobs

    for _ in range(2):
        result = cli.invoke(jobs, ["init-db"])
        assert 0 == result.exit_code, result.output
        assert "jobrunner_fence is in postgresql" in result.output
    with app.extensions["jobrunner"].context.session_factory() as session:
        session.get_bind().dispose()  # the engine that was made for SQLALCHEMY_DATABASE_URI
    runner = shop.instance(writes)
    runner.tick(wait=True)
    assert [Outcome.SUCCEEDED] == outcomes(runner)
