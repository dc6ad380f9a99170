"""One run's place in its job's row: to enter it, and to hold it while a transaction commits."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress

from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import DBAPIError

from ..clock import trust_seconds
from ..errors import ConfigurationError, JobRunnerError, StaleRunError
from . import dialects, fence_table
from .fence_table import Stored

#: Seconds between two tries to enter.
_PAUSE = 0.02


class Entry:
    """The row of a job as one of its runs sees it, in each database that the run uses."""

    def __init__(
        self,
        *,
        sync_key: str,
        run_id: str,
        token: int,
        newer_token: Callable[[int], int | None],
        lock_timeout: float,
    ) -> None:
        #: The token that stands in the row; Redis may have given a larger one meanwhile.
        self.token = token
        #: Whether the run was found superseded.
        self.is_stale = False
        self._sync_key = sync_key
        self._key = fence_table.row_key(sync_key)
        self._run_id = run_id
        self._newer_token = newer_token
        self._lock_timeout = lock_timeout
        self._registered: set[Engine] = set()

    def register(self, connection: Connection, *, owned: bool) -> None:
        """Make this run the one in the row, unless it is. `owned`: the connection's transaction
        holds nothing yet, and may be used for that.

        A second connection would be the plain way; but as many runs at once as the pool has
        connections, each holding one and waiting for another, would wait for ever.
        """
        engine = connection.engine
        if self.is_stale:
            raise self._superseded(None)
        if engine in self._registered:
            return
        if owned:
            self._settle(connection, self._short_transaction)
        elif dialects.has_one_connection(engine):
            self._settle(connection, nullcontext)  # inside the transaction that everybody shares
        else:
            with engine.connect() as own:
                self._settle(own, self._short_transaction)
        self._registered.add(engine)
        if owned:
            connection.dispatch.begin(connection)  # the engine's listeners begin anew

    def forget(self, engine: Engine) -> None:
        """The registration was rolled back."""
        self._registered.discard(engine)

    def hold(self, connection: Connection) -> None:
        """Keep the row this run's until the transaction ends. `StaleRunError` when it is another
        run's: the transaction is rolled back.
        """

        def is_ours() -> bool:
            stored = fence_table.read_for_share(connection, self._key)
            return stored is not None and stored.run_id == self._run_id

        self._insist(connection, is_ours)

    def mark(self, connection: Connection, due_ms: int | None) -> None:
        """The same, and record in the row what due time's effect is there; None: take it back."""
        self._insist(
            connection, lambda: fence_table.mark(connection, self._key, self._run_id, due_ms)
        )

    def committed_due_ms(self, connection: Connection) -> int | None:
        """What due time's effect is there."""
        stored = fence_table.read(connection, self._key)
        return None if stored is None else stored.committed_due_ms

    # -- entering ----------------------------------------------------------------------------

    def _settle(
        self,
        connection: Connection,
        transaction: Callable[[Connection], AbstractContextManager[object]],
    ) -> None:
        """Try until the row is this run's, or is known to be another's."""
        deadline = trust_seconds() + self._lock_timeout
        while True:
            try:
                with transaction(connection):
                    in_the_way = self._enter(connection)
            except DBAPIError as error:
                if not dialects.may_pass(error) or trust_seconds() >= deadline:
                    self._explain(connection, error)
                    raise
                time.sleep(_PAUSE)
            else:
                if in_the_way is None:
                    return
                self._overtake(in_the_way)

    def _short_transaction(self, connection: Connection) -> AbstractContextManager[None]:
        return dialects.short_transaction(connection, self._lock_timeout)

    def _enter(self, connection: Connection) -> Stored | None:
        """Put this run into the row; the row, when a newer run stands in it."""
        stored = fence_table.read_for_update(connection, self._key)
        if stored is None:
            fence_table.insert(connection, self._key, self.token, self._run_id)
        elif stored.run_id == self._run_id:
            pass  # registered through another engine of the same database
        elif stored.token < self.token:
            fence_table.replace(connection, self._key, self.token, self._run_id)
        else:
            return stored
        return None

    def _overtake(self, stored: Stored) -> None:
        """Get a token above the one stored, for the run that Redis says is running: a new master
        may have a clock behind. No lock is held meanwhile.
        """
        if stored.token > self.token:
            token = self._newer_token(stored.token)
            if token is not None and token > stored.token:
                self.token = token
                return
        raise self._superseded(stored)

    # -- holding -----------------------------------------------------------------------------

    def _insist(self, connection: Connection, is_ours: Callable[[], bool]) -> None:
        try:
            dialects.bound_waits(connection, self._lock_timeout)
            ours = is_ours()
        except DBAPIError as error:
            dialects.roll_back(connection)
            self._explain(connection, error)
            raise
        if not ours:
            dialects.roll_back(connection)
            raise self._superseded(self._look(connection))

    # -- what went wrong ---------------------------------------------------------------------

    def _explain(self, connection: Connection, error: DBAPIError) -> None:
        """Raise what an error of our own statements means, if it means something of ours; the
        connection is without a transaction.
        """
        if dialects.is_lock_timeout(error):
            raise JobRunnerError(
                f"the fence of {self._sync_key!r} is locked: an older run has not finished its "
                f"commit, or its process is stopped. Run {self._run_id} gave up after "
                f"{self._lock_timeout:g} s."
            ) from error
        if dialects.is_serialization_failure(error):
            stored = self._look(connection)
            if stored is not None and stored.run_id != self._run_id:
                raise self._superseded(stored) from error
        elif _lacks_table(connection):
            raise ConfigurationError(
                f"{connection.engine.url!r} has no table {fence_table.NAME!r}, which fenced jobs "
                f"need: put jobrunner.fence_table(metadata) beside your models and migrate, or "
                f"run `flask jobs init-db`."
            ) from error

    def _superseded(self, stored: Stored | None) -> StaleRunError:
        self.is_stale = True
        by = "" if stored is None else f" by run {stored.run_id} with token {stored.token}"
        return StaleRunError(
            f"run {self._run_id} of {self._sync_key!r} with token {self.token} is superseded{by}: "
            f"its transaction is rolled back"
        )

    def _look(self, connection: Connection) -> Stored | None:
        """The row as it is now, if it can be read."""
        try:
            return fence_table.read(connection, self._key)
        except DBAPIError:
            return None
        finally:
            dialects.roll_back(connection)


def _lacks_table(connection: Connection) -> bool:
    if connection.invalidated:
        return False
    try:
        with suppress(DBAPIError):
            return not inspect(connection).has_table(fence_table.NAME)
        return False
    finally:
        dialects.roll_back(connection)
