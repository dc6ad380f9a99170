"""The guard of one connection: it sees every statement and the real COMMIT of a fenced session.

A session's own events tell too little: `before_commit` fires before the last flush, for every
savepoint, and for a session that joined somebody else's transaction and commits nothing. The
connection's `commit` fires once, right before COMMIT, whoever asked for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from sqlalchemy import Connection, Engine, __version__, event
from sqlalchemy.engine import TwoPhaseTransaction
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session, SessionTransaction

from ..errors import ConfigurationError
from . import dialects
from .statements import Effect, effect_of, first_words

if TYPE_CHECKING:
    from .fencing import Fence


class Final(Enum):
    """Whether a commit is the run's last."""

    NO = "no"
    #: It ends a `with ctx.session()` block, and nobody said anything else.
    ASSUMED = "assumed"
    #: The user said so.
    DECLARED = "declared"


@dataclass
class SessionState:
    """What is known of one session in a fenced run; in its `info`."""

    #: The fence of the run that made it, for greenlets and threads of that run's own.
    fence: Fence | None = None
    guard: Guard | None = None
    engine: Engine | None = None
    #: Whether a commit of it has written.
    wrote: bool = False
    #: What the commit under way is.
    final: Final = Final.NO


_STATE = "jobrunner_fence"


def has_state(session: Session) -> bool:
    """Whether the session was ever in a fenced run."""
    return _STATE in session.info


def state_of(session: Session) -> SessionState:
    """The state of a session; made when it is asked for first."""
    state: SessionState = session.info.setdefault(_STATE, SessionState())
    return state


def guard(fence: Fence, session: Session, part: SessionTransaction, connection: Connection) -> None:
    """Guard the transaction that `session` has just begun, or joined, on `connection`.

    Registers the run, before any statement of the user.
    """
    guard = _guards.get(connection)
    if guard is None:
        guard = _guards[connection] = Guard(connection)
    if not guard.watching:  # else a savepoint, or another session in the same transaction
        guard.watch(fence, session, part, connection)


def after_commit(session: Session) -> None:
    """A session has committed, or has released a savepoint."""
    state = state_of(session)
    if state.guard is not None:
        state.guard.came_through(state)


