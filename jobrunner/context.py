"""What a job is handed: the run it is in, its application, a database session."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, Self

from .copies import shallow_copy
from .errors import ConfigurationError, RunStopped

if TYPE_CHECKING:
    from flask import Flask
    from sqlalchemy.orm import Session

    from .run import Run

#: Characters of the message of a progress.
MAX_MESSAGE = 200


class Running(Protocol):
    """The run that a context is bound to, for the engine."""

    @property
    def run(self) -> Run: ...

    def reason(self) -> RunStopped | None:
        """Why it should stop now; None: it may go on."""

    def report(self, done: float, total: float | None, message: str) -> None:
        """Take note of how far it is."""


class _RunOnDemand:
    """`ctx.run` until somebody asks; from then on it is an attribute as any other."""

    def __get__(self, context: JobContext | None, cls: type) -> Any:
        if context is None:
            return self
        if context._running is None:
            raise AttributeError(
                "ctx.run: this context is not bound to a run; the one that a job is handed is."
            )
        context.run = context._running.run
        return context.run


def _plain_commit(session: Session, final: bool | None) -> None:
    session.commit()


class JobContext:
    """The argument of a job's `run`. Subclass it to hand your jobs more.

    Each attempt of a run gets a shallow copy of the context given to `JobRunner(context=…)`, so
    what its attributes refer to (a client, a pool) is shared by all, and assigning an attribute
    inside an attempt is seen by that one alone.
    """

    #: The application whose context the run is in; None without Flask.
    app: Flask | None = None
    #: Makes a SQLAlchemy session; None when no database was named.
    session_factory: Callable[[], Session] | None = None
    if TYPE_CHECKING:
        run: Run
    else:
        run = _RunOnDemand()
    #: None outside a run.
    _running: Running | None = None
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
        """Whether the run should stop: its lease is lost, its instance drains away, its time is
        over, or a person cancelled it.
        """
        return self._running is not None and self._running.reason() is not None

    def check(self) -> None:
        """Raise `RunStopped` (`LeaseLostError`, `RunInterruptedError`, `RunTimedOutError`,
        `RunCancelledError`) when the run should stop.

        For loops that compute without yielding and for jobs in native threads, which nothing
        can interrupt from outside: call it between two items.
        """
        reason = None if self._running is None else self._running.reason()
        if reason is not None:
            raise reason

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Tell how far the run is: `done` of `total` (None: not known), in any unit, and words,
        of which 200 characters are kept.

        Costs next to nothing and never waits, in threads too: the newest goes to Redis, at most
        every `JOBRUNNER_PROGRESS_INTERVAL` seconds. Does nothing outside a run. `TypeError` or
        `ValueError` quotes what is no number or not finite.
        """
        if not isinstance(message, str):
            raise TypeError(f"ctx.progress(message={message!r}): it must be a string.")
        text = message[:MAX_MESSAGE].encode("utf-8", "replace").decode()  # no lone surrogates
        limit = None if total is None else _number("total", total)
        so_far = _number("done", done)
        if self._running is not None:
            self._running.report(so_far, limit, text)

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

    def for_run(self, running: Running) -> Self:
        """A copy of this context for one attempt of a run."""
        bound = shallow_copy(self)
        bound._running = running
        return bound


def _number(name: str, value: Any) -> float:
    """A plain int or float; NumPy's and others' become one."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"ctx.progress({name}={value!r}): it must be a number, such as 3 or 0.5.")
    try:
        if math.isfinite(value):
            return int(value) if isinstance(value, numbers.Integral) else float(value)
    except OverflowError:
        value = "a number beyond all floats"  # its digits may be too many to be printed
    raise ValueError(f"ctx.progress({name}={value!r}): it must be a finite number.")
