"""Living in the workers of a gunicorn master that preloads the application.

In the master nothing is spawned and nothing connects. The fork of a worker is seen from inside,
in the child: there its `run` is wrapped, and no more, for monkey patching has not happened yet.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any

from .detect import frames, loaded

#: What to do with each worker that is forked, held weakly by the owner of the callback.
_waiting: list[weakref.WeakMethod[Callable[[Any], None]]] = []
_registered = False


def on_worker_fork(callback: Callable[[Any], None]) -> None:
    """Call `callback(worker)`, a bound method, in each worker that this master forks."""
    global _registered
    _waiting.append(weakref.WeakMethod(callback))
    if not _registered:
        _registered = True
        os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    worker = _forked_worker()
    if worker is None:
        return
    for reference in _waiting:
        callback = reference()
        if callback is not None:
            callback(worker)


def _forked_worker() -> Any | None:
    """The worker whose fork this is: of the master itself, not of a worker's own children."""
    worker_kind = loaded("gunicorn.workers.base", "Worker")
    arbiter_kind = loaded("gunicorn.arbiter", "Arbiter")
    if worker_kind is None or arbiter_kind is None:
        return None
    for frame in frames():
        arbiter, worker = frame.f_locals.get("self"), frame.f_locals.get("worker")
        if isinstance(arbiter, arbiter_kind) and isinstance(worker, worker_kind):
            return worker if arbiter.pid == os.getppid() else None
    return None
