"""Redis: fakeredis in virtual time, which can lose its data and have a wrong clock."""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import fakeredis

from jobrunner.clock import RedisClock
from jobrunner.keys import JobKeys
from jobrunner.store.redis import RedisStore

from .scripting import Scripting

#: What the server's clock says when the world begins, in Unix seconds.
EPOCH = 1_700_000_000.0


@dataclass(frozen=True)
class Holding:
    """What Redis holds of one job."""

    run: str | None = None
    token: int = 0
    instance: str = ""
    #: The last start, in Redis's seconds; None: none.
    last: float | None = None
    #: When the lease of `run` ends, in Redis's seconds; None: it has none.
    lease_until: float | None = None
    lease: str | None = None
    #: Claims less those that were given back.
    runs: int = 0
    #: What the newest run was due for, in Redis's seconds.
    due: float | None = None
    #: What an abandoned run was due for that no run has followed.
    abandoned_due: float | None = None
    abandoned_in_row: int = 0
    abandoned_at: float | None = None
    #: When a run last ended, in Redis's seconds.
    finished: float | None = None
    #: Until when it is paused, in Redis's seconds; 0: it is not.
    paused_until: float = 0.0
    #: The request that no run has taken, and the one that `run` answers.
    trigger: str = ""
    request: str = ""
    #: Whether a person has reset it, before it ran for the first time.
    is_reset: bool = False


class Server:
    """One Redis. `now` gives the world's seconds."""

    def __init__(self, now: Callable[[], float], *, own_scripting: bool = True) -> None:
        self._now = now
        #: How far its clock is from where it began.
        self.offset = 0.0
        self._fake = fakeredis.FakeServer()
        self._client = fakeredis.FakeRedis(server=self._fake, single_connection_client=True)
        self._client.ping()
        socket = self._client.connection.get_socket()  # type: ignore[union-attr]
        self._scripting = Scripting(self._fake, socket)
        self._own_scripting = own_scripting

    def time(self) -> float:
        """Its clock, in Unix seconds."""
        return EPOCH + self.offset + self._now()

    def serve(self, command: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """The answer to one command, or the error that redis-py would raise."""
        if self._own_scripting and command[0] in ("EVALSHA", "EVAL"):
            self._tell_time()
            do = self._scripting.evalsha if command[0] == "EVALSHA" else self._scripting.eval
            return do(*command[1:])
        return self._client.execute_command(*command, **options)

    def look(self, keys: JobKeys) -> Holding:
        """What it holds of one job. Read past its commands, which would take most of the time."""
        self._tell_time()
        state = self._value(keys.state) or {}
        lease, ends_at = self._value(keys.lease), self._ends_at(keys.lease)
        second = self._value(keys.sync_key)
        run, last_ms = state.get(b"run") or None, state.get(b"last_ms")
        last = None
        if second is not None:
            same = last_ms is not None and int(last_ms) // 1000 == int(second)
            last = (int(last_ms) if same else int(second) * 1000 + 999) / 1000
        return Holding(
            run=run and run.decode(),
            token=int(state.get(b"token") or 0),
            instance=(state.get(b"instance") or b"").decode(),
            last=last,
            lease_until=ends_at if run and lease == run else None,
            lease=lease and lease.decode(),
            runs=int(state.get(b"runs") or 0),
            due=_seconds(state.get(b"due_ms")),
            abandoned_due=_seconds(state.get(b"abandoned_due_ms")),
            abandoned_in_row=int(state.get(b"abandoned_in_row") or 0),
            abandoned_at=_seconds(state.get(b"abandoned_ms")),
            finished=_seconds(state.get(b"finished_ms")),
            paused_until=_paused_until(state.get(b"paused", b"")),
            trigger=state.get(b"trigger", b"").decode(),
            request=state.get(b"request", b"").decode(),
            is_reset=second is None and (_seconds(state.get(b"first_seen_ms")) or 0.0) < 0,
        )

    def _value(self, key: str) -> Any:
        item = self._fake.dbs[0].get(key.encode())
        return None if item is None else item.value

    def _ends_at(self, key: str) -> float | None:
        item = self._fake.dbs[0].get(key.encode())
        return None if item is None else item.expireat

    def counter(self, keys: JobKeys, name: str) -> int:
        """A number in a job's state."""
        self._tell_time()
        return int((self._value(keys.state) or {}).get(name.encode()) or 0)

    def store(self) -> RedisStore:
        """A store to look into it with, on a wire that nothing befalls."""
        return RedisStore(
            self._client,
            namespace="nobody",
            instance="nobody",
            lease_ms=1,
            history=1,
            forget_after_ms=1,
            clock=RedisClock(),
        )

    def flush(self) -> None:
        """FLUSHALL: the data is lost."""
        self._client.flushall()

    def forget_scripts(self) -> None:
        """As after a restart that kept the data."""
        self._scripting.known.clear()
        self._client.script_flush()

    def snapshot(self) -> Any:
        """What a replica has got by now."""
        return copy.deepcopy(self._fake.dbs[0]._dict)

    def restore(self, snapshot: Any) -> None:
        """A failover to a replica that had got as far as that."""
        self._client.flushall()
        for key, item in copy.deepcopy(snapshot).items():
            self._fake.dbs[0][key] = item

    def _tell_time(self) -> None:
        self._fake.dbs[0].time = self.time()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """fakeredis reads this server's clock inside: TIME, the expiry of keys, ids of streams.

        Only its own modules are touched: in each the name `time` is bound to ours, which gives
        the rest of the real module.
        """
        ours = _Time(self.time)
        modules = [
            module
            for name, module in list(sys.modules.items())
            if name.startswith("fakeredis") and getattr(module, "time", None) is time
        ]
        for module in modules:
            module.time = ours  # type: ignore[attr-defined]
        try:
            yield
        finally:
            for module in modules:
                module.time = time  # type: ignore[attr-defined]


def _seconds(milliseconds: bytes | None) -> float | None:
    return None if milliseconds is None else int(milliseconds) / 1000


def _paused_until(raw: bytes) -> float:
    return math.inf if raw == b"-" else int(raw or 0) / 1000


class _Time:
    """The module `time`, with another `time()`."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.time = now

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)
