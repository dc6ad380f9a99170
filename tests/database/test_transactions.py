"""Savepoints, commits in the middle, rollbacks: every transaction that wrote is checked, once."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import StaticPool

from jobrunner.database.fence_table import create_fence_table
from jobrunner.errors import StaleRunError

from .runs import Base, Database, Effect, open_and_leave, run, write


def test_each_commit_in_the_middle_is_checked(database: Database) -> None:
    with run(1).around(), database.sessions()() as session:
        write(session, "first")
        session.commit()
        write(session, "second")
        session.commit()
        open_and_leave(run(2), database.sessions())
        write(session, "stale")
        with pytest.raises(StaleRunError):
            session.commit()
    assert ["first", "second"] == database.effects()


def test_a_run_goes_on_after_a_rollback(database: Database) -> None:
    with run(1).around(), database.sessions()() as session:
        write(session, "taken back")
        session.rollback()
        write(session, "kept")
        session.commit()
        write(session, "taken back too")
        session.rollback()
        open_and_leave(run(2), database.sessions())
        write(session, "stale")
        with pytest.raises(StaleRunError):
            session.commit()
    assert ["kept"] == database.effects()


def test_a_run_goes_on_after_an_error_of_its_own(database: Database) -> None:
    with run(1).around(), database.sessions()() as session:
        session.add(Effect(id=1000, note="first"))
        session.commit()
        session.connection().execute(text("SELECT 1"))
        with pytest.raises(IntegrityError):
            session.execute(text("INSERT INTO effects (id, note) VALUES (1000, 'again')"))
        session.rollback()
        session.add(Effect(id=1001, note="second"))
        session.commit()
    assert ["first", "second"] == database.effects()


def test_savepoints_are_released_and_rolled_back(database: Database) -> None:
    with run(1).around(), database.sessions()() as session:
        with session.begin_nested():
            write(session, "in a savepoint")
            with session.begin_nested() as inner:
                write(session, "rolled back")
                inner.rollback()
        write(session, "after")
        session.commit()
    assert ["in a savepoint", "after"] == database.effects()


def test_a_savepoint_is_no_way_past_the_check(database: Database) -> None:
    """SQLite's driver would commit when the outermost savepoint is released."""
    older = run(1)
    sessions = database.sessions()
    open_and_leave(older, sessions)
    open_and_leave(run(2), database.sessions())
    with older.around(), sessions() as session:
        with session.begin_nested():
            write(session, "stale")
        with pytest.raises(StaleRunError):
            session.commit()
    assert [] == database.effects()


def test_a_commit_with_savepoints_open_is_checked(database: Database) -> None:
    older = run(1)
    sessions = database.sessions()
    open_and_leave(older, sessions)
    open_and_leave(run(2), database.sessions())
    with older.around(), sessions() as session:
        session.begin_nested()
        write(session, "stale")
        session.begin_nested()
        with pytest.raises(StaleRunError):
            session.get_transaction().commit()  # type: ignore[union-attr]
    assert [] == database.effects()


def test_a_transaction_is_checked_once_and_one_that_only_read_never(database: Database) -> None:
    engine = database.engine()
    statements: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if "jobrunner_fence" in statement:
            statements.append(statement)

    fence = run(1)
    open_and_leave(fence, sessionmaker(engine))
    statements.clear()
    with fence.around(), Session(engine) as session:
        session.execute(text("SELECT 1"))
        session.get(Effect, 1)
        session.commit()
        session.commit()  # without a transaction
        assert [] == statements
        write(session, "one")
        with session.begin_nested():
            write(session, "two")
        write(session, "three")
        session.commit()
        assert 1 == len(statements)


def test_what_listeners_flush_while_committing_is_checked(database: Database) -> None:
    older = run(1)
    sessions = database.sessions()
    open_and_leave(older, sessions)
    open_and_leave(run(2), database.sessions())
    with older.around(), sessions() as session:

        @event.listens_for(session, "before_commit")
        def write_late(session: Session) -> None:
            session.add(Effect(note="stale"))

        session.execute(text("SELECT 1"))
        with pytest.raises(StaleRunError):
            session.commit()
    assert [] == database.effects()


