"""An application to learn from: it counts its visits, and recurring jobs look after them.

Read `extensions.py` (the runner), then `jobs.py` (the jobs). The rest is an ordinary application.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from flask import Flask


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Return a new application; `config` has the last word over `config.py`."""
    app = Flask(__name__)
    app.config.from_object("flask_example.config")
    app.config.from_mapping(config)
    log_to_console()

    # Imported here, not above: a process that only wants the launcher needs none of it.
    from . import database, jobs, shared, views
    from .extensions import runner

    database.init_app(app)
    shared.init_app(app)
    app.register_blueprint(views.pages)

    # Importing `jobs` registered the decorated functions; jobs that are classes are handed over.
    runner.init_app(app, jobs=[jobs.DummyJob(), jobs.SecondDummyJob()])
    # Every worker starts its own runner; which of them runs a due job is settled in Redis.
    runner.start()
    return app


def log_to_console() -> None:
    """Show what the jobs do, each line with its worker's pid, in the look of gunicorn's own lines.

    Does nothing where logging is configured already: in a test, or by your deployment.
    """
    logging.basicConfig(
        level=logging.INFO,
        format="[%(asctime)s] [%(process)d] [%(levelname)s] %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S %z",
    )
