"""Under a server that nothing tells about itself the loop starts with its first request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from flask import Flask

from jobrunner.hosting.request import StartWithRequest

SERVED: list[dict[str, Any]] = [{"SERVER_SOFTWARE": "gevent/26"}, {"uwsgi.version": b"2.0"}]


class Asked:
    """A WSGI application behind a `StartWithRequest`; notes in which order what happened."""

    def __init__(self) -> None:
        self.happened: list[object] = []
        self.wsgi_app = StartWithRequest(self._answer, self.start)

    def start(self) -> None:
        self.happened.append("started")

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.happened.append((environ, start_response))
        return [b"hello"]


@pytest.mark.parametrize("environ", SERVED, ids=["server software", "uwsgi"])
def test_the_first_request_of_a_server_starts_before_it_is_answered(
    environ: dict[str, Any],
) -> None:
    asked = Asked()

    answers = [asked.wsgi_app(environ, "start_response") for _ in range(3)]

    assert [[b"hello"]] * 3 == answers
    assert ["started"] + [(environ, "start_response")] * 3 == asked.happened


def test_a_test_client_is_no_server() -> None:
    app = Flask("shop")
    asked = Asked()
    app.wsgi_app = StartWithRequest(app.wsgi_app, asked.start)  # type: ignore[method-assign]

    for _ in range(2):
        assert 404 == app.test_client().get("/").status_code
    assert [] == asked.happened

    # It starts all the same when a server's request comes later.
    environment = {"SERVER_SOFTWARE": "waitress"}
    app.test_client().get("/", environ_overrides=environment)
    assert ["started"] == asked.happened


def test_a_second_first_request_at_the_same_moment_starts_nothing_and_is_answered() -> None:
    """Two threads of a server: the second looks while the first is about to start."""
    asked = Asked()

    class Environ(dict[str, Any]):
        """A request during whose inspection another one comes first."""

        def __contains__(self, key: object) -> bool:
            if key == "SERVER_SOFTWARE" and "started" not in asked.happened:
                asked.wsgi_app({"SERVER_SOFTWARE": "other"}, None)
            return super().__contains__(key)

    assert [b"hello"] == asked.wsgi_app(Environ(SERVER_SOFTWARE="one"), None)
    assert 1 == asked.happened.count("started")
