"""The state of the link to Redis: one line in the log when it goes, one when it is back."""

from __future__ import annotations

import logging

from ..clock import Clock

logger = logging.getLogger("jobrunner")


class Link:
    """Whether Redis answers this instance. Told by every call, whoever makes it."""

    def __init__(self, where: str, trust: Clock) -> None:
        self._where = where
        self._trust = trust
        self._down_since: float | None = None

    @property
    def up(self) -> bool:
        return self._down_since is None

    def failed(self, error: BaseException) -> None:
        """A call was not done."""
        if self._down_since is None:
            self._down_since = self._trust()
            logger.warning(
                "Could not check and run jobs: %s: %s: %s",
                self._where,
                type(error).__name__,
                error,
            )

    def answered(self) -> None:
        """A call was done."""
        if self._down_since is not None:
            away = self._trust() - self._down_since
            self._down_since = None
            logger.warning("%s is back after %.1f s: jobs are checked again", self._where, away)
