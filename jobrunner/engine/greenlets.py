"""The greenlet of a run: a plain one.

What gevent's own keep besides, the stack on which they were made and links for who waits for them,
costs a fifth of what making, switching to and ending one does. Who waits for a run waits for that.
"""

from __future__ import annotations

from typing import Any

from greenlet import greenlet


class RunGreenlet(greenlet):  # type: ignore[misc]  # greenlet has no types here
    """Where one run lives."""

    __slots__ = ()

    def throw(self, *error: Any) -> Any:
        """As gevent's: a timeout that the job forgot strikes nobody once the run is over."""
        return None if self.dead else super().throw(*error)
