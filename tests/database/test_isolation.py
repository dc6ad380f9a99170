"""REPEATABLE READ and SERIALIZABLE: a snapshot that does not know of the successor."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from jobrunner.errors import StaleRunError

from .runs import Database, open_and_leave, run, write

LEVELS = pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])


@LEVELS
@pytest.mark.parametrize("committed", [False, True])
def test_the_older_run_is_told_that_it_is_stale(
    server: Database, level: str, committed: bool
) -> None:
    older, newer = run(1), run(2)
    with older.around(), server.sessions(isolation_level=level)() as session:
        session.execute(text("SELECT * FROM jobrunner_fence WHERE sync_key = 'another'")).all()
        with newer.around(), server.sessions(isolation_level=level)() as successor:
            successor.connection()
            if committed:
                write(successor, "successor's")
                successor.commit()
        write(session, "stale")
        with pytest.raises(StaleRunError):
            session.commit()
        assert 0 == server.idle_in_transaction()
    assert (["successor's"] if committed else []) == server.effects()


@LEVELS
def test_the_newer_run_commits_whatever_the_older_one_has_open(
    server: Database, level: str
) -> None:
    older, newer = run(1), run(2)
    with older.around(), server.sessions(isolation_level=level)() as session:
        session.execute(text("SELECT 1"))
        write(session, "stale")
        with newer.around(), server.sessions(isolation_level=level)() as successor:
            for note in ("first", "second"):
                successor.execute(text("SELECT 1"))
                write(successor, note)
                successor.commit()
        with pytest.raises(StaleRunError):
            session.commit()
    assert ["first", "second"] == server.effects()


@LEVELS
def test_many_first_registrations_at_once_all_settle(server: Database, level: str) -> None:
    with ThreadPoolExecutor() as threads:
        for number in range(3):
            runs = [run(one, sync_key=f"JOB-{number}") for one in range(4)]
            sessions = [server.sessions(isolation_level=level) for _ in runs]
            done = [threads.submit(open_and_leave, *pair) for pair in zip(runs, sessions)]  # noqa: B905
            assert done[-1].exception(60) is None
            for older in done[:-1]:
                assert isinstance(older.exception(60), StaleRunError | None)
            assert "run-3" == server.row(f"JOB-{number}").run_id


def test_a_check_that_fails_for_another_reason_stays_a_serialization_failure(
    postgres: Database,
) -> None:
    """The run is the newest: it may repeat its transaction, and then commits."""
    fence = run(1)
    sessions = postgres.sessions(isolation_level="REPEATABLE READ")
    open_and_leave(fence, sessions)
    with fence.around(), sessions() as session:
        for note in ("refused", "repeated"):
            session.execute(text("SELECT * FROM effects")).all()  # the snapshot
            if note == "refused":
                with postgres.outside.begin() as connection:
                    connection.execute(text("UPDATE jobrunner_fence SET updated_at = now()"))
            write(session, note)
            if note == "refused":
                with pytest.raises(OperationalError, match="could not serialize"):
                    session.commit()
                session.rollback()
            else:
                session.commit()
    assert ["repeated"] == postgres.effects()
    assert not fence.is_stale


def test_a_strict_snapshot_of_mariadb(mariadb: Database) -> None:
    """From 11.6.2 on it is the default: a locking read of what changed since is refused."""
    engine = mariadb.engine(isolation_level="REPEATABLE READ")

    @event.listens_for(engine, "connect")
    def be_strict(connection: object, record: object) -> None:
        with connection.cursor() as cursor:  # type: ignore[attr-defined]
            cursor.execute("SET SESSION innodb_snapshot_isolation = ON")

    older = run(1)
    with older.around(), Session(engine) as session:
        session.execute(text("SELECT * FROM effects")).all()
        open_and_leave(run(2), mariadb.sessions())
        write(session, "stale")
        with pytest.raises(StaleRunError):
            session.commit()
    assert [] == mariadb.effects()
