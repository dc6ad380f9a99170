"""The state of the link to Redis: one line in the log when it goes, one when it is back.

On a Cluster it is down as long as one slot that is needed does not answer.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from ..clock import Clock
from ..errors import StoreError
from .trouble import explained

logger = logging.getLogger("jobrunner")

#: In place of a slot: a failure of the whole. Any answer ends it.
_ALL = -1


class TooFewReplicasError(StoreError):
    """Raised when a claim is on too few replicas to outlive its master: it was given back."""


class Link:
    """Whether Redis answers this instance. Told by every call, whoever makes it."""

    def __init__(self, where: str, trust: Clock) -> None:
        self._where = where
        self._trust = trust
        self._down_since: float | None = None
        #: The slots that do not answer, and those whose claims too few replicas acknowledge.
        self._silent: set[int] = set()
        self._unreplicated: set[int] = set()

    @property
    def up(self) -> bool:
        return self._down_since is None

    def failed(self, error: BaseException, slots: Iterable[int] = ()) -> None:
        """A call was not done; in these slots, where it is not the whole.

        `TooFewReplicasError` is told also when another failure was, and is over only when a
        claim was acknowledged.
        """
        if isinstance(error, TooFewReplicasError):
            told = bool(self._unreplicated)
            self._unreplicated.update(slots)
        else:
            told = self._down_since is not None
            self._silent.update(slots or (_ALL,))
        if self._down_since is None:
            self._down_since = self._trust()
        if not told:
            logger.warning("Could not check and run jobs: %s: %s", self._where, explained(error))

    def answered(self, slots: Iterable[int] = (), *, replicated: bool = False) -> None:
        """A call was done, in these slots; with `replicated` enough replicas have it."""
        if self._down_since is None:
            return
        self._silent -= {_ALL, *slots}
        if replicated:
            self._unreplicated -= set(slots)
        if not self._silent and not self._unreplicated:
            away = self._trust() - self._down_since
            self._down_since = None
            logger.warning("%s is back after %.1f s: jobs are checked again", self._where, away)
