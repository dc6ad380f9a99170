"""Which kind of process is this? Found from the frames of the caller and from click.

Called by `start()`, inside an application factory: whoever serves the application, or is about
to fork those who will, stands further down the stack.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from enum import Enum, auto
from types import FrameType
from typing import Any


class Process(Enum):
    """What `start()` finds itself in."""

    #: A gunicorn worker, about to run.
    GUNICORN_WORKER = auto()
    #: A gunicorn master that preloads the application: its workers are not forked yet.
    GUNICORN_MASTER = auto()
    #: The development server, or `flask jobs serve`: this process serves.
    SERVING = auto()
    #: A command that serves nothing, or the parent of the reloader.
    COMMAND = auto()
    #: Nothing that is known: whether it will serve is told by its first request.
    UNKNOWN = auto()


def detect() -> Process:
    """The kind of this process, seen from the caller's frame."""
    if find_worker() is not None:
        return Process.GUNICORN_WORKER
    if find_arbiter() is not None:
        return Process.GUNICORN_MASTER
    return _by_click()


def find_worker() -> Any | None:
    """The gunicorn worker of this very process that is loading the application."""
    kind = loaded("gunicorn.workers.base", "Worker")
    if kind is None:
        return None
    found = (frame.f_locals.get("self") for frame in frames())
    return next((w for w in found if isinstance(w, kind) and w.pid == os.getpid()), None)


def find_arbiter() -> Any | None:
    """The gunicorn master of this very process."""
    kind = loaded("gunicorn.arbiter", "Arbiter")
    if kind is None:
        return None
    found = (frame.f_locals.get("self") for frame in frames())
    return next((a for a in found if isinstance(a, kind) and _is_here(a)), None)


def frames() -> Iterator[FrameType]:
    """The frames of the caller and of its callers."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def loaded(module: str, name: str) -> Any | None:
    """A class of a module that this process has imported already; None: it has not."""
    found = getattr(sys.modules.get(module), name, None)
    return found if isinstance(found, type) else None


def is_served(environ: dict[str, Any]) -> bool:
    """Whether a request comes from a real server, and not from a test client."""
    return "SERVER_SOFTWARE" in environ or "uwsgi.version" in environ


def _is_here(arbiter: Any) -> bool:
    # The master reads its pid when it starts; while it preloads it has none yet.
    return getattr(arbiter, "pid", None) in (None, os.getpid())


def _by_click() -> Process:
    import click

    context = click.get_current_context(silent=True)
    if context is None:
        return Process.UNKNOWN
    if _is_flask_run(context):
        return Process.COMMAND if _is_reloader_parent(context) else Process.SERVING
    return Process.SERVING if _is_jobs_serve(context) else Process.COMMAND


def _is_flask_run(context: Any) -> bool:
    # The name alone could be a user's own command; FLASK_RUN_FROM_CLI is set for all of them.
    callback = getattr(context.command, "callback", None)
    return context.command.name == "run" and getattr(callback, "__module__", "") == "flask.cli"


def _is_jobs_serve(context: Any) -> bool:
    callback = getattr(context.command, "callback", None)
    return context.command.name == "serve" and str(getattr(callback, "__module__", "")).startswith(
        "jobrunner."
    )


def _is_reloader_parent(context: Any) -> bool:
    reload = context.params.get("reload")
    if reload is None:  # as `flask run` decides it: by the debug flag
        flag = os.environ.get("FLASK_DEBUG", "")
        reload = flag.lower() not in ("", "0", "false", "no")
    return bool(reload) and os.environ.get("WERKZEUG_RUN_MAIN") != "true"