class Guard:
    """Watches one connection from the beginning of a session's transaction to its real end.

    A connection of the user's own outlives that, and is watched again with its next session.
    """

    def __init__(self, connection: Connection) -> None:
        self.watching = False
        self._among_ourselves = False
        try:
            event.listen(connection, "before_cursor_execute", self._before_statement)
            event.listen(connection, "commit", self._before_commit)
            event.listen(connection, "rollback", self._rolled_back)
        except InvalidRequestError as error:
            connection.invalidate()  # else the session could be used unguarded
            raise ConfigurationError(_CANNOT_LISTEN) from error

    def watch(
        self, fence: Fence, session: Session, part: SessionTransaction, connection: Connection
    ) -> None:
        """Begin to watch; the connection's first statement is still to come."""
        self.watching = True
        self._fence = fence
        self._state = state_of(session)
        root = _root(part)
        # Weak: it leads to the connection, which must not live on for having been guarded.
        self._root = ref(root)
        self._owned = _is_owned(root, connection)
        self._wrote = False
        self._verified: Final | None = None
        other, self._state.guard = self._state.guard, self
        self._state.engine = connection.engine
        self._refusal = _refusal(session, connection)
        if other is not None and other is not self and other.belongs_to(root):
            self._refusal = _SEVERAL_BINDS
        self._changes = dialects.changes(connection)
        self._enter(connection)

    def belongs_to(self, root: SessionTransaction) -> bool:
        """Whether it watches, or has watched, this transaction of a session."""
        return self._root() is root

    def came_through(self, state: SessionState) -> None:
        """The session says that its commit is done; without a check there was none to fence."""
        if self._verified is not None:
            state.wrote = True
            self._fence.committed(self._verified)
            self._verified = None

    def _before_statement(
        self,
        connection: Connection,
        cursor: object,
        statement: str,
        parameters: object,
        context: object,
        executemany: bool,
    ) -> None:
        if not self.watching or self._among_ourselves:
            return
        dialect = connection.dialect.name
        effect = effect_of(statement, dialect)
        if effect is Effect.ROLLS_BACK:
            return
        self._enter(connection)  # again, if that failed and the error was swallowed
        if effect is Effect.COMMITS:
            raise ConfigurationError(_COMMITS.format(_cut(statement)))
        self._wrote |= effect is Effect.WRITES
        if dialect == "sqlite":
            with self._ourselves():
                self._before_sqlite(connection, effect, statement)

    def _before_sqlite(self, connection: Connection, effect: Effect, statement: str) -> None:
        """Its driver begins a transaction late, so that releasing a savepoint may be a commit."""
        first = first_words(statement)[0]
        if effect is Effect.WRITES or first == "SAVEPOINT":
            dialects.begin_for(connection, statement)
        elif first == "RELEASE" and not self._owned:
            self._check(connection)  # we came too late to begin one

    def _before_commit(self, connection: Connection) -> None:
        if not self.watching:
            return
        with self._ourselves():
            try:
                self._enter(connection)
                self._check(connection)
            except BaseException:
                # The session believes that it is committing, and keeps its connection until
                # it is rolled back or closed: nothing may stay open in the database meanwhile.
                dialects.roll_back(connection)
                raise
            finally:
                self.watching = False  # SQLAlchemy executes nothing more in this transaction

    def _rolled_back(self, connection: Connection) -> None:
        if self.watching and not self._owned and dialects.has_one_connection(connection.engine):
            self._fence.forget(connection.engine)  # it was registered in what is gone now
        self.watching = False
        self._verified = None

    def _enter(self, connection: Connection) -> None:
        if self._refusal is not None:
            raise ConfigurationError(self._refusal)
        with self._ourselves():
            before = dialects.changes(connection)
            self._fence.register(connection, owned=self._owned)
            self._changes += dialects.changes(connection) - before

    def _check(self, connection: Connection) -> None:
        wrote = self._wrote or dialects.has_written(connection, self._changes)
        final = self._state.final
        if final is Final.ASSUMED and not (wrote or self._state.wrote):
            return  # it only read: nothing that could be the run's effect
        if wrote or final is not Final.NO:
            self._fence.verify(connection, final=final)
            self._verified = final

    @contextmanager
    def _ourselves(self) -> Iterator[None]:
        """What is executed inside is ours, not the user's."""
        before, self._among_ourselves = self._among_ourselves, True
        try:
            yield
        finally:
            self._among_ourselves = before


_guards: WeakKeyDictionary[Connection, Guard] = WeakKeyDictionary()

_SEVERAL_BINDS = (
    "a fenced session spans several binds, whose commits no fence can hold together: "
    "use a session of its own for each database, or commit before you go to the next"
)
_CANNOT_LISTEN = (
    f"SQLAlchemy {__version__} cannot fence a session on an engine made by execution_options(): "
    f"update to 2.0.39 or newer, or give the options to create_engine"
)
_COMMITS = (
    "{} in a fenced session commits past its check: use session.commit(), or a connection of "
    "the engine for what is not to be fenced"
)


def _refusal(session: Session, connection: Connection) -> str | None:
    """Why this session cannot be fenced."""
    dialect = connection.dialect.name
    if dialect not in dialects.KNOWN:
        return f"fenced sessions know {', '.join(dialects.KNOWN)}, and this is {dialect}"
    if session.twophase or isinstance(connection.get_transaction(), TwoPhaseTransaction):
        return "a two-phase session cannot be fenced: make it without twophase=True"
    if dialects.autocommits(connection):
        return (
            "a session on an AUTOCOMMIT connection cannot be fenced, for each statement commits "
            "by itself: give it an engine or an isolation level with transactions"
        )
    return None


def _root(part: SessionTransaction) -> SessionTransaction:
    while part.parent is not None:
        part = part.parent
    return part


def _is_owned(root: SessionTransaction, connection: Connection) -> bool:
    """Whether the session took the connection from an engine, so that it holds nothing yet; not
    a connection of the user's, on which anything may have been done.
    """
    # SQLAlchemy tells it nowhere else: the last of the four is whether the session closes it.
    entry: tuple[Any, ...] = root._connections.get(connection, ())
    return len(entry) == 4 and entry[3] is True


def _cut(statement: str) -> str:
    return repr(statement if len(statement) <= 60 else statement[:59] + "…")
