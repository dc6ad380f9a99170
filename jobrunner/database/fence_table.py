"""The table of fences: one row a job, in the job's own database.

It is the user's to migrate: `fence_table(metadata)` puts it beside the application's own tables,
so that Alembic finds it; `create_fence_table(engine)` is for everybody else.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Engine,
    MetaData,
    Select,
    String,
    Table,
    func,
    select,
    update,
)
from sqlalchemy.schema import BLANK_SCHEMA

NAME = "jobrunner_fence"
#: Characters of a sync key that a row is named by: what every database indexes.
KEY_LENGTH = 255


def fence_table(metadata: MetaData) -> Table:
    """The table `jobrunner_fence` in `metadata`: put it beside your models, and migrate.

    It stands in the database's default schema, whatever the schema of `metadata` is. Called
    again with the same `metadata` it returns the same table.
    """
    known = metadata.tables.get(NAME)
    if known is not None:
        return known
    # Here, for it takes a third of what importing the library does, and few have fenced jobs.
    from sqlalchemy.dialects.mysql import VARCHAR

    # Where names are compared without regard to case, two jobs would share a row.
    exact = VARCHAR(KEY_LENGTH, charset="utf8mb4", collation="utf8mb4_bin")
    return Table(
        NAME,
        metadata,
        Column(
            "sync_key",
            String(KEY_LENGTH).with_variant(exact, "mysql", "mariadb"),
            primary_key=True,
        ),
        # The newest run that has opened a session, and its fencing token.
        Column("token", BigInteger, nullable=False),
        Column("run_id", String(64), nullable=False),
        Column("updated_at", DateTime(timezone=True), nullable=False),
        # The due time, in Unix milliseconds, of the last run whose final commit came through.
        Column("committed_due_ms", BigInteger),
        schema=BLANK_SCHEMA,
        # An engine without transactions would fence nothing.
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
    )


@cache
def fences() -> Table:
    """The table as the library knows it. Made when fences are installed, and not at each import."""
    return fence_table(MetaData())


def create_fence_table(engine: Engine | Connection) -> None:
    """Create the table unless it is there."""
    fences().metadata.create_all(engine)


class Stored(NamedTuple):
    """A row: the newest run that registered, and the last due time served to its end."""

    token: int
    run_id: str
    committed_due_ms: int | None


def row_key(sync_key: str) -> str:
    """The name of a job's row: its sync key, or what stands for one that no column keeps apart."""
    # MariaDB takes no notice of blanks at the end.
    if len(sync_key) <= KEY_LENGTH and not sync_key.endswith(" "):
        return sync_key
    digest = hashlib.sha256(sync_key.encode()).hexdigest()
    return f"{sync_key[: KEY_LENGTH - 65]}#{digest}"


def read(connection: Connection, key: str) -> Stored | None:
    """The row as this transaction sees it."""
    return _first(connection, _row(key))


def read_for_share(connection: Connection, key: str) -> Stored | None:
    """The newest row, which nobody changes before this transaction ends.

    On SQLite this holds for a transaction that has written: it has the database for itself.
    """
    return _first(connection, _row(key).with_for_update(read=True))


def read_for_update(connection: Connection, key: str) -> Stored | None:
    """The newest row, for this transaction alone."""
    return _first(connection, _row(key).with_for_update())


def insert(connection: Connection, key: str, token: int, run_id: str) -> None:
    """The first row of a job; IntegrityError when somebody was faster."""
    values = {"sync_key": key, "token": token, "run_id": run_id}
    connection.execute(fences().insert().values(**values, updated_at=func.current_timestamp()))


def replace(connection: Connection, key: str, token: int, run_id: str) -> None:
    """Put a newer run into the row that this transaction holds."""
    table = fences()
    row = update(table).where(table.c.sync_key == key)
    values = {"token": token, "run_id": run_id}
    connection.execute(row.values(**values, updated_at=func.current_timestamp()))


def mark(connection: Connection, key: str, run_id: str, due_ms: int | None) -> bool:
    """Record the due time of the run in its own row (None: take it back), which nobody changes
    before this transaction ends. False when the row is another run's.
    """
    table = fences()
    own = update(table).where(table.c.sync_key == key, table.c.run_id == run_id)
    result = connection.execute(
        own.values(committed_due_ms=due_ms, updated_at=func.current_timestamp())
    )
    return result.rowcount == 1


def _row(key: str) -> Select[Any]:
    columns = fences().c
    stored = (columns.token, columns.run_id, columns.committed_due_ms)
    return select(*stored).where(columns.sync_key == key)


def _first(connection: Connection, rows: Select[Any]) -> Stored | None:
    row = connection.execute(rows).first()
    return None if row is None else Stored(*row)
