"""A superseded run cannot commit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.orm import Session

from jobrunner.errors import StaleRunError

from .runs import Database, Effect, open_and_leave, run, write


def write_and_commit(session: Session) -> None:
    write(session, "stale")
    session.commit()


def test_it_is_refused_once_its_successor_has_opened_a_session(database: Database) -> None:
    older, newer = run(1), run(2)
    with older.around(), database.sessions()() as session:
        session.add(Effect(note="stale"))
        if database.kind == "sqlite":  # where one writes at a time, and a successor has to wait
            session.connection()
        else:
            session.flush()
        with newer.around(), database.sessions()() as successor:
            successor.connection()
            with pytest.raises(StaleRunError, match=r"run-1 .* superseded by run run-2"):
                session.commit()
            write(successor, "successor's")
            successor.commit()
    assert ["successor's"] == database.effects()
    assert older.is_stale
    assert not newer.is_stale


def test_it_is_refused_after_its_successor_committed(database: Database) -> None:
    older, newer = run(1), run(2)
    with older.around(), database.sessions()() as session:
        session.add(Effect(note="stale"))
        session.connection()
        with newer.around(), database.sessions()() as successor:
            write(successor, "successor's")
            successor.commit()
        with pytest.raises(StaleRunError):
            session.commit()
    assert ["successor's"] == database.effects()


def test_it_is_refused_when_it_opens_its_first_session_too_late(database: Database) -> None:
    older, newer = run(1), run(2)
    open_and_leave(newer, database.sessions())
    executed = []
    with older.around(), database.sessions()() as session:
        with pytest.raises(StaleRunError):
            session.execute(text("SELECT 1"))
        with pytest.raises(StaleRunError):  # swallowed, and tried again on the same connection
            executed.append(session.execute(text("SELECT 1")))
    assert [] == executed
    assert ("run-2", 1002) == (database.row().run_id, database.row().token)


def test_it_is_refused_in_every_session_afterwards(database: Database) -> None:
    older = run(1)
    sessions = database.sessions()
    open_and_leave(older, sessions)
    open_and_leave(run(2), sessions)
    with older.around():
        with sessions() as session, pytest.raises(StaleRunError):
            write_and_commit(session)
        with sessions() as session, pytest.raises(StaleRunError):
            session.connection()
    assert [] == database.effects()


@pytest.mark.parametrize(
    "change",
    [
        lambda session: session.add(Effect(note="x")),
        lambda session: session.execute(insert(Effect).values(note="x")),
        lambda session: session.execute(insert(Effect), [{"note": "x"}, {"note": "y"}]),
        lambda session: session.execute(text("INSERT INTO effects (note) VALUES ('x')")),
        lambda session: session.bulk_insert_mappings(Effect, [{"note": "x"}]),
        lambda session: session.connection().execute(insert(Effect).values(note="x")),
        lambda session: session.connection().exec_driver_sql(
            "INSERT INTO effects (note) VALUES ('x')"
        ),
        lambda session: session.execute(
            text("/* why */ -- how\n INSERT INTO effects (note) VALUES ('x')")
        ),
    ],
    ids=["flush", "core", "many", "text", "bulk", "connection", "driver", "comment"],
)
def test_however_it_wrote(database: Database, change: Callable[[Session], object]) -> None:
    older = run(1)
    sessions = database.sessions()
    open_and_leave(older, sessions)
    with older.around(), sessions() as session:
        open_and_leave(run(2), database.sessions())
        change(session)
        with pytest.raises(StaleRunError):
            session.commit()
    assert [] == database.effects()


def test_commits_of_the_sessions_connection_are_checked_too(database: Database) -> None:
    older = run(1)
    sessions = database.sessions()
    open_and_leave(older, sessions)
    with older.around(), sessions() as session:
        open_and_leave(run(2), database.sessions())
        write(session, "stale")
        with pytest.raises(StaleRunError):
            session.connection().commit()
    assert [] == database.effects()


def test_the_newest_run_commits(database: Database) -> None:
    sessions = database.sessions()
    for number in (1, 2, 3):
        with run(number).around(), sessions() as session:
            write(session, f"of {number}")
            session.commit()
    assert ["of 1", "of 2", "of 3"] == database.effects()
    assert ("run-3", 1003) == (database.row().run_id, database.row().token)


def test_each_job_has_a_fence_of_its_own(database: Database) -> None:
    older, other = run(1), run(2, sync_key="ANOTHER_JOB")
    sessions = database.sessions()
    open_and_leave(older, sessions)
    open_and_leave(other, sessions)
    with older.around(), sessions() as session:
        write(session, "of 1")
        session.commit()
    assert ["of 1"] == database.effects()
    assert 2 == database.rows()


def test_a_refusal_leaves_nothing_open_and_nothing_checked_out(database: Database) -> None:
    older = run(1)
    sessions = database.sessions()
    engine = sessions.kw["bind"]
    open_and_leave(older, sessions)
    with older.around():
        open_and_leave(run(2), database.sessions())
        session = sessions()
        write(session, "stale")
        with pytest.raises(StaleRunError):
            session.commit()
        assert 0 == database.idle_in_transaction()  # before the session is rolled back
        session.close()
    assert 0 == engine.pool.checkedout()


def test_a_job_does_not_swallow_the_refusal_by_catching_exceptions(database: Database) -> None:
    older = run(1)
    sessions = database.sessions()
    open_and_leave(older, sessions)

    def body() -> None:
        for note in ("one", "two"):
            try:
                with sessions.begin() as session:
                    write(session, note)
            except Exception:
                pytest.fail("swallowed")

    open_and_leave(run(2), database.sessions())
    with older.around(), pytest.raises(StaleRunError):
        body()
    assert [] == database.effects()


def test_an_equal_token_of_another_run_is_stale(database: Database) -> None:
    asked: list[int] = []
    first = run(1, token=5)
    second = run(2, token=5, newer_token=lambda stored: asked.append(stored))
    open_and_leave(first, database.sessions())
    with second.around(), database.sessions()() as session, pytest.raises(StaleRunError):
        session.connection()
    assert "run-1" == database.row().run_id
    assert [] == asked


def test_a_running_run_with_a_smaller_token_gets_a_larger_one(database: Database) -> None:
    """A new master of Redis may have a clock that is behind."""
    asked = []

    def newer_token(stored: int) -> int:
        asked.append(stored)
        assert 0 == database.idle_in_transaction(), "asked while it held a lock"
        return stored + 7

    older, newer = run(1, token=5000), run(2, token=300, newer_token=newer_token)
    open_and_leave(older, database.sessions())
    with newer.around(), database.sessions()() as session:
        write(session, "successor's")
        session.commit()
    assert [5000] == asked
    assert 5007 == newer.token == database.row().token
    with older.around(), database.sessions()() as session, pytest.raises(StaleRunError):
        write_and_commit(session)
    assert ["successor's"] == database.effects()


def test_an_error_while_asking_for_a_token_decides_nothing(database: Database) -> None:
    answers = iter([ConnectionError("Redis is away"), 6000])

    def newer_token(stored: int) -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    newer = run(2, token=300, newer_token=newer_token)
    open_and_leave(run(1, token=5000), database.sessions())
    sessions = database.sessions()
    with newer.around(), sessions() as session:
        with pytest.raises(ConnectionError):
            session.connection()
        write(session, "later")
        session.commit()
    assert ["later"] == database.effects()
    assert 6000 == database.row().token


def test_a_row_that_was_deleted_is_no_licence(database: Database) -> None:
    older = run(1)
    sessions = database.sessions()
    open_and_leave(older, sessions)
    with database.outside.begin() as connection:
        connection.execute(text("DELETE FROM jobrunner_fence"))
    with older.around(), sessions() as session, pytest.raises(StaleRunError):
        write_and_commit(session)
    assert [] == database.effects()


def test_reading_alone_is_never_refused(database: Database) -> None:
    older = run(1)
    sessions = database.sessions()
    open_and_leave(older, sessions)
    with older.around(), sessions() as session:
        session.execute(text("SELECT 1"))
        open_and_leave(run(2), database.sessions())
        assert 0 == session.scalar(select(func.count()).select_from(Effect))
        assert [] == list(session.scalars(select(Effect).where(Effect.id.in_([1, 2]))))
        session.execute(text("WITH one AS (SELECT 1 AS number) SELECT number FROM one"))
        session.commit()
    assert not older.is_stale
