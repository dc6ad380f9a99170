"""What the jobs' database is, for the doctor."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import inspect
from sqlalchemy.exc import SQLAlchemyError

from .fence_table import NAME
from .sessions import SessionFactory


class Survey(NamedTuple):
    """A database as it was found."""

    #: In words, without its password.
    where: str
    #: The dialect, such as "sqlite", and the driver, such as "psycopg2".
    dialect: str
    driver: str
    #: Whether the table of fenced sessions is there; None: it could not be seen.
    fence_table: bool | None
    #: Why it could not.
    problem: str | None


def survey(sessions: SessionFactory) -> Survey:
    """Look at the database that `sessions` opens, in a transaction that writes nothing."""
    with sessions() as session:
        engine = session.get_bind().engine
        where = engine.url.render_as_string(hide_password=True)
        about = (where, engine.dialect.name, engine.dialect.driver)
        try:
            return Survey(*about, inspect(session.connection()).has_table(NAME), None)
        except (SQLAlchemyError, OSError) as error:
            first_line = str(error).partition("\n")[0]
            return Survey(*about, None, f"{type(error).__name__}: {first_line}")
        finally:
            session.rollback()
