"""A proxy in front of Redis behind which one command is executed and never answered."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class SilentProxy:
    """Passes everything on, but no answer to a connection that has sent `command`.

    The connection stays open, so the client waits. Others, and the greetings of a new one, are
    answered: a client that repeats what timed out can do so, and the server counts it.
    """

    def __init__(self, port: int, command: str) -> None:
        self._port = port
        self._command = command.upper().encode()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listener]
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

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

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                self._sockets += [client, server]
                silent = threading.Event()
                self._start(self._ask, client, server, silent)
                self._start(self._answer, server, client, silent)

    def _ask(self, client: socket.socket, server: socket.socket, silent: threading.Event) -> None:
        with suppress(OSError):  # the other side has hung up
            while piece := client.recv(65536):
                if self._command in piece.upper():
                    silent.set()
                server.sendall(piece)
        _hang_up(server)

    def _answer(
        self, server: socket.socket, client: socket.socket, silent: threading.Event
    ) -> None:
        with suppress(OSError):
            while piece := server.recv(65536):
                if not silent.is_set():
                    client.sendall(piece)
        _hang_up(client)


def _hang_up(end: socket.socket) -> None:
    with suppress(OSError):  # it is closed already
        end.shutdown(socket.SHUT_RDWR)
