"""Waiting for the signals that end a process of its own."""

from __future__ import annotations

import signal
import time
from types import FrameType

#: Seconds between two looks: a hub that waits for nothing else would not see the signal sooner.
_LOOK_SECONDS = 0.2


def wait_for_stop_signal() -> None:
    """Block until TERM or INT; call it in the main thread. Under monkey patching it yields."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        while not received:
            time.sleep(_LOOK_SECONDS)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
