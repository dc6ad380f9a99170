"""What the runs of an application are handed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from jobrunner import JobContext, every

from .runners import runner_of


def test_a_subclass_hands_the_jobs_more() -> None:
    class ShopContext(JobContext):
        def __init__(self, prices: dict[str, int]) -> None:
            super().__init__()
            self.prices = prices
            self.seen = 0

    seen: list[ShopContext] = []

    def look(ctx: ShopContext) -> None:
        ctx.seen += 1
        seen.append(ctx)

    prices = {"tea": 3}
    given = ShopContext(prices)
    runner, app = runner_of(context=given), Flask("shop")
    runner.job(every(minutes=1), name="a")(look)
    runner.job(every(minutes=1), name="b")(look)
    runner.init_app(app)

    runner.tick(wait=True)

    assert [ShopContext, ShopContext] == [type(ctx) for ctx in seen]
    assert seen[0] is not seen[1]
    assert [1, 1, 0] == [ctx.seen for ctx in (*seen, given)]
    assert all(ctx.prices is prices and ctx.app is app for ctx in seen)
    assert {"a", "b"} == {ctx.run.job for ctx in seen}
    assert given.app is None


@pytest.fixture
def app_with_database() -> Iterator[Flask]:
    app = Flask("shop")
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    yield app
    factory = app.extensions["jobrunner"]._context.session_factory
    factory().get_bind().dispose()


def test_a_session_on_the_application_s_database(app_with_database: Flask) -> None:
    found: list[Any] = []

    def ask(ctx: JobContext) -> None:
        with ctx.session() as session:
            found.append(session.execute(text("SELECT 1 + 1")).scalar())

    runner = runner_of()
    runner.job(every(minutes=1))(ask)
    runner.init_app(app_with_database)

    runner.tick(wait=True)

    assert [2] == found


def test_the_session_factory_that_was_given_goes_first() -> None:
    app = Flask("shop")
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"

    def factory() -> Any:
        raise NotImplementedError

    seen: list[Any] = []
    runner = runner_of(context=JobContext(session_factory=factory))
    runner.job(every(minutes=1))(lambda ctx: seen.append(ctx.session_factory))
    runner.init_app(app)

    runner.tick(wait=True)

    assert [factory] == seen
