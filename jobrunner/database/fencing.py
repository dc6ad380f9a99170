"""Fenced sessions: a run that was superseded cannot commit.

The first session of a fenced run puts the run's token into the job's row of `jobrunner_fence`, in
a short transaction of its own, before any statement of the user. Every later transaction that
wrote looks, inside itself and right before it commits, whether the row is still this run's, and
holds it so until the commit is done. So an older run is refused from the moment on at which its
successor has opened its first session: its transaction is rolled back and it gets `StaleRunError`.

A session belongs to the run in whose greenlet or thread it begins its transaction, whatever made
it: `ctx.session()`, `ctx.session_factory()`, Flask-SQLAlchemy's `db.session`. Greenlets and
threads that a job starts itself are not the run's; there, only what `ctx` makes is fenced. A
session on a database that has no fence and needs none is left alone if its
`info["jobrunner_fenced"]` is False.

**Not seen, and so not fenced:** what goes past sessions, such as `engine.begin()` and
`engine.connect()`; on MariaDB and MySQL, what a procedure commits inside, and what is written
through the driver's own cursor. **Refused with an error:** two-phase sessions, several binds in
one transaction, AUTOCOMMIT, `text("COMMIT")`, and what MariaDB and MySQL commit unasked (CREATE,
ALTER, TRUNCATE and the like).

**The final commit.** The row also keeps the due time of the last run whose final commit came
through. That very commit writes it, so that a run which repeats it knows that the effect is there
(`already_committed`). Final is the commit at the end of a `with ctx.session()` block that wrote,
never one in its middle. Whether the run will write once more, nobody knows at that moment: it
takes the mark back if it does, and a run that has *asked* whether the effect is there, and so
relies on the mark, gets an error instead. It says `final=False` in all blocks but the last, or
`final=True` in the last, which is marked even if it wrote nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from sqlalchemy import Connection, Engine, event
from sqlalchemy.orm import Session, SessionTransaction

from ..errors import ConfigurationError
from . import fence_guard
from .fence_entry import Entry
from .fence_guard import Final, state_of
from .fence_table import fences
from .sessions import SessionFactory

#: Seconds that a lock on a row of fences is waited for.
LOCK_TIMEOUT = 5.0

#: The fence of the run in whose greenlet or thread we are.
current_fence: ContextVar[Fence | None] = ContextVar("jobrunner_fence", default=None)


class Fence:
    """The fence of one run.

    `due_at` in Unix seconds. `newer_token(stored)` asks Redis for a token above `stored`, and is
    answered None when this run is not the running one; it may raise, and nothing is decided then.
    """

    def __init__(
        self,
        *,
        sync_key: str,
        run_id: str,
        token: int,
        due_at: float,
        newer_token: Callable[[int], int | None],
        lock_timeout: float = LOCK_TIMEOUT,
    ) -> None:
        self._sync_key = sync_key
        self._due_ms = round(due_at * 1000)
        self._entry = Entry(
            sync_key=sync_key,
            run_id=run_id,
            token=token,
            newer_token=newer_token,
            lock_timeout=lock_timeout,
        )
        #: The row may hold a mark of this run.
        self._has_marked = False
        #: Whether this due time's effect was there; None: this attempt has not asked.
        self._found_committed: bool | None = None
        #: How this attempt's last commit was meant.
        self._final = Final.NO
        install()

    @property
    def token(self) -> int:
        """The run's fencing token; Redis may have given a larger one than the run began with."""
        return self._entry.token

    @property
    def is_stale(self) -> bool:
        """Whether the run was found superseded."""
        return self._entry.is_stale

    @contextmanager
    def around(self) -> Iterator[None]:
        """Fence the sessions of what runs inside: one attempt of the run."""
        self._found_committed, self._final = None, Final.NO
        before = current_fence.set(self)
        try:
            yield
        finally:
            current_fence.reset(before)

    def factory(self, sessions: SessionFactory) -> SessionFactory:
        """A factory whose sessions are fenced in any greenlet and thread."""

        def make() -> Session:
            session = sessions()
            state_of(session).fence = self
            return session

        return make

    def commit(self, session: Session, final: bool | None = None) -> None:
        """Commit at the end of a `with` block: finally, if it wrote, unless `final` says else."""
        state = state_of(session)
        state.final = {None: Final.ASSUMED, True: Final.DECLARED, False: Final.NO}[final]
        try:
            if state.final is Final.DECLARED or (state.final is Final.ASSUMED and state.wrote):
                _open_transaction(session)  # the mark needs one, even if nothing is left to commit
            session.commit()
        finally:
            state.final = Final.NO

    def already_committed(self, sessions: SessionFactory) -> bool:
        """Whether a final commit for this due time came through before this attempt, which has
        to ask before a final commit of its own.
        """
        if self._found_committed is None:
            if self._final is not Final.NO:
                raise ConfigurationError(
                    f"a run of {self._sync_key!r} asked whether its effect was there after it "
                    f"had made its final commit: read ctx.run.already_committed at the beginning."
                )
            session = self.factory(sessions)()
            try:
                found = self._entry.committed_due_ms(session.connection())
            finally:
                session.close()
            self._found_committed = found == self._due_ms
        return self._found_committed

    # -- what the guards ask -----------------------------------------------------------------

    def register(self, connection: Connection, *, owned: bool) -> None:
        """Before the first statement; see `Entry.register`."""
        self._entry.register(connection, owned=owned)

    def forget(self, engine: Engine) -> None:
        """The registration was rolled back."""
        self._entry.forget(engine)

    def verify(self, connection: Connection, *, final: Final) -> None:
        """Right before the commit of what wrote. `StaleRunError`: it is rolled back."""
        if self._is_past_final:
            raise ConfigurationError(
                f"a run of {self._sync_key!r} wrote after its final commit, whose mark says that "
                f"the effect is there: say ctx.session(final=False) where more may follow."
            )
        if final is not Final.NO:
            self._has_marked = True
            self._entry.mark(connection, self._due_ms)
        elif self._has_marked:
            self._entry.mark(connection, None)
        else:
            self._entry.hold(connection)

    def committed(self, final: Final) -> None:
        """A transaction that was verified has committed."""
        self._final = final

    @property
    def _is_past_final(self) -> bool:
        """Whether a commit that counts on being the last one has come through."""
        has_asked = self._found_committed is not None
        return self._final is Final.DECLARED or (self._final is Final.ASSUMED and has_asked)


def install() -> None:
    """Let sessions ask whether they are in a fenced run: once a process, the first time."""
    fences()  # made now, and not in the first run that needs it
    if not event.contains(Session, "after_begin", _after_begin):
        # First, before a listener of the user executes something.
        event.listen(Session, "after_begin", _after_begin, insert=True)
        event.listen(Session, "after_commit", _after_commit)


def _after_begin(session: Session, part: SessionTransaction, connection: Connection) -> None:
    fence = current_fence.get()
    if fence is None and fence_guard.has_state(session):
        fence = state_of(session).fence
    if fence is not None and session.info.get("jobrunner_fenced") is not False:
        fence_guard.guard(fence, session, part, connection)


def _after_commit(session: Session) -> None:
    if fence_guard.has_state(session):
        fence_guard.after_commit(session)


def _open_transaction(session: Session) -> None:
    state = state_of(session)
    if session.bind is None and state.engine is not None:
        session.connection(bind_arguments={"bind": state.engine})
    else:
        session.connection()
