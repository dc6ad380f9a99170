"""Waiting for something to become true, instead of sleeping and hoping."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Taken now: a test that freezes or replaces the module's functions must not stop a wait.
_now, _sleep = time.monotonic, time.sleep


def wait_for(
    condition: Callable[[], T],
    timeout: float = 30,
    message: str | Callable[[], str] = "",
    every: float = 0.02,
) -> T:
    """The first true answer of `condition`; AssertionError after `timeout` seconds without one.

    `message` says what was awaited; as a function it is called at the end, to show what was seen.
    An exception of `condition` is not caught.
    """
    deadline = _now() + timeout
    while not (answer := condition()):
        if _now() > deadline:
            seen = message() if callable(message) else message
            raise AssertionError(f"not within {timeout} s: {seen or condition}")
        _sleep(every)
    return answer
