"""The parts of fencing that need no server: the table, what statements do, errors by their code."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, MetaData, create_engine, inspect, text
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool
from sqlalchemy.schema import CreateTable

from jobrunner.database import dialects
from jobrunner.database.fence_table import KEY_LENGTH, create_fence_table, fence_table, row_key
from jobrunner.database.fencing import Fence, current_fence
from jobrunner.database.statements import Effect, effect_of
from jobrunner.errors import RunStopped, StaleRunError

READS, WRITES = Effect.READS, Effect.WRITES
COMMITS, ROLLS_BACK = Effect.COMMITS, Effect.ROLLS_BACK
DIALECTS = ("postgresql", "mariadb", "mysql", "sqlite")


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE effects (note TEXT)"))
    create_fence_table(engine)
    yield engine
    engine.dispose()


def fence(number: int, due_at: float = 0.0) -> Fence:
    return Fence(
        sync_key="JOB",
        run_id=f"run-{number}",
        token=number,
        due_at=due_at,
        newer_token=lambda stored: None,
    )


# -- what statements do --------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("statement", "effect"),
    [
        ("SELECT 1", READS),
        ("  select note\nFROM effects WHERE id IN (1, 2)", READS),
        ("(SELECT 1) UNION (SELECT 2)", READS),
        ("SELECT count(*), max(id) FROM effects", READS),
        ("SHOW search_path", READS),
        ("SAVEPOINT sa_savepoint_1", READS),
        ("RELEASE SAVEPOINT sa_savepoint_1", READS),
        ("SET LOCAL lock_timeout = 1", READS),
        ("INSERT INTO effects VALUES ('COMMIT')", WRITES),
        ("/* a */ -- b\n (update effects SET note = 'x')", WRITES),
        ("DELETE FROM effects", WRITES),
        ("COMMIT", COMMITS),
        ("-- all\ncommit and chain;", COMMITS),
        ("END", COMMITS),
        ("PREPARE TRANSACTION 'x'", COMMITS),
        ("ROLLBACK", ROLLS_BACK),
        ("ROLLBACK TO SAVEPOINT sa_savepoint_1", ROLLS_BACK),
        ("XA END 'x'", ROLLS_BACK),
    ],
)
def test_what_a_statement_does_everywhere(statement: str, effect: Effect, dialect: str) -> None:
    assert effect is effect_of(statement, dialect)


@pytest.mark.parametrize(
    ("statement", "dialect", "effect"),
    [
        # PostgreSQL says at the end whether it has written.
        ("SELECT bump()", "postgresql", READS),
        ("WITH gone AS (DELETE FROM a RETURNING *) SELECT * FROM gone", "postgresql", READS),
        ("DO $$ BEGIN PERFORM bump(); END $$", "postgresql", READS),
        ("SELECT 1; COMMIT", "postgresql", COMMITS),
        ("BEGIN", "postgresql", READS),
        # On MariaDB nobody can tell: what may write counts.
        ("SELECT bump()", "mariadb", WRITES),
        ("SELECT `app`.`bump`()", "mysql", WRITES),
        ("WITH one (a) AS (SELECT 1) SELECT a FROM one", "mariadb", WRITES),
        ("SELECT 1; COMMIT", "sqlite", READS),  # its driver takes one statement only
        ("CALL bump()", "mariadb", WRITES),
        ("HANDLER effects OPEN", "mariadb", WRITES),
        ("CREATE TABLE more (id INTEGER)", "mariadb", COMMITS),
        ("CREATE TEMPORARY TABLE more (id INTEGER)", "mariadb", WRITES),
        ("TRUNCATE effects", "mysql", COMMITS),
        ("START TRANSACTION", "mysql", COMMITS),
        ("SET @@autocommit = 1", "mariadb", COMMITS),
        ("SET NAMES utf8mb4", "mariadb", READS),
        ("XA COMMIT 'x'", "mariadb", COMMITS),
        # SQLite.
        ("CREATE TABLE more (id INTEGER)", "sqlite", WRITES),
        ("WITH one AS (SELECT 1) INSERT INTO effects SELECT * FROM one", "sqlite", WRITES),
        ("WITH one AS (SELECT 1) SELECT * FROM one", "sqlite", READS),
        ("PRAGMA busy_timeout", "sqlite", READS),
        ("", "sqlite", WRITES),
    ],
)
def test_what_a_statement_does_on_one_database(
    statement: str, dialect: str, effect: Effect
) -> None:
    assert effect is effect_of(statement, dialect)


# -- the table -----------------------------------------------------------------------------------


def test_the_table_is_made_once_and_stands_in_the_default_schema() -> None:
    metadata = MetaData(schema="app")
    table = fence_table(metadata)
    assert table is fence_table(metadata)
    assert table.schema is None
    assert ["sync_key"] == [column.name for column in table.primary_key]


def test_names_are_told_apart_and_transactions_kept_on_mysql() -> None:
    made = str(CreateTable(fence_table(MetaData())).compile(dialect=mysql.dialect()))
    assert "sync_key VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin" in made
    assert "ENGINE=InnoDB" in made
    made = str(CreateTable(fence_table(MetaData())).compile(dialect=postgresql.dialect()))
    assert "sync_key VARCHAR(255) NOT NULL" in made


def test_creating_it_twice_keeps_what_stands_in_it(engine: Engine) -> None:
    with fence(1).around(), Session(engine) as session:
        session.connection()
        session.commit()
    create_fence_table(engine)
    assert inspect(engine).has_table("jobrunner_fence")
    with engine.connect() as connection:
        assert 1 == connection.scalar(text("SELECT count(*) FROM jobrunner_fence"))


def test_every_sync_key_names_a_row_of_its_own() -> None:
    long = "x" * KEY_LENGTH
    keys = ["a", "A", "ä", "a ", "a  ", long, long + "x", long + "y", "{app}:job:a"]
    rows = [row_key(key) for key in keys]
    assert len(set(rows)) == len(keys)
    assert all(len(row) <= KEY_LENGTH and not row.endswith(" ") for row in rows)
    assert "a" == rows[0]
    assert "{app}:job:a" == rows[-1]


# -- errors by their code ------------------------------------------------------------------------


class DriverError(Exception):
    pass


def error(*arguments: object, **attributes: object) -> DBAPIError:
    cause = DriverError(*arguments)
    for name, value in attributes.items():
        setattr(cause, name, value)
    return DBAPIError("SELECT 1", None, cause)


@pytest.mark.parametrize(
    ("failure", "serialization", "lock_timeout"),
    [
        (error("psycopg", sqlstate="40001"), True, False),
        (error("psycopg2", pgcode="40P01"), True, False),
        (error({"C": "40001"}), True, False),
        (error("psycopg", sqlstate="55P03"), False, True),
        (error(1213, "deadlock", sqlstate="40001"), True, False),
        (error(1020, "changed since last read"), True, False),
        (error(1205, "lock wait timeout", sqlstate="HY000"), False, True),
        (error("locked", sqlite_errorcode=sqlite3.SQLITE_BUSY_SNAPSHOT), False, True),
        (error("locked", sqlite_errorcode=sqlite3.SQLITE_LOCKED), False, True),
        (error("no such table", sqlite_errorcode=sqlite3.SQLITE_ERROR), False, False),
        (error(1146, "no such table"), False, False),
        (error(), False, False),
    ],
)
def test_errors_are_known_whatever_the_driver(
    failure: DBAPIError, serialization: bool, lock_timeout: bool
) -> None:
    assert serialization == dialects.is_serialization_failure(failure)
    assert lock_timeout == dialects.is_lock_timeout(failure)


def test_what_may_pass_is_tried_again() -> None:
    assert dialects.may_pass(IntegrityError("INSERT", None, DriverError()))
    assert dialects.may_pass(error(sqlstate="40001"))
    assert not dialects.may_pass(error(sqlstate="55P03"))
    assert not dialects.may_pass(error(sqlstate="42P01"))


# -- a run ---------------------------------------------------------------------------------------


def test_the_fence_is_there_inside_and_gone_outside() -> None:
    outer, inner = fence(1), fence(2)
    assert current_fence.get() is None
    with outer.around():
        with inner.around():
            assert inner is current_fence.get()
        assert outer is current_fence.get()
    assert current_fence.get() is None


def test_a_stale_run_is_stopped_and_not_merely_failed() -> None:
    assert issubclass(StaleRunError, RunStopped)
    assert not issubclass(StaleRunError, Exception)


def test_an_older_run_is_refused_in_a_database_in_memory(engine: Engine) -> None:
    older, newer = fence(1), fence(2)
    with older.around(), Session(engine) as session:
        session.execute(text("INSERT INTO effects VALUES ('of 1')"))
        session.commit()
    with newer.around(), Session(engine) as session:
        session.connection()
    with older.around(), Session(engine) as session:
        session.execute(text("INSERT INTO effects VALUES ('stale')"))
        with pytest.raises(StaleRunError):
            session.commit()
    assert older.is_stale
    with engine.connect() as connection:
        assert ["of 1"] == list(connection.scalars(text("SELECT note FROM effects")))


def test_due_times_are_told_apart_by_the_millisecond(engine: Engine) -> None:
    def already_committed(number: int, due_at: float) -> bool:
        recovered = fence(number, due_at)
        with recovered.around():
            return recovered.already_committed(lambda: Session(engine))

    first = fence(1, due_at=1_700_000_000.001)
    with first.around(), Session(engine) as session:
        first.commit(session, final=True)
    assert already_committed(2, due_at=1_700_000_000.001)
    assert not already_committed(3, due_at=1_700_000_000.002)
    assert already_committed(4, due_at=1_700_000_000.0011)
