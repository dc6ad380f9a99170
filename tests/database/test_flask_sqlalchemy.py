"""Flask-SQLAlchemy's db.session is fenced inside a fenced run, and nowhere else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gevent
import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text

from jobrunner.database.fence_table import fence_table
from jobrunner.database.sessions import session_factory_of
from jobrunner.errors import ConfigurationError, StaleRunError

from .runs import Base, Database, Effect, open_and_leave, run


@pytest.fixture
def db() -> SQLAlchemy:
    return SQLAlchemy(metadata=Base.metadata)


@pytest.fixture
def app(db: SQLAlchemy, database: Database) -> Any:
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = database.url
    app.config["SQLALCHEMY_BINDS"] = {"elsewhere": "sqlite://"}
    db.init_app(app)

    @app.post("/")
    def visit() -> str:
        db.session.add(Effect(note="of a request"))
        db.session.commit()
        return "thank you"

    yield app
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


def test_inside_and_not_outside(app: Flask, db: SQLAlchemy, database: Database) -> None:
    older = run(1)
    with older.around(), app.app_context():
        db.session.add(Effect(note="of the run"))
        db.session.commit()
    open_and_leave(run(2), database.sessions())
    assert 200 == app.test_client().post("/").status_code
    with older.around(), app.app_context():
        db.session.add(Effect(note="stale"))
        with pytest.raises(StaleRunError):
            db.session.commit()
    assert 200 == app.test_client().post("/").status_code
    assert ["of the run", "of a request", "of a request"] == database.effects()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_request_beside_the_run_is_none_of_it(
    app: Flask, db: SQLAlchemy, database: Database
) -> None:
    """In another greenlet, and in another thread, while the run is in the middle."""
    older = run(1)
    with older.around(), app.app_context():
        db.session.add(Effect(note="stale"))
        db.session.flush()
        open_and_leave(run(2), database.sessions())
        request = gevent.spawn(app.test_client().post, "/")
        assert 200 == request.get().status_code
        with ThreadPoolExecutor() as threads:
            assert 200 == threads.submit(app.test_client().post, "/").result().status_code
        with pytest.raises(StaleRunError):
            db.session.commit()
    assert ["of a request", "of a request"] == database.effects()


def test_the_factory_of_the_extension_is_fenced(
    app: Flask, db: SQLAlchemy, database: Database
) -> None:
    sessions = session_factory_of(app)
    assert sessions is not None
    older = run(1)
    make = older.factory(sessions)
    with app.app_context(), older.around(), make() as session:
        session.add(Effect(note="final"))
        older.commit(session)
        open_and_leave(run(2), database.sessions())
        session.add(Effect(note="stale"))
        with pytest.raises(StaleRunError):
            session.commit()
    assert ["final"] == database.effects()
    assert database.row().committed_due_ms is not None


def test_the_binds_of_one_session_are_taken_one_after_the_other(
    app: Flask, db: SQLAlchemy, database: Database
) -> None:
    with run(1).around(), app.app_context():
        db.session.add(Effect(note="first"))
        db.session.flush()
        elsewhere = {"bind": db.engines["elsewhere"]}
        with pytest.raises(ConfigurationError, match="several binds"):
            db.session.execute(text("SELECT 1"), bind_arguments=elsewhere)
        db.session.rollback()
        with pytest.raises(ConfigurationError, match="has no table"):
            db.session.execute(text("SELECT 1"), bind_arguments=elsewhere)
        db.session.rollback()
        db.session.info["jobrunner_fenced"] = False  # a database that needs no fence
        assert 1 == db.session.scalar(text("SELECT 1"), bind_arguments=elsewhere)
    assert [] == database.effects()


def test_the_fence_migrates_with_the_models(db: SQLAlchemy) -> None:
    assert fence_table(db.metadata) is fence_table(db.metadata)
    assert "jobrunner_fence" in db.metadata.tables
    db.metadata.remove(db.metadata.tables["jobrunner_fence"])
