"""Watching a job from outside: whose lease is it, and when?"""

import threading
import time
from types import TracebackType
from typing import Any, Self

import redis

from jobrunner.keys import JobKeys, default_sync_key
from tests.support.servers import RedisServer


def keys_of(namespace: str, name: str) -> JobKeys:
    """The keys of a job that names none."""
    return JobKeys.of(default_sync_key(namespace, name))


class LeaseWatch:
    """Reads a lease key over and over, in a thread of the test."""

    def __init__(self, redis_url: str, namespace: str, name: str) -> None:
        #: The key that is watched.
        self.key = keys_of(namespace, name).lease
        self._client = redis.Redis.from_url(redis_url, decode_responses=True)
        self._seen: list[tuple[float, str | None, float]] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._watch)

    def holders(self, after: float, before: float) -> list[str | None]:
        """What each look found that lay wholly between two moments (`at` of a program's events)."""
        return [who for asked, who, heard in self._seen if after <= asked and heard <= before]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping = True
        self._thread.join()
        self._client.close()

    def _watch(self) -> None:
        while not self._stopping:
            asked = time.monotonic()
            self._seen.append((asked, self._client.get(self.key), time.monotonic()))
            time.sleep(0.01)


class Monitor:
    """Writes down every command that clients (not scripts) send to a database of a Redis."""

    def __init__(self, server: RedisServer, redis_url: str) -> None:
        self._database = int(redis_url.rpartition("/")[2])
        self._client = server.client(self._database)
        self._listening = redis.Redis.from_url(redis_url)
        self._commands: list[dict[str, Any]] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._listen)

    def commands(self) -> list[dict[str, Any]]:
        """So far, each with `command`, `client_address` and `client_port`."""
        return list(self._commands)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.echo("end of the monitor")
        self._thread.join()
        self._client.close()
        self._listening.close()

    def _listen(self) -> None:
        with self._listening.monitor() as monitor:
            self._ready.set()
            for heard in monitor.listen():
                if heard["db"] != self._database or heard["client_type"] == "lua":
                    continue
                if heard["command"] == "ECHO end of the monitor":
                    return
                self._commands.append(heard)
