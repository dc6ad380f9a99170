"""Which SQLAlchemy session factory a run's session comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

if TYPE_CHECKING:
    from flask import Flask

SessionFactory = Callable[[], Session]

_URI = "SQLALCHEMY_DATABASE_URI"


def session_factory_of(app: Flask) -> SessionFactory | None:
    """Flask-SQLAlchemy's, where the application has it; else one on an engine of its own for
    `SQLALCHEMY_DATABASE_URI`; else None.
    """
    extension = app.extensions.get("sqlalchemy")
    if extension is not None and hasattr(extension, "session"):
        # The factory behind the scoped session: each ctx.session() is one of its own, bound as
        # db.session is, and leaves db.session itself alone.
        factory: SessionFactory = extension.session.session_factory
        return factory
    if app.config.get(_URI):
        return _LazyFactory(app.config)
    return None


class _LazyFactory:
    """Makes its engine with the first session: after fork, and only when a job wants one."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._made: dict[str, sessionmaker[Session]] = {}

    def __call__(self) -> Session:
        if not self._made:
            options = self._config.get("SQLALCHEMY_ENGINE_OPTIONS") or {}
            engine = create_engine(self._config[_URI], **options)
            # Two threads may come here at once; setdefault is atomic, and an engine that has not
            # connected costs nothing.
            self._made.setdefault("sessions", sessionmaker(engine))
        return self._made["sessions"]()
