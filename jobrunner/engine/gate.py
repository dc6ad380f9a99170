"""The gate: runs that are claimed already wait here for their time.

So the way to Redis and back, and the taking in of its answer, are over when a due time comes: its
jobs begin one right after the other.
"""

from __future__ import annotations

from collections.abc import Callable

import gevent

from ..clock import Clock
from .timely import wait_until


class Gate:
    """Of one instance."""

    def __init__(self, trust: Clock) -> None:
        self._trust = trust
        #: What is called when it opens.
        self._held: list[Callable[[], object]] = []
        #: Trust seconds.
        self._opens_at = 0.0

    def hold(self, begin: Callable[[], object], moment: float) -> None:
        """Call `begin` at trust second `moment`; later, if others that are held begin later."""
        if not self._held:
            gevent.spawn(self._open)
        self._opens_at = max(self._opens_at, moment)
        self._held.append(begin)

    def _open(self) -> None:
        while self._trust() < self._opens_at:  # it may be put off meanwhile
            wait_until(self._trust, self._opens_at)
        held, self._held = self._held, []
        for begin in held:
            begin()
