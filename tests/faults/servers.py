"""The fleet's Redis: it writes every change to its disk, loses it, pauses, and has a full disk."""

import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from tests.support.servers import RedisServer

_PAUSE_MS = 60_000


class FaultyRedis(RedisServer):
    """An append-only Redis: a crash loses nothing, unless it is told to lose all."""

    def __init__(self) -> None:
        super().__init__("--appendonly", "yes", "--appendfsync", "always")

    def crash(self) -> None:
        """End it in the middle of whatever it does; a next start() finds everything again."""
        self.kill()

    def lose(self) -> None:
        """Make its next start() an empty one. Call it while it is down."""
        shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)
        (self.folder / "dump.rdb").unlink(missing_ok=True)

    @contextmanager
    def silence(self) -> Iterator[redis.Redis]:
        """Hold back all writers, so that what is read inside is the last word before a loss."""
        with self.client() as client:
            client.execute_command("CLIENT", "PAUSE", _PAUSE_MS, "WRITE")
            yield client

    def flush(self) -> None:
        """Lose all its data while it runs."""
        with self.client() as client:
            client.execute_command("CLIENT", "UNPAUSE")
            client.flushall()

    def pause_clients(self, seconds: float) -> None:
        with self.client() as client:
            client.execute_command("CLIENT", "PAUSE", round(seconds * 1000), "ALL")

    def fill_disk(self) -> None:
        """From now on no write to its append-only file succeeds.

        The kernel refuses to let the file grow (RLIMIT_FSIZE), which takes Redis the way that a
        full disk does, needs no mount, and works for every user. With `appendfsync always` Redis
        ends itself then; with `everysec` it goes on and refuses writes (MISCONF), which is the
        fault that we are after.
        """
        with self.client() as client:
            client.config_set("appendfsync", "everysec")
        self._limit_files(0)

    def empty_disk(self) -> None:
        """Writes succeed again; Redis notices by itself, within about a second."""
        self._limit_files(resource.RLIM_INFINITY)

    def trust_disk(self) -> None:
        """Back to a disk that has every write before its answer."""
        with self.client() as client:
            client.config_set("appendfsync", "always")

    @property
    def refuses_writes(self) -> bool:
        with self.client() as client:
            return bool(client.info("persistence")["aof_last_write_status"] != "ok")

    def _limit_files(self, size: int) -> None:
        _, most = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        soft = most if size == resource.RLIM_INFINITY else size
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (soft, most))

    def _command(self) -> list[str]:
        # The signal of a file that may not grow would end it; ignored, the write just fails.
        return ["sh", "-c", 'trap "" XFSZ; exec "$@"', "redis", *super()._command()]
