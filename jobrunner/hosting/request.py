"""Living in a server that nothing tells about itself: the loop starts with its first request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .detect import is_served


class StartWithRequest:
    """A WSGI application around another: calls `start` when a real server brings a request.

    A test client is no server, so a test suite that makes requests starts nothing.
    """

    def __init__(self, wsgi_app: Callable[..., Iterable[bytes]], start: Callable[[], Any]) -> None:
        self._wsgi_app = wsgi_app
        #: Holds it until somebody takes it out, which is atomic: two threads of a server may
        #: bring its first request at once.
        self._start = [start]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if self._start and is_served(environ):
            try:
                start = self._start.pop()
            except IndexError:
                pass
            else:
                start()
        return self._wsgi_app(environ, start_response)
