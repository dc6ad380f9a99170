"""A proxy in front of Redis that loses answers: the work is done, and nobody hears of it."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.support.servers import RedisServer


class LossyProxy:
    """Passes on bytes between clients and a server, and hangs up instead when told so."""

    def __init__(self, server: RedisServer, loses: Callable[[bytes], bool]) -> None:
        """`loses` is asked about each answer of the server: True loses it."""
        self._server = ("127.0.0.1", server.port)
        self._loses = loses
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listener]
        self._threads: list[threading.Thread] = []
        self.lost = 0

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self._listener.getsockname()[1]}/{database}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for end in list(self._sockets):
            _hang_up(end)
        for thread in self._threads:
            thread.join()
        for end in self._sockets:
            end.close()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments))
        self._threads[-1].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            self._sockets += [client, server]
            self._start(self._pass_on, client, server, lambda question: False)
            self._start(self._pass_on, server, client, self._is_lost)

    def _is_lost(self, answer: bytes) -> bool:
        lost = self._loses(answer)
        self.lost += lost
        return lost

    def _pass_on(
        self, source: socket.socket, target: socket.socket, is_lost: Callable[[bytes], bool]
    ) -> None:
        with suppress(OSError):  # the other direction has hung up
            while (piece := source.recv(65536)) and not is_lost(piece):
                target.sendall(piece)
        _hang_up(source)
        _hang_up(target)


def _hang_up(end: socket.socket) -> None:
    with suppress(OSError):  # it is closed already
        end.shutdown(socket.SHUT_RDWR)
