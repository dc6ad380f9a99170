"""The web application that every contender is embedded in: one view, and jobs that do nothing.

`gunicorn -k gevent -w 1 "benchmarks.web.app:create_app()"`, for the scenario in the environment,
whose option `embed` names the contender's module. The same for all: Flask, a view with a typical
share of Python, INFO logging to a handler that drops it, the garbage collector kept off what was
loaded.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import logging

import gevent
from flask import Flask, Response

from benchmarks.contenders.base import Scenario, settle

#: Rows of the answer, and rounds of computing for each: about 0.2 ms with all that is around it.
_ROWS = 8
_ROUNDS = 9


def create_app() -> Flask:
    """The application, with the contender of this process's scenario started in it."""
    logging.basicConfig(level=logging.INFO, handlers=[logging.NullHandler()])
    scenario = Scenario.here()
    app = Flask("benchmark")
    app.add_url_rule("/", "view", view)
    if "embed" in scenario.options:
        module = importlib.import_module(f"benchmarks.contenders.{scenario.options['embed']}")
        module.embed(scenario, app)
    gevent.spawn_later(0.5, settle)
    return app


def view() -> Response:
    """A few hundred bytes of JSON."""
    rows = [{"id": number, "name": f"row {number}", "sum": _sum(number)} for number in range(_ROWS)]
    return Response(json.dumps({"rows": rows, "count": len(rows)}), mimetype="application/json")


def _sum(number: int) -> str:
    found = str(number)
    for _ in range(_ROUNDS):
        found = hashlib.sha256(found.encode()).hexdigest()[:16]
    return found