def test_a_session_bound_to_a_connection_is_fenced(database: Database) -> None:
    with database.engine().connect() as connection:
        with run(1).around():
            session = Session(bind=connection)
            write(session, "first")
            session.commit()
            open_and_leave(run(2), database.sessions())
            write(session, "stale")
            with pytest.raises(StaleRunError):
                session.commit()
            session.close()
        assert 0 == database.idle_in_transaction()
        connection.rollback()
        with connection.begin():  # it is the user's own again
            connection.execute(text("INSERT INTO effects (note) VALUES ('of nobody')"))
    assert ["first", "of nobody"] == database.effects()


def test_a_joined_transaction_is_checked_when_it_really_commits(database: Database) -> None:
    older = run(1)
    with older.around(), database.engine().connect() as connection:
        outer = connection.begin()
        with Session(bind=connection) as session:
            session.connection()
            open_and_leave(run(2), database.sessions())
            write(session, "stale")
            session.commit()  # only says so
        with pytest.raises(StaleRunError):
            outer.commit()
    assert [] == database.effects()


def test_a_joined_transaction_may_be_rolled_back_and_used_again(database: Database) -> None:
    fence = run(1)
    with database.engine().connect() as connection:
        with fence.around():
            outer = connection.begin()
            # In SQLite's driver, a savepoint in an empty transaction is no part of it.
            mode = "rollback_only" if database.kind == "sqlite" else "create_savepoint"
            with Session(bind=connection, join_transaction_mode=mode) as session:
                write(session, "taken back")
                session.commit()
            outer.rollback()
            with connection.begin(), Session(bind=connection) as session:
                write(session, "kept")
                session.commit()
        open_and_leave(run(2), database.sessions())
        # The run is over, and the connection is the user's again.
        with connection.begin():
            connection.execute(text("INSERT INTO effects (note) VALUES ('of nobody')"))
    assert ["kept", "of nobody"] == database.effects()


def test_a_savepoint_in_a_joined_transaction_is_no_way_past_the_check(
    database: Database,
) -> None:
    older = run(1)
    with older.around(), database.engine().connect() as connection:
        outer = connection.begin()
        session = Session(bind=connection, join_transaction_mode="create_savepoint")
        session.connection()
        open_and_leave(run(2), database.sessions())
        write(session, "stale")
        really_committing = session if database.kind == "sqlite" else outer
        if really_committing is outer:
            session.commit()
        with pytest.raises(StaleRunError):
            really_committing.commit()
        session.close()
    assert [] == database.effects()


def test_a_factory_fences_in_threads_that_the_run_started(database: Database) -> None:
    older = run(1)
    make = older.factory(database.sessions())
    with make() as session:  # outside of `around`, as in another thread or greenlet
        write(session, "of 1")
        session.commit()
        open_and_leave(run(2), database.sessions())
        write(session, "stale")
        with pytest.raises(StaleRunError):
            session.commit()
    assert ["of 1"] == database.effects()


@pytest.mark.parametrize("outer", [False, True])
def test_a_database_in_memory_has_one_connection_for_all(outer: bool) -> None:
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    Base.metadata.create_all(engine)
    create_fence_table(engine)
    older, newer = run(1), run(2)
    with engine.connect() as connection:
        bind = connection if outer else engine
        if outer:  # as tests do that roll back whatever they did
            connection.execute(text("INSERT INTO effects (note) VALUES ('of the test')"))
        with older.around(), Session(bind=bind) as session:
            write(session, "taken back")
            session.rollback()
            write(session, "of 1")
            if not outer:
                session.commit()
        if outer:
            connection.rollback()
            assert [] == list(connection.scalars(text("SELECT run_id FROM jobrunner_fence")))
        open_and_leave(newer, sessionmaker(engine))
        with older.around(), Session(engine) as session:
            session.add(Effect(note="stale"))
            with pytest.raises(StaleRunError):
                session.commit()
        notes = list(connection.scalars(text("SELECT note FROM effects")))
        assert ([] if outer else ["of 1"]) == notes
    engine.dispose()


def test_a_registration_that_a_test_rolls_back_is_made_again() -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    create_fence_table(engine)
    with engine.connect() as connection, run(1).around():
        for end in (connection.rollback, connection.commit):
            connection.begin()
            with Session(bind=connection) as session:
                write(session, end.__name__)
                session.commit()
            end()
        assert ["commit"] == list(connection.scalars(text("SELECT note FROM effects")))
    engine.dispose()
