"""The database: PostgreSQL through psycopg 3 where DATABASE_URL says so, else a SQLite file.

Take psycopg 3 (or another driver that waits cooperatively) in production: while it waits, all other
requests and jobs of the worker go on. SQLite waits inside C code, and gevent's whole hub with it.
Measured as the longest gap of a 10 ms ticker during a wait of one second: psycopg 3 11 ms, SQLite
1011 ms. That is why the jobs of this example are short.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from flask import Flask, current_app
from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.orm import Session, sessionmaker

from .models import Base

#: Any number that no other use of PostgreSQL's advisory locks in this database has.
TABLES_LOCK = 20_250_101
#: Seconds that a SQLite connection waits for the others to finish writing.
SQLITE_PATIENCE = 15


def init_app(app: Flask) -> None:
    """Give the application a session factory, and its database the tables."""
    engine = connect(database_url(app))
    create_tables(engine)
    app.extensions["database"] = sessionmaker(engine)


def new_session() -> Session:
    """Return a new session on the database of the current application."""
    return cast("sessionmaker[Session]", current_app.extensions["database"])()


def database_url(app: Flask) -> URL:
    """Return where the database of `app` is."""
    if app.config["DATABASE_URL"] is None:
        folder = Path(app.instance_path)
        folder.mkdir(parents=True, exist_ok=True)
        return URL.create("sqlite", database=str(folder / "visits.sqlite"))
    url = make_url(app.config["DATABASE_URL"])
    if url.drivername in ("postgres", "postgresql"):  # as hosting services write it
        return url.set(drivername="postgresql+psycopg")
    return url


def connect(url: URL) -> Engine:
    """Return an engine for `url`. It connects when it is first used."""
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)

    engine = create_engine(url, connect_args={"timeout": SQLITE_PATIENCE})

    # Python's implicit BEGIN takes the write lock late, where SQLite cannot wait for it and answers
    # "database is locked" at once. Taken at the start of each transaction, it is waited for.
    @event.listens_for(engine, "connect")
    def leave_transactions_to_us(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA synchronous = NORMAL")

    @event.listens_for(engine, "begin")
    def begin_as_writer(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def create_tables(engine: Engine) -> None:
    """Make the tables that are missing; all workers of all hosts may do this at once.

    An application that outgrows its first tables does this by migrations, before the workers start.
    """
    with one_at_a_time(engine) as connection:
        Base.metadata.create_all(connection)
    # With gunicorn's preload_app this runs before the fork; workers must not inherit a connection.
    engine.dispose()


@contextmanager
def one_at_a_time(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that at most one process in the fleet is in."""
    if engine.dialect.name == "sqlite":
        with sqlite_file_lock(engine), engine.begin() as connection:
            yield connection
    else:
        with engine.begin() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(TABLES_LOCK)))
            yield connection


@contextmanager
def sqlite_file_lock(engine: Engine) -> Iterator[None]:
    """Hold a lock beside the database file, and switch the file to write-ahead logging under it.

    The file remembers the switch, the one statement that does not always wait for other processes.
    """
    with open(f"{engine.url.database}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        switch_to_write_ahead_log(engine)
        yield


def switch_to_write_ahead_log(engine: Engine) -> None:
    """Let readers and a writer of the SQLite file work at the same time."""
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA journal_mode = WAL").fetchone()
    finally:
        connection.close()
