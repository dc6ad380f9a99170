"""The servers that the tests rest on do what they say."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from tests.support.aside import environment
from tests.support.processes import is_alive
from tests.support.servers import PostgresServer, RedisServer
from tests.support.wait import wait_for


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def test_data_outlives_a_restart_on_the_same_port(own_redis: RedisServer) -> None:
    url = own_redis.url_for(3)
    with redis.Redis.from_url(url) as client:
        client.set("key", "value")
    own_redis.restart()
    with redis.Redis.from_url(url) as client:
        assert client.get("key") == b"value"


def test_a_restart_may_lose_the_data(own_redis: RedisServer) -> None:
    with own_redis.client() as client:
        client.set("key", "value")
    own_redis.restart(keep_data=False)
    with own_redis.client() as client:
        assert client.get("key") is None


def test_a_paused_redis_is_silent_and_then_answers(own_redis: RedisServer) -> None:
    with redis.Redis.from_url(own_redis.url, socket_timeout=0.1) as client:
        own_redis.pause()
        with pytest.raises(redis.RedisError):
            client.get("key")
        own_redis.resume()
        with own_redis.client() as patient:
            assert patient.ping()


def test_closing_leaves_neither_process_nor_folder() -> None:
    with RedisServer() as server:
        pid, folder = server.pid, server.folder
    assert not is_alive(pid)
    assert not folder.exists()


def test_each_postgres_url_is_a_database_of_its_own(postgres_server: PostgresServer) -> None:
    names = set()
    for url in (postgres_server.create_database(), postgres_server.create_database()):
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            row = connection.execute("SELECT current_database()").fetchone()
            assert row is not None
            names.add(row[0])
    assert len(names) == 2


@pytest.mark.parametrize("kind", ["RedisServer", "PostgresServer", "MariadbServer"])
def test_a_server_does_not_outlive_a_killed_test_process(kind: str) -> None:
    program = (
        "import sys\n"
        f"from tests.support.servers import {kind}\n"
        f"server = {kind}().start()\n"
        "print(server.pid, server.folder, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        pid, folder = child.stdout.readline().split()
        child.send_signal(signal.SIGKILL)
    wait_for(lambda: not is_alive(int(pid)), message=f"the end of {kind} {pid}")
    wait_for(lambda: not Path(folder).exists(), message=f"the end of {folder}")
