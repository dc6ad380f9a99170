"""What every test may ask for. The servers start once, with the first test that needs them."""

import itertools
import os
import signal
from collections.abc import Iterator

import pytest

from tests.support.servers import MariadbServer, PostgresServer, RedisServer

#: Settings of the developer's shell must not decide about tests, here or in child processes.
FOREIGN = ("JOBRUNNER_", "FLASK_", "GUNICORN_")
FOREIGN_NAMES = ("REDIS_URL", "DATABASE_URL", "PORT", "WEB_CONCURRENCY", "SERVER_SOFTWARE")

_databases = itertools.count()


def pytest_configure() -> None:
    for name in list(os.environ):
        if name.startswith(FOREIGN) or name in FOREIGN_NAMES:
            del os.environ[name]
    # A shell has its background processes ignore Ctrl-C, and so would all that the tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The Redis that all tests share. A test that stops or freezes one starts its own."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """A database that is empty and this test's own: stragglers of earlier tests write elsewhere."""
    number = next(_databases) % RedisServer.DATABASES
    with redis_server.client(number) as client:
        client.flushdb()
    return redis_server.url_for(number)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The PostgreSQL that all tests share."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """A new database."""
    return postgres_server.create_database()


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariadbServer]:
    """The MariaDB that all tests share."""
    with MariadbServer() as server:
        yield server


@pytest.fixture
def mariadb_url(mariadb_server: MariadbServer) -> str:
    """A new database."""
    return mariadb_server.create_database()
