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
        self._start: Callable[[], Any] | None = start

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if self._start is not None and is_served(environ):
            start, self._start = self._start, None
            start()
        return self._wsgi_app(environ, start_response)
