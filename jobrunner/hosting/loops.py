"""Where the loop lives: greenlets of this hub, or a thread with a hub of its own.

With `socket` and `threading` monkey-patched, the loop and the runs are greenlets beside the web
requests. Otherwise one native thread holds a hub for the loop, and each run gets a native thread:
greenlets of an unpatched thread do not run beside one another, and share thread-local sessions.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import gevent
from gevent import monkey
from gevent.event import Event

T = TypeVar("T")


def is_patched() -> bool:
    """Whether this process is monkey-patched for greenlets."""
    return bool(monkey.is_module_patched("socket") and monkey.is_module_patched("threading"))


class Home(Protocol):
    """Where the greenlets of one started runner live."""

    def spawn(self, function: Callable[[], object]) -> None:
        """Start `function` as a greenlet there."""

    def call(self, function: Callable[[], T]) -> T:
        """Run `function` there, and return, or raise, what it does."""

    def close(self) -> None:
        """End the greenlets, and what they live in."""


class GreenletHome:
    """Greenlets of the caller's hub."""

    def __init__(self) -> None:
        self._greenlets: list[gevent.Greenlet] = []

    def spawn(self, function: Callable[[], object]) -> None:
        self._greenlets.append(gevent.spawn(function))

    def call(self, function: Callable[[], T]) -> T:
        return function()

    def close(self) -> None:
        gevent.killall([g for g in self._greenlets if g is not gevent.getcurrent()])


class ThreadHome:
    """A daemon thread whose hub runs the greenlets."""

    def __init__(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._live, args=(ready,), name="jobrunner", daemon=True
        )
        self._greenlets: list[gevent.Greenlet] = []
        self._thread.start()
        ready.wait()

    def spawn(self, function: Callable[[], object]) -> None:
        self.call(lambda: self._greenlets.append(gevent.spawn(function)))

    def call(self, function: Callable[[], T]) -> T:
        if threading.current_thread() is self._thread:
            return function()
        done = threading.Event()
        result: dict[str, Any] = {}

        def work() -> None:
            try:
                result["value"] = function()
            except BaseException as error:
                result["error"] = error
            finally:
                done.set()

        self._loop.run_callback_threadsafe(gevent.spawn, work)
        done.wait()
        if "error" in result:
            raise result["error"]
        value: T = result["value"]
        return value

    def close(self) -> None:
        self.call(lambda: gevent.killall(self._greenlets))
        self._loop.run_callback_threadsafe(self._end.set)
        self._thread.join(timeout=5)

    def _live(self, ready: threading.Event) -> None:
        hub = gevent.get_hub()
        self._loop = hub.loop
        self._end = Event()
        # A hub with nothing to wait for would end the wait for `_end` with an error.
        keep_alive = hub.loop.async_()
        keep_alive.start(lambda: None)
        ready.set()
        self._end.wait()
        keep_alive.stop()
        keep_alive.close()
        hub.destroy(destroy_loop=True)
