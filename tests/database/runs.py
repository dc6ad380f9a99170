"""Fenced runs as the executor makes them, and the database that they work in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, MetaData, String, create_engine, delete, func, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from jobrunner.database.fence_table import create_fence_table, fence_table
from jobrunner.database.fencing import Fence

JOB = "PURGE_LAST_RUN"


class Base(DeclarativeBase):
    pass


class Effect(Base):
    """What a job does."""

    __tablename__ = "effects"
    id: Mapped[int] = mapped_column(primary_key=True)
    note: Mapped[str] = mapped_column(String(50))


FENCES = fence_table(MetaData())


class Database:
    """A database, the engines that tests make for it, and what stands in it."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind = kind
        self.url = url
        self._engines: list[Engine] = []
        self.outside = create_engine(url)

    def empty(self) -> None:
        """As new: the tables are there, and nothing in them."""
        Base.metadata.create_all(self.outside)
        create_fence_table(self.outside)
        with self.outside.begin() as connection:
            connection.execute(delete(Effect))
            connection.execute(delete(FENCES))

    def engine(self, **options: Any) -> Engine:
        """An engine of its own, as another process has; disposed of with the database."""
        if self.kind == "postgresql":  # a test that would wait for ever fails instead
            options.setdefault("connect_args", {"options": "-c statement_timeout=60000"})
        engine = create_engine(self.url, **options)
        self._engines.append(engine)
        return engine

    def sessions(self, **options: Any) -> sessionmaker[Session]:
        return sessionmaker(self.engine(**options))

    def effects(self) -> list[str]:
        """The notes of all effects that were committed, in order."""
        with self.outside.connect() as connection:
            return list(connection.scalars(select(Effect.note).order_by(Effect.id)))

    def row(self, sync_key: str = JOB) -> Any:
        """What stands in the table of fences for a job; None without a row."""
        with self.outside.connect() as connection:
            return connection.execute(select(FENCES).where(FENCES.c.sync_key == sync_key)).first()

    def rows(self) -> int:
        with self.outside.connect() as connection:
            return connection.scalar(select(func.count()).select_from(FENCES)) or 0

    def idle_in_transaction(self) -> int:
        """How many other connections have a transaction open; on SQLite: whether one writes."""
        with self.outside.connect() as connection:
            if self.kind == "sqlite":
                connection.execute(text("PRAGMA busy_timeout = 0"))
                connection.execute(text("BEGIN IMMEDIATE"))  # fails when somebody else writes
                return 0
            return connection.scalar(text(_OPEN[self.kind])) or 0

    def close(self) -> None:
        """Dispose of what the test made."""
        for engine in [*self._engines, self.outside]:
            engine.dispose()
        self._engines.clear()


_OPEN = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'",
    "mariadb": "SELECT count(*) FROM information_schema.innodb_trx t "
    "JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id "
    "WHERE p.db = database() AND p.id <> connection_id()",
}


def run(
    number: int,
    token: int | None = None,
    *,
    due_at: float | None = None,
    sync_key: str = JOB,
    newer_token: Callable[[int], int | None] = lambda stored: None,
    lock_timeout: float = 10,
) -> Fence:
    """The fence of run `number`: a larger number is a newer run, unless its token says else."""
    return Fence(
        sync_key=sync_key,
        run_id=f"run-{number}",
        token=1000 + number if token is None else token,
        due_at=1_700_000_000.0 + number if due_at is None else due_at,
        newer_token=newer_token,
        lock_timeout=lock_timeout,
    )


def write(session: Session, note: str) -> None:
    session.add(Effect(note=note))
    session.flush()


def open_and_leave(fence: Fence, sessions: Callable[[], Session]) -> None:
    """A run that opens its session, asks one thing, and goes on without committing anything."""
    with fence.around(), sessions() as session:
        session.execute(text("SELECT 1"))
