"""Writes that no statement shows, and commits that pass the session by."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import create_engine, event, func, select, text
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from jobrunner.errors import ConfigurationError, StaleRunError

from .runs import Database, Effect, open_and_leave, run, write


@pytest.fixture
def superseded(database: Database) -> Any:
    """A session of a run whose successor has opened its own."""
    older = run(1)
    sessions = database.sessions()
    open_and_leave(older, sessions)
    open_and_leave(run(2), database.sessions())
    with older.around(), sessions() as session:
        yield session


def test_a_function_that_writes(server: Database) -> None:
    body = {
        "postgresql": "CREATE FUNCTION bump() RETURNS integer AS "
        "$$INSERT INTO effects (note) VALUES ('x') RETURNING 1$$ LANGUAGE sql",
        "mariadb": "CREATE FUNCTION bump() RETURNS integer MODIFIES SQL DATA "
        "BEGIN INSERT INTO effects (note) VALUES ('x'); RETURN 1; END",
    }
    with server.outside.begin() as connection:
        connection.exec_driver_sql(body[server.kind])
    older = run(1)
    sessions = server.sessions()
    open_and_leave(older, sessions)
    open_and_leave(run(2), server.sessions())
    with older.around(), sessions() as session:
        assert 1 == session.scalar(select(func.bump()))
        with pytest.raises(StaleRunError):
            session.commit()
    assert [] == server.effects()


@pytest.mark.parametrize("database", ["postgresql", "sqlite"], indirect=True)
def test_the_drivers_own_cursor(database: Database, superseded: Session) -> None:
    cursor = superseded.connection().connection.cursor()
    cursor.execute("INSERT INTO effects (note) VALUES ('x')")
    cursor.close()
    with pytest.raises(StaleRunError):
        superseded.commit()
    assert [] == database.effects()


@pytest.mark.parametrize("database", ["postgresql", "sqlite"], indirect=True)
def test_a_change_inside_a_with_query(database: Database, superseded: Session) -> None:
    superseded.execute(
        text("WITH one AS (SELECT 'x' AS note) INSERT INTO effects (note) SELECT note FROM one")
    )
    with pytest.raises(StaleRunError):
        superseded.commit()
    assert [] == database.effects()


@pytest.mark.parametrize("database", ["postgresql", "sqlite"], indirect=True)
def test_a_table_that_is_created(database: Database, superseded: Session) -> None:
    """SQLite's driver would commit it at once."""
    superseded.execute(text("CREATE TABLE more (id INTEGER)"))
    with pytest.raises(StaleRunError):
        superseded.commit()
    with database.outside.connect() as connection:
        assert not database.outside.dialect.has_table(connection, "more")


def test_a_commit_as_text_is_refused(database: Database, superseded: Session) -> None:
    write(superseded, "stale")
    for statement in ("COMMIT", " -- done\n commit;", "COMMIT AND CHAIN"):
        with pytest.raises(ConfigurationError, match="commits past its check"):
            superseded.execute(text(statement))
    superseded.rollback()
    assert [] == database.effects()


def test_several_statements_in_one_with_a_commit_are_refused(postgres: Database) -> None:
    several = "INSERT INTO effects (note) VALUES ('x'); COMMIT; SELECT 1"
    with run(1).around(), postgres.sessions()() as session:
        connection = session.connection()
        with pytest.raises(ConfigurationError, match="commits past its check"):
            connection.exec_driver_sql(several)
    assert [] == postgres.effects()


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE more (id INTEGER)", "TRUNCATE effects", "START TRANSACTION", "SET autocommit=1"],
)
def test_what_mariadb_commits_unasked_is_refused(mariadb: Database, statement: str) -> None:
    with run(1).around(), mariadb.sessions()() as session:
        write(session, "x")
        with pytest.raises(ConfigurationError, match="commits past its check"):
            session.execute(text(statement))
        session.rollback()
        session.execute(text("CREATE TEMPORARY TABLE scratch (id INTEGER)"))
        write(session, "y")
        session.commit()
    assert ["y"] == mariadb.effects()


