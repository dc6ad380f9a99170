"""The master that Sentinels name: looked up before the first call, and again in doubt.

redis-py's own pool asks them while it connects, through clients that may retry, and goes on
with a connection to a master that has become a replica. Here a call that failed makes the next
one ask again, so a failover heals with the next tick.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import redis
from redis.exceptions import RedisError

from ..clock import Clock, trust_seconds

Address = tuple[str, int]

#: Seconds without a call after which it is asked again who serves: the keeper calls seldom, and
#: would otherwise meet a server that failed and was replaced long ago.
RESTED_SECONDS = 1.5


class Member(NamedTuple):
    """One Sentinel."""

    address: Address
    client: Any


class MasterFromSentinels:
    """The current master of a service."""

    in_process = False

    def __init__(
        self,
        service: str,
        sentinels: list[Member],
        client_at: Callable[[Address], redis.Redis],
        trust: Clock = trust_seconds,
    ) -> None:
        self.where = f"the master of {service!r}, of the Sentinels at " + ", ".join(
            f"{host}:{port}" for (host, port), _ in sentinels
        )
        self._service = service
        self._sentinels = sentinels
        self._client_at = client_at
        self._master: Address | None = None
        self._client: redis.Redis | None = None
        self._in_doubt = True
        self._trust = trust
        self._last_call = 0.0

    def client(self) -> redis.Redis:
        now = self._trust()
        rested = now - self._last_call > RESTED_SECONDS
        self._last_call = now
        if self._client is None or self._in_doubt:
            self._follow(self._look_up())
        elif rested:
            # Sentinels that are away are no reason to leave a master that is there.
            with suppress(RedisError):
                self._follow(self._look_up())
        assert self._client is not None
        return self._client

    def doubt(self) -> None:
        if not self._in_doubt:
            self._in_doubt = True
            # The one that named it may be cut off from the others: another is asked first.
            self._put_last(self._sentinels[0])

    def _put_last(self, sentinel: Member) -> None:
        self._sentinels = [s for s in self._sentinels if s is not sentinel] + [sentinel]

    def close(self) -> None:
        for _, client in self._sentinels:
            client.connection_pool.disconnect()
        if self._client is not None:
            self._client.connection_pool.disconnect()

    def _follow(self, master: Address) -> None:
        if master != self._master or self._client is None:
            self._master, self._client = master, self._client_at(master)
        self._in_doubt = False

    def _look_up(self) -> Address:
        problems = []
        for sentinel in list(self._sentinels):
            try:
                # Two words: redis-py reshapes the answer to the command of one.
                named: Any = sentinel.client.execute_command(
                    "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service
                )
                if named:
                    return named[0].decode(), int(named[1])
                problems.append(f"{_shown(sentinel)} does not know it")
            except (RedisError, OSError) as error:
                problems.append(f"{_shown(sentinel)}: {type(error).__name__}: {error}")
                self._put_last(sentinel)
            finally:
                # Lookups are rare: no connection waits for the next one.
                sentinel.client.connection_pool.disconnect()
        raise redis.exceptions.ConnectionError(
            f"no Sentinel names a master of {self._service!r}: {'; '.join(problems)}"
        )


def _shown(sentinel: Member) -> str:
    host, port = sentinel.address
    return f"{host}:{port}"
