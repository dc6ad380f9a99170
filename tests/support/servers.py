"""The real servers that tests need: Redis (or Valkey), PostgreSQL and MariaDB."""

import itertools
import os
import pwd
import shutil
import signal
import subprocess

import psycopg
import pymysql
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.binaries import find_mariadb, find_postgres, find_redis
from tests.support.server import Server, as_user
from tests.support.wait import wait_for

MISSING = "no {} here; `.ci/servers` says how to get it"


class RedisServer(Server):
    """A Redis or Valkey of its own that keeps nothing on disk, but for a restart that says so.

    `options` go to the command line: RedisServer("--maxmemory", "10mb").
    """

    name = "redis"
    stop_signal = signal.SIGTERM
    kill_signal = signal.SIGKILL
    #: How many databases it has: url_for(0) to url_for(DATABASES - 1).
    DATABASES = 512

    def __init__(self, *options: str) -> None:
        program = find_redis()
        if program is None:
            raise RuntimeError(MISSING.format("redis-server or valkey-server"))
        super().__init__()
        self._program = str(program)
        self._options = options

    @property
    def url(self) -> str:
        return self.url_for(0)

    def url_for(self, database: int) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"

    def client(self, database: int = 0) -> redis.Redis:
        """A client for the test's own questions: it never repeats a call and waits 5 s at most."""
        return redis.Redis(
            host="127.0.0.1",
            port=self.port,
            db=database,
            socket_timeout=5,
            socket_connect_timeout=5,
            retry=Retry(NoBackoff(), 0),
        )

    def stop(self, keep_data: bool = True) -> None:
        """End it; a next start() finds the data again unless told otherwise."""
        dump = self.folder / "dump.rdb"
        dump.unlink(missing_ok=True)
        if keep_data and self.running:
            wait_for(self._saved, message="a Redis that can save: it may still be loading")
        super().stop()

    def _saved(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.save())
        except redis.BusyLoadingError:
            return False

    def restart(self, keep_data: bool = True) -> None:
        """Stop and start on the same port."""
        self.stop(keep_data)
        self.start()

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers, until resume()."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def _command(self) -> list[str]:
        return [
            self._program,
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
            *("--save", "", "--appendonly", "no", "--databases", str(self.DATABASES)),
            *self._options,
        ]

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.info("server")["process_id"] == self.pid)
        except redis.RedisError:  # not there yet, or still loading its data
            return False


class PostgresServer(Server):
    """A PostgreSQL of its own, which trusts everybody on 127.0.0.1 and does not mind a crash."""

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": does not wait for clients to leave
    kill_signal = signal.SIGQUIT  # SIGKILL would leave its children and shared memory behind

    def __init__(self) -> None:
        programs = find_postgres()
        if programs is None:
            raise RuntimeError(MISSING.format("PostgreSQL server"))
        super().__init__()
        self._programs = programs
        self._numbers = itertools.count(1)
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            self._user = _unprivileged_user("postgres")
            shutil.chown(self.folder, self._user)

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of the database `postgres`, which is always there."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """Make a new, empty database and return its URL."""
        name = f"test_{next(self._numbers)}"
        with self._connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url_of(name)

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres connect_timeout=5",
            autocommit=True,
        )

    def _launch(self) -> None:
        if not (self.folder / "data").exists():
            self._make_cluster()
        super()._launch()

    def _make_cluster(self) -> None:
        done = subprocess.run(
            [
                str(self._programs / "initdb"),
                *("-D", "data", "--username=postgres", "--auth=trust"),
                *("--encoding=UTF8", "--locale=C", "--no-sync"),
            ],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            **as_user(self._user),
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
            "max_connections": "200",
            # Speed instead of surviving a power cut.
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
        }
        return [
            *(str(self._programs / "postgres"), "-D", "data", "-p", str(self.port)),
            *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
        ]

    def _answers(self) -> bool:
        try:
            with self._connect() as connection:
                row = connection.execute("SHOW data_directory").fetchone()
        except psycopg.OperationalError:
            return False
        return row is not None and row[0] == str(self.folder.resolve() / "data")


class MariadbServer(Server):
    """A MariaDB of its own, whose root needs no password on 127.0.0.1, and that minds no crash."""

    name = "mariadb"
    stop_signal = signal.SIGTERM
    kill_signal = signal.SIGKILL

    def __init__(self) -> None:
        program = find_mariadb()
        if program is None:
            raise RuntimeError(MISSING.format("MariaDB server"))
        super().__init__()
        self._program = str(program)
        self._numbers = itertools.count(1)
        if os.geteuid() == 0:  # MariaDB refuses to run as root
            self._user = _unprivileged_user("mysql")
            shutil.chown(self.folder, self._user)

    def url_of(self, database: str) -> str:
        """The SQLAlchemy URL of a database."""
        return f"mariadb+pymysql://root@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """Make a new, empty database and return its URL."""
        name = f"test_{next(self._numbers)}"
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{name}`")
        return self.url_of(name)

    def _connect(self) -> pymysql.Connection:
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", connect_timeout=5, read_timeout=30
        )

    def _launch(self) -> None:
        if not (self.folder / "data").exists():
            self._make_data()
        super()._launch()

    def _make_data(self) -> None:
        done = subprocess.run(
            [
                *("mariadb-install-db", "--no-defaults", f"--datadir={self.folder / 'data'}"),
                *("--auth-root-authentication-method=normal", "--skip-test-db"),
            ],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            **as_user(self._user),
        )
        if done.returncode:
            raise RuntimeError(f"mariadb-install-db failed:\n{done.stdout}{done.stderr}")

    def _command(self) -> list[str]:
        settings = {
            "datadir": str(self.folder / "data"),
            "port": str(self.port),
            "bind-address": "127.0.0.1",
            "socket": str(self.folder / "socket"),
            "pid-file": str(self.folder / "pid"),
            "max-connections": "200",
            # Speed instead of surviving a power cut.
            "innodb-flush-log-at-trx-commit": "0",
            "innodb-flush-method": "nosync",
        }
        options = (f"--{name}={value}" for name, value in settings.items())
        return [self._program, "--no-defaults", "--skip-name-resolve", *options]

    def _answers(self) -> bool:
        try:
            with self._connect() as connection, connection.cursor() as cursor:
                cursor.execute("SELECT @@datadir")
                row = cursor.fetchone()
        except pymysql.MySQLError:
            return False
        return row is not None and row[0] == f"{self.folder / 'data'}/"


def _unprivileged_user(preferred: str) -> str:
    for name in (preferred, "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise RuntimeError(
        f"the server does not run as root, and there is no user {preferred} or nobody"
    )