def test_a_transaction_that_may_only_read_is_left_to_read(postgres: Database) -> None:
    sessions = postgres.sessions(execution_options={"postgresql_readonly": True})
    with run(1).around(), sessions() as session:
        assert 0 == session.scalar(select(func.count()).select_from(Effect))
        session.commit()
        with pytest.raises(Exception, match="read-only transaction"):
            write(session, "x")


def test_a_failed_transaction_that_is_committed_is_rolled_back(postgres: Database) -> None:
    """As without a fence: PostgreSQL answers COMMIT with ROLLBACK."""
    with run(1).around(), postgres.sessions()() as session:
        connection = session.connection()
        with pytest.raises(Exception, match="division by zero"):
            connection.execute(text("SELECT 1 / 0"))
        session.commit()
        write(session, "later")
        session.commit()
    assert ["later"] == postgres.effects()


# -- what cannot be fenced at all ----------------------------------------------------------------


def test_a_two_phase_session_is_refused(server: Database) -> None:
    with run(1).around(), Session(server.engine(), twophase=True) as session:
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="two-phase"):
                session.execute(text("INSERT INTO effects (note) VALUES ('x')"))
    assert [] == server.effects()


class Elsewhere(DeclarativeBase):
    pass


class Other(Elsewhere):
    """What stands in another database."""

    __tablename__ = "others"
    id: Mapped[int] = mapped_column(primary_key=True)


def test_several_binds_in_one_transaction_are_refused(database: Database) -> None:
    other = create_engine("sqlite://")
    sessions = sessionmaker(binds={Effect: database.engine(), Other: other})
    with run(1).around():
        with sessions() as session:
            write(session, "x")
            with pytest.raises(ConfigurationError, match="several binds"):
                session.get(Other, 1)
        with sessions() as session:
            write(session, "one after the other")
            session.commit()
            with pytest.raises(ConfigurationError, match="has no table"):
                session.get(Other, 1)
    assert ["one after the other"] == database.effects()
    other.dispose()


@pytest.mark.parametrize("where", ["engine", "options", "session", "driver"])
def test_autocommit_is_refused(database: Database, where: str) -> None:
    autocommit = {"isolation_level": "AUTOCOMMIT"}
    engine = database.engine(**autocommit if where == "engine" else {})
    if where == "options":
        engine = engine.execution_options(**autocommit)
    if where == "driver":
        event.listen(engine, "connect", let_driver_autocommit)
    with run(1).around(), Session(engine) as session:
        with pytest.raises(ConfigurationError, match="AUTOCOMMIT"):
            session.connection(execution_options=autocommit if where == "session" else None)
        with pytest.raises(ConfigurationError, match="AUTOCOMMIT"):
            write(session, "x")
    assert [] == database.effects()


def let_driver_autocommit(connection: Any, record: object) -> None:
    match type(connection).__module__.partition(".")[0]:
        case "sqlite3":
            connection.isolation_level = None
        case "pymysql":
            connection.autocommit(True)
        case _:
            connection.autocommit = True


def test_another_database_is_refused_by_name(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = sqlite.engine()
    monkeypatch.setattr(engine.dialect, "name", "oracle")
    with run(1).around(), Session(engine) as session, pytest.raises(ConfigurationError) as raised:
        session.connection()
    assert "this is oracle" in str(raised.value)


def test_a_connection_that_cannot_be_listened_to_is_not_used(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in SQLAlchemy before 2.0.39, on an engine made by execution_options()."""

    def listen(target: object, *rest: object) -> None:
        raise InvalidRequestError("No such event")

    engine = database.engine().execution_options(any=1)
    with run(1).around(), Session(engine) as session:
        with monkeypatch.context() as patch:
            patch.setattr(event, "listen", listen)
            with pytest.raises(ConfigurationError, match="give the options to create_engine"):
                session.connection()
        with pytest.raises(InvalidRequestError):
            write(session, "x")
    assert [] == database.effects()
