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


def _speaks_tls() -> bool:
    program = find_redis()
    tried = [str(program), "--tls-port", "1", "--port", "0", "--dir", "/nonexistent"]
    said = subprocess.run(tried, capture_output=True, text=True, timeout=30)
    return shutil.which("openssl") is not None and "tls-port" not in said.stdout + said.stderr


@pytest.fixture(scope="module")
def server() -> Iterator[TlsServer]:
    if not _speaks_tls():
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


def test_the_folder_goes_with_the_server() -> None:
    if not _speaks_tls():
        pytest.skip("this server was built without TLS, or there is no openssl")
    with TlsServer() as server:
        folder: Path = server.folder
    assert not folder.exists()
