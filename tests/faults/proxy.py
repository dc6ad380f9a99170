"""A TCP proxy between an instance and Redis, which delays, swallows, half-closes and hangs up."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from types import TracebackType
from typing import Self


class Verdict(Enum):
    """What becomes of a piece of the conversation."""

    PASS = auto()
    #: It is gone; the connection stays open.
    SWALLOW = auto()
    #: Both sides are hung up on.
    HANG_UP = auto()
    #: The client hears that nothing more will come, and may still talk to the server.
    HALF_CLOSE = auto()


#: Asked about each piece: a question, or an answer. It may wait before it says.
Rule = Callable[[bytes], Verdict]


def passes(piece: bytes) -> Verdict:
    return Verdict.PASS


def swallows(piece: bytes) -> Verdict:
    return Verdict.SWALLOW


def hangs_up(piece: bytes) -> Verdict:
    return Verdict.HANG_UP


def half_closes(piece: bytes) -> Verdict:
    return Verdict.HALF_CLOSE


def delays(seconds: float) -> Rule:
    def rule(piece: bytes) -> Verdict:
        time.sleep(seconds)
        return Verdict.PASS

    return rule


class Once:
    """A rule for the first piece that is `meant`; all others pass."""

    def __init__(
        self, meant: Callable[[bytes], bool], verdict: Verdict, then: Callable[[], None]
    ) -> None:
        self._meant = meant
        self._verdict = verdict
        self._then = then
        self._lock = threading.Lock()
        self.struck = False

    def __call__(self, piece: bytes) -> Verdict:
        with self._lock:
            if self.struck or not self._meant(piece):
                return Verdict.PASS
            self.struck = True
        self._then()
        return self._verdict


class Proxy:
    """Passes on bytes between clients and the server on a port, by two rules."""

    def __init__(self, server_port: int) -> None:
        self._server = ("127.0.0.1", server_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = False
        self.on_question: Rule = passes
        self.on_answer: Rule = passes

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def behave(self) -> None:
        """Pass on everything from now on."""
        self.on_question = self.on_answer = passes

    def hang_up(self) -> None:
        """End every connection there is."""
        with self._lock:
            for end in self._open:
                _shut(end)

    def __enter__(self) -> Self:
        self._in_thread(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        _shut(self._listener)
        self._listener.close()
        self.hang_up()

    def _in_thread(self, work: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._in_thread(self._converse, client)

    def _converse(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(self._server) as server:
            ends = {client, server}
            with self._lock:
                self._open |= ends
            answers = threading.Thread(target=self._pump, args=(server, client, True), daemon=True)
            answers.start()
            self._pump(client, server, False)
            answers.join()
            with self._lock:
                self._open -= ends

    def _pump(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                verdict = (self.on_answer if answers else self.on_question)(piece)
                if verdict is Verdict.PASS:
                    target.sendall(piece)
                elif verdict is Verdict.HANG_UP:
                    break
                elif verdict is Verdict.HALF_CLOSE and answers:
                    target.shutdown(socket.SHUT_WR)
                    return
        _shut(source)
        _shut(target)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):  # closed already
        end.shutdown(socket.SHUT_RDWR)
