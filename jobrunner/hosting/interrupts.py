"""Ctrl-C while a person runs a job by hand: the run is cancelled, recorded, and released."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent

from ..engine.active import ActiveRun
from ..engine.executor import Executor


@contextmanager
def cancelled_by_interrupt(executor: Executor, active: ActiveRun) -> Iterator[list[int]]:
    """Let an interrupt cancel that run instead of ending the process; a second one ends it.

    Yields a list that each interrupt is noted in. Only the main thread hears of any.
    """
    interrupts: list[int] = []

    def cancel(number: int, frame: Any) -> None:
        interrupts.append(number)
        signal.signal(signal.SIGINT, before)
        executor.cancel(active.run_id, "interrupted by Ctrl-C")
        reason = active.stop_reason
        if active.in_body and reason is not None and gevent.getcurrent() is active.greenlet:
            # In the middle of the job's own code, which may be waiting where no hub reaches it.
            raise reason

    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = signal.signal(signal.SIGINT, cancel)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)
