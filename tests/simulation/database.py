"""The jobs' own database, for those that are fenced: SQLite in memory, shared by all processes.

Jobs of the simulation leave no transaction open while they wait: SQLite would make the others
wait in real time. What a fence is for is there all the same: an older run writes and commits after
a newer one has opened its first session.
"""

from __future__ import annotations

from functools import cache

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import QueuePool

from jobrunner.database.fence_table import NAME, create_fence_table


@cache
def _engine() -> Engine:
    """One for all simulations of the process: to make it takes longer than to tell a story."""
    url = "sqlite:///file:simulation?mode=memory&cache=shared&uri=true"
    engine = create_engine(url, poolclass=QueuePool)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE effects (run TEXT NOT NULL)"))
    create_fence_table(engine)
    return engine


def empty_sessions() -> sessionmaker[Session]:
    """A factory of sessions on the database, emptied."""
    with _engine().begin() as connection:
        for table in ("effects", NAME):
            connection.execute(text(f"DELETE FROM {table}"))
    return sessionmaker(_engine())
