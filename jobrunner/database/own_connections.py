"""Sessions for native threads beside a gevent hub: each makes connections of its own.

A connection out of a pool may have been made by a greenlet, and a patched socket belongs to the
hub of the thread that made it; the pool's locks do too. So a session of a run's thread connects
anew and hangs up at its end. Everything else is the application's engine: URL, options, events.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, NullPool, QueuePool
from sqlalchemy.orm import Session

from .sessions import SessionFactory

#: Runs a function in the hub, and waits for it.
InHub = Callable[[Callable[[], Any]], Any]

_twins: WeakKeyDictionary[Engine, Engine] = WeakKeyDictionary()


def own_connections(sessions: SessionFactory, in_hub: InHub) -> SessionFactory:
    """A factory whose sessions take no connection from a pool that the hub uses."""

    def make() -> Session:
        session = sessions()
        get_bind = session.get_bind

        def get_own_bind(*arguments: Any, **keywords: Any) -> Any:
            bind = get_bind(*arguments, **keywords)
            # A session on one connection was meant to share it.
            return _twin(bind, in_hub) if isinstance(bind, Engine) else bind

        session.get_bind = get_own_bind  # type: ignore[method-assign]
        return session

    return make


def _twin(engine: Engine, in_hub: InHub) -> Engine:
    # The pools of SQLite in memory have one connection, without a socket, which is the database.
    if not isinstance(engine.pool, QueuePool):
        return engine
    twin = _twins.get(engine)
    if twin is None:
        # What an engine does at its very first connection is done once, under a lock: in the hub.
        in_hub(lambda: engine.connect().close())
        pool = NullPool(
            engine.pool._creator,
            reset_on_return=engine.pool._reset_on_return,
            dialect=engine.dialect,
            _dispatch=engine.pool.dispatch,  # its listeners: PRAGMAs, SET statements
        )
        twin = copy.copy(engine)
        twin.raw_connection = pool.connect  # type: ignore[method-assign]
        _twins[engine] = twin
    return twin
