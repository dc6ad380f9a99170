"""What a job is handed: the run it is in, its application, a database session."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from .errors import ConfigurationError, RunStopped

if TYPE_CHECKING:
    from flask import Flask
    from sqlalchemy.orm import Session

    from .run import Run


def _no_reason() -> RunStopped | None:
    return None


def _plain_commit(session: Session, final: bool | None) -> None:
    session.commit()


class JobContext:
    """The argument of a job's `run`. Subclass it to hand your jobs more.

    Each run gets a shallow copy of the context given to `JobRunner(context=…)`, so what its
    attributes refer to (a client, a pool) is shared by all runs, and assigning an attribute
    inside a run is seen by that run alone.
    """

    #: The application whose context the run is in; None without Flask.
    app: Flask | None = None
    #: Makes a SQLAlchemy session; None when no database was named.
    session_factory: Callable[[], Session] | None = None
    run: Run
    _stop_reason: Callable[[], RunStopped | None] = staticmethod(_no_reason)
    _commit: Callable[[Session, bool | None], None] = staticmethod(_plain_commit)

    def __init__(self, *, session_factory: Callable[[], Session] | None = None) -> None:
        self.session_factory = session_factory

    @contextmanager
    def session(self, *, final: bool | None = None) -> Iterator[Session]:
        """A session for the `with` block: commits at its end, rolls back on any error, and is
        always closed. `ConfigurationError` when there is no session factory.

        `final` is for fenced jobs that read `ctx.run.already_committed`: whether this block's
        commit is the run's last one. None: it is, if the block wrote.
        """
        if self.session_factory is None:
            raise ConfigurationError(
                "ctx.session() has no database to open: set SQLALCHEMY_DATABASE_URI in the "
                "application's configuration, initialise Flask-SQLAlchemy before the runner, or "
                "hand over JobRunner(context=JobContext(session_factory=sessionmaker(engine)))."
            )
        session = self.session_factory()
        try:
            yield session
            self._commit(session, final)
        except BaseException:
            session.rollback()
            raise
        finally:
            session.close()

    @property
    def cancelled(self) -> bool:
        """Whether the run should stop: its lease is lost, or its instance drains away."""
        return self._stop_reason() is not None

    def check(self) -> None:
        """Raise `RunStopped` (`LeaseLostError`, `RunInterruptedError`) when the run should stop.

        For loops that compute without yielding and for jobs in native threads, which nothing
        can interrupt from outside: call it between two items.
        """
        reason = self._stop_reason()
        if reason is not None:
            raise reason

    def bind_fence(
        self,
        session_factory: Callable[[], Session],
        commit: Callable[[Session, bool | None], None],
        ask_committed: Callable[[], bool],
    ) -> None:
        """Make the sessions of this run fenced ones; for the engine."""
        self.session_factory = session_factory
        self._commit = commit
        self.run = replace(self.run, ask_committed=ask_committed)

    def for_run(self, run: Run, stop_reason: Callable[[], RunStopped | None]) -> Self:
        """A copy of this context for one run."""
        bound = copy.copy(self)
        bound.run = run
        bound._stop_reason = stop_reason
        return bound
