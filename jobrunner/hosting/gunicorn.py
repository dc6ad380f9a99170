"""Living in a gunicorn worker: start when it runs, drain when it stops.

It rests on gunicorn's internals (`worker.run`, `worker.alive`, `worker.tmp`), seen alike in
gunicorn 20.1, 21.2, 22.0, 23.0 and 27.0; `atexit` stands behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

#: Seconds before the master's kill at which a drain has to be over.
KILL_MARGIN = 2.0


class Started(Protocol):
    """What lives in the worker once it runs."""

    def watch(
        self, alive: Callable[[], bool], most_seconds: float, still_here: Callable[[], None]
    ) -> None:
        """Stop claiming as soon as `alive()` is false, and drain within `most_seconds` of it;
        call `still_here` about every second meanwhile."""

    def stop(self) -> object:
        """Drain, if that has not happened yet, and return when it is done."""


def attach(worker: Any, start: Callable[[], Started]) -> None:
    """Call `start` when `worker` runs, in its process, and drain when its `run` returns."""
    run = worker.run

    def run_with_jobs() -> None:
        started = start()
        # Past graceful_timeout the master kills, and no `finally` runs.
        most_seconds = max(0.0, worker.cfg.graceful_timeout - KILL_MARGIN)
        # Not worker.notify(): in an orphaned worker that one raises SystemExit.
        started.watch(lambda: bool(worker.alive), most_seconds, worker.tmp.notify)
        try:
            try:
                run()
            finally:
                started.stop()
        except SystemExit:
            # A terminal's Ctrl-C comes twice, as INT to all and as the master's QUIT, and the
            # second hits the drain, or the way to it. Who insists more often than that leaves
            # the runs to their leases.
            started.stop()
            raise

    worker.run = run_with_jobs
