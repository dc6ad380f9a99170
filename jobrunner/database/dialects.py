"""Where PostgreSQL, MariaDB, MySQL and SQLite differ, as far as a fence is concerned."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import SingletonThreadPool, StaticPool

from .statements import first_words

KNOWN = ("postgresql", "mariadb", "mysql", "sqlite")

# What a driver's exception carries: SQLSTATE of PostgreSQL, number of MySQL, code of SQLite.
_SERIALIZATION = {"40001", "40P01", 1020, 1213}
_LOCK_TIMEOUT = {"55P03", 1205}
_SQLITE_BUSY = {5, 6}


def has_one_connection(engine: Engine) -> bool:
    """Whether all sessions share one connection, as with SQLite in memory: no transaction there
    is anybody's own.
    """
    return isinstance(engine.pool, (SingletonThreadPool, StaticPool))


def autocommits(connection: Connection) -> bool:
    """Whether each statement commits by itself on this connection, whose transaction has begun."""
    option = connection.get_execution_options().get(
        "isolation_level", getattr(connection.dialect, "_on_connect_isolation_level", None)
    )
    if option == "AUTOCOMMIT":
        return True
    driver = _driver_connection(connection)
    if connection.dialect.name == "sqlite" and getattr(driver, "isolation_level", "") is None:
        # The driver begins no transaction then; a listener of the engine may have.
        return not driver.in_transaction
    if hasattr(driver, "get_autocommit"):
        return bool(driver.get_autocommit())
    return getattr(driver, "autocommit", False) is True


@contextmanager
def short_transaction(connection: Connection, lock_timeout: float) -> Iterator[None]:
    """A transaction of its own on a connection whose transaction holds nothing yet. It waits for
    a lock at most `lock_timeout` seconds; on SQLite not at all.

    The connection is left without a transaction, and as it was.
    """
    if not has_one_connection(connection.engine):
        roll_back(connection)  # what a listener of the engine may have begun
    with _short_waits(connection, lock_timeout):
        try:
            _begin_short(connection, lock_timeout)
            yield
            _commit(connection)
        except BaseException:
            roll_back(connection)
            raise


def _begin_short(connection: Connection, lock_timeout: float) -> None:
    match connection.dialect.name:
        case "postgresql":
            # Before its first query, and for it alone. A snapshot would make the newer run fail
            # where it should wait and see.
            _execute(connection, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE")
            bound_waits(connection, lock_timeout)
        case "sqlite" if not _driver_connection(connection).in_transaction:
            # The lock first: who reads and then wants to write may be refused for having read.
            _execute(connection, "BEGIN IMMEDIATE")


@contextmanager
def _short_waits(connection: Connection, seconds: float) -> Iterator[None]:
    """The settings that a transaction's end does not take back."""
    undo = _shorten_waits(connection, seconds)
    try:
        yield
    finally:
        if undo and not connection.invalidated:
            try:
                _execute(connection, undo)
            except BaseException:
                connection.invalidate()  # not back into the pool with our settings
                raise


def _shorten_waits(connection: Connection, seconds: float) -> str:
    """The statement that undoes it, or none."""
    match connection.dialect.name:
        case "mariadb" | "mysql":
            wait, here = "innodb_lock_wait_timeout", math.ceil(seconds)
            _execute(connection, f"SET @jobrunner_wait = @@SESSION.{wait}, SESSION {wait} = {here}")
            return f"SET SESSION {wait} = @jobrunner_wait"
        case "sqlite":
            # Its driver's wait would stop the whole hub, and with it, maybe, who holds the lock.
            before = connection.exec_driver_sql("PRAGMA busy_timeout").scalar()
            _execute(connection, "PRAGMA busy_timeout = 0")
            return f"PRAGMA busy_timeout = {before}"
    return ""


def _commit(connection: Connection) -> None:
    driver = connection.dialect.loaded_dbapi
    try:
        connection.dialect.do_commit(connection.connection)
    except driver.Error as error:
        # As SQLAlchemy would: SQLite answers a COMMIT that meets a reader with BUSY.
        raise DBAPIError.instance("COMMIT", None, error, driver.Error) from error


def bound_waits(connection: Connection, seconds: float) -> None:
    """Let the rest of the transaction wait for locks no longer than this, where that is cheap.

    MariaDB and MySQL have a limit of their own, 50 s by default, and on SQLite who has written
    waits for nobody.
    """
    if connection.dialect.name == "postgresql":
        _execute(connection, f"SET LOCAL lock_timeout = {math.ceil(seconds * 1000)}")


def roll_back(connection: Connection) -> None:
    """End the database's transaction without telling the session, which has to roll back too."""
    if connection.closed or connection.invalidated:
        return
    try:
        connection.dialect.do_rollback(connection.connection)
    except Exception:
        connection.invalidate()


def changes(connection: Connection) -> int:
    """SQLite: how many rows this connection has changed since it was opened; else 0."""
    if connection.dialect.name != "sqlite":
        return 0
    return int(getattr(_driver_connection(connection), "total_changes", 0))


def has_written(connection: Connection, changes_before: int) -> bool:
    """Whether the transaction has written although no statement looked like it: through a
    function, or past SQLAlchemy. On MariaDB and MySQL nobody can tell.
    """
    if connection.dialect.name == "postgresql":
        try:
            number = connection.exec_driver_sql("SELECT txid_current_if_assigned()").scalar()
        except DBAPIError:
            return False  # it has failed: whatever it wrote, a COMMIT rolls it back
        return number is not None
    return changes(connection) != changes_before


def begin_for(connection: Connection, statement: str) -> None:
    """SQLite: begin the transaction that its driver begins for plain changes only. Without it a
    savepoint commits when it is released, and CREATE TABLE at once.
    """
    driver = _driver_connection(connection)
    if not driver.in_transaction and first_words(statement)[0] not in _BEGUN_BY_DRIVER:
        _execute(connection, f"BEGIN {driver.isolation_level or ''}")


_BEGUN_BY_DRIVER = ("INSERT", "UPDATE", "DELETE", "REPLACE")


def is_serialization_failure(error: DBAPIError) -> bool:
    """Whether the database refused for the sake of a transaction that ran beside this one."""
    return _code(error) in _SERIALIZATION


def is_lock_timeout(error: DBAPIError) -> bool:
    """Whether somebody held what was waited for."""
    return _code(error) in _LOCK_TIMEOUT or is_busy(error)


def is_busy(error: DBAPIError) -> bool:
    """SQLite: whether somebody else is writing."""
    return _code(error) in _SQLITE_BUSY


def may_pass(error: DBAPIError) -> bool:
    """Whether a short transaction that failed so is worth another try at once."""
    # IntegrityError: somebody was faster with the first row.
    return isinstance(error, IntegrityError) or is_serialization_failure(error) or is_busy(error)


def _code(error: DBAPIError) -> object:
    cause: Any = error.orig
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF  # the rest tells kinds of the same error apart
    first = next(iter(getattr(cause, "args", ())), None)
    if isinstance(first, int):
        return first  # some drivers of MySQL have a sqlstate besides, which says less
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    return first.get("C") if state is None and isinstance(first, dict) else state


def _driver_connection(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _execute(connection: Connection, statement: str) -> None:
    connection.exec_driver_sql(statement)
