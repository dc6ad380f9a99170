"""Connections for calls that are many and short.

redis-py's pool takes locks and counts for telemetry at each call, which was two fifths of what
an empty tick costs its process. And before it lends a connection it looks, from redis-py 8 on
through `select.poll`, whether something waits there that nobody asked for; on a busy gevent hub
that lets everything else go first, and took as long as the call itself. This one asks the socket,
and leaves the rest out. It opens as many connections as there are calls at once.
"""

from __future__ import annotations

import socket
from typing import Any

import redis


class QuickPool(redis.ConnectionPool):
    """A pool for one process; any of its threads may use it."""

    def __init__(self, connection_class: Any = redis.Connection, **settings: Any) -> None:
        super().__init__(connection_class=connection_class, **settings)
        self._made: list[Any] = []
        self._idle: list[Any] = []

    def get_connection(self, *command: Any, **options: Any) -> Any:
        """A connection that nobody else has; it connects when something is sent."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self.connection_class(**self.connection_kwargs)
            self._made.append(connection)
            return connection
        if not is_silent(connection):
            # Its server has closed it, or what it answered too late is still to come.
            connection.disconnect()
        return connection

    def release(self, connection: Any) -> None:
        """Take one back."""
        self._idle.append(connection)

    def disconnect(self, inuse_connections: bool = True) -> None:
        """Close them; those in use only if that is said."""
        for connection in list(self._made if inuse_connections else self._idle):
            connection.disconnect()


def is_silent(connection: Any) -> bool:
    """Whether nothing waits to be read, nor the end of the connection. True also when it is not
    connected.
    """
    connected = connection._sock
    if connected is None:
        return True
    if type(connection) not in (redis.Connection, redis.UnixDomainSocketConnection):
        try:
            return not connection.can_read()  # TLS has a buffer of its own
        except (redis.RedisError, OSError):
            return False
    before = connected.gettimeout()
    connected.settimeout(0)
    try:
        connected.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        connected.settimeout(before)
    return False
