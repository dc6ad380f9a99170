"""TLS: the options of the URL reach the connection, which checks what it is shown."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from jobrunner import StoreError
from jobrunner.store.answers import Status
from jobrunner.store.connect import own_client
from tests.contract.fleet import ask, job
from tests.support.binaries import find_redis
from tests.support.ports import free_port
from tests.support.servers import RedisServer

from .conftest import MakeStore


class TlsServer(RedisServer):
    """A Redis that speaks TLS only, with a certificate of its own making for 127.0.0.1."""

    name = "redis-tls"

    def __init__(self) -> None:
        super().__init__()
        self.certificate = self.folder / "certificate.pem"
        self._key = self.folder / "key.pem"
        command = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
        files = ("-keyout", str(self._key), "-out", str(self.certificate))
        names = ("-subj", "/CN=jobrunner", "-addext", "subjectAltName=IP:127.0.0.1")
        subprocess.run([*command, *files, *names], check=True, capture_output=True)

    def client(self, database: int = 0) -> redis.Redis:
        return redis.Redis(
            host="127.0.0.1", port=self.port, ssl=True, ssl_ca_certs=str(self.certificate)
        )

    def _command(self) -> list[str]:
        tls = ("--tls-port", str(self.port), "--tls-auth-clients", "no")
        files = ("--tls-cert-file", str(self.certificate), "--tls-key-file", str(self._key))
        return [*super()._command(), "--port", "0", *tls, *files]


def _speaks_tls(folder: Path) -> bool:
    """Whether the server was built with TLS, and there is what makes a certificate."""
    tried = [str(find_redis()), "--port", "0", "--tls-port", str(free_port())]
    # Without a certificate none starts; one without TLS says that that is why.
    done = subprocess.run(tried, cwd=folder, capture_output=True, text=True, timeout=30)
    missing = ("Failed finding TLS", "Bad directive", "tls-port")
    said = done.stdout + done.stderr
    return shutil.which("openssl") is not None and not any(words in said for words in missing)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    if not _speaks_tls(tmp_path_factory.mktemp("tls")):
        pytest.skip("this server was built without TLS, or there is no openssl")
    with TlsServer() as server:
        yield server


def test_with_the_certificate_it_is_trusted(server: TlsServer, make_store: MakeStore) -> None:
    url = f"rediss://127.0.0.1:{server.port}/0?ssl_ca_certs={server.certificate}"
    store = make_store(url)

    (answer,) = store.claim([ask(job("purge"), "run-1")])

    assert Status.CLAIMED == answer.status
    handed_in = make_store(own_client(server.client(), 2.0))
    assert [True] == handed_in.renew([(job("purge"), "run-1")])


def test_without_it_nothing_is_said_to_the_server(server: TlsServer, make_store: MakeStore) -> None:
    store = make_store(f"rediss://127.0.0.1:{server.port}/0")

    with pytest.raises(StoreError, match="certificate verify failed"):
        store.claim([ask(job("purge"), "run-1")])


def test_a_plain_connection_is_refused(server: TlsServer, make_store: MakeStore) -> None:
    store = make_store(f"redis://127.0.0.1:{server.port}/0", timeout=0.5)

    with pytest.raises(StoreError):
        store.claim([ask(job("purge"), "run-1")])


def test_a_connection_that_the_server_closed_is_replaced_and_no_call_fails(
    server: TlsServer, make_store: MakeStore
) -> None:
    store = make_store(f"rediss://127.0.0.1:{server.port}/0?ssl_ca_certs={server.certificate}")
    store.claim([ask(job("report"), "run-1")])

    with server.client() as another:
        assert another.client_kill_filter(_type="normal", skipme=True)

    assert [True] == store.renew([(job("report"), "run-1")])
