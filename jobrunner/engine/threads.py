"""Native threads for runs, beside the hub, and the way back into it.

Under monkey patching what looks like a lock is the hub's: shared between native threads, it was
seen to lose wake-ups, and who waits for it then waits for ever. So a run's thread shares none of
the library's: what the library does for it, and what it logs, is done in the hub meanwhile.
"""

from __future__ import annotations

import contextvars
import functools
import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

import gevent
from gevent import monkey
from gevent.threadpool import ThreadPool

from ..errors import StoreError

T = TypeVar("T")

_allocate_lock = monkey.get_original("_thread", "allocate_lock")

#: Of each native thread, whatever greenlets it has: `threads`, whose run it is at.
_here: Any = monkey.get_original("_thread", "_local")()

#: Seconds that a thread waits for the hub to do something for it: then the hub is gone.
_MOST_SECONDS = 300.0


def has_patched_threads() -> bool:
    """Whether what looks like a thread or a lock here belongs to a hub."""
    return bool(monkey.is_module_patched("threading"))


class RunThreads:
    """At most so many native threads, which begin with the first run that needs one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._pool: ThreadPool | None = None
        self._hub_loop: Any = None

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """What `function` returns in a thread of its own; the calling greenlet waits."""
        if self._pool is None:
            self._pool = ThreadPool(self._most)
            self._hub_loop = gevent.get_hub().loop
            if has_patched_threads():
                _log_in_the_hub()
        # An empty context, as a greenlet has: pool threads are used again.
        call = functools.partial(contextvars.Context().run, self._call, function, *arguments)
        return cast(T, self._pool.spawn(call).get())

    def in_hub(self, function: Callable[[], T]) -> T:
        """What `function` returns, or raises, in a greenlet of the hub; a run's thread waits."""
        done = _allocate_lock()
        done.acquire()
        left: list[tuple[Any, BaseException | None]] = []

        def work() -> None:
            try:
                left.append((function(), None))
            except BaseException as error:
                left.append((None, error))
            finally:
                done.release()

        self._hub_loop.run_callback_threadsafe(gevent.spawn, work)
        if not done.acquire(timeout=_MOST_SECONDS):
            raise StoreError("the hub of this instance did not answer the thread of a run")
        value, error = left[0]
        if error is not None:
            raise error
        return cast(T, value)

    def _call(self, function: Callable[..., T], *arguments: Any) -> T:
        _here.threads = self
        try:
            return function(*arguments)
        finally:
            _here.threads = None


def _log_in_the_hub() -> None:
    """Let the hub handle what is logged in the threads of runs: handlers have patched locks."""
    handle = logging.Logger.handle
    if getattr(handle, "handles_in_the_hub", False):
        return

    @functools.wraps(handle)
    def handle_in_the_hub(self: logging.Logger, record: logging.LogRecord) -> None:
        threads: RunThreads | None = getattr(_here, "threads", None)
        if threads is None:
            handle(self, record)
        else:
            context = contextvars.copy_context()
            threads.in_hub(lambda: context.run(handle, self, record))

    handle_in_the_hub.handles_in_the_hub = True  # type: ignore[attr-defined]
    logging.Logger.handle = handle_in_the_hub  # type: ignore[method-assign]
