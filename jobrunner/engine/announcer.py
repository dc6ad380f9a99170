"""What an instance tells the fleet of itself: the jobs that it knows, and where it lives."""

from __future__ import annotations

import logging
import os

from ..errors import StoreError
from ..job import JobDefinition
from ..registry import Registry
from ..store.announced import Announced
from ..store.redis import RedisStore
from .notices import Notices

logger = logging.getLogger("jobrunner")


class Announcer:
    """Follows the registry of one instance."""

    def __init__(
        self,
        registry: Registry,
        store: RedisStore,
        host: str,
        tags: tuple[str, ...],
        notices: Notices,
    ) -> None:
        self._registry = registry
        self._store = store
        self._host, self._tags = host, tags
        self._notices = notices
        self._seen_version = -1

    def news(self) -> dict[str, int] | None:
        """When the fleet first saw the schedule of each job, if the registry has changed since the
        last time: then all of it is announced. `StoreError` when Redis is away.
        """
        version = self._registry.version
        if self._seen_version == version:
            return None
        announced = self._announce()
        for name, before in announced.items():
            if before.moved_from is not None:
                self._notices.moved(self._registry.get(name), before.moved_from)
        self._introduce()
        self._seen_version = version
        return {name: before.since_ms for name, before in announced.items()}

    def is_ours(self, definition: JobDefinition) -> bool:
        """Whether this instance may run the job."""
        policies = definition.policies
        return policies.enabled and policies.may_run_on(self._host, self._tags)

    def _announce(self) -> dict[str, Announced]:
        try:
            return self._store.announce(list(self._registry))
        except StoreError as error:
            if not self._store.link.up:
                raise
            # A key of a wrong type: others do not see our jobs, and the jobs run all the same.
            logger.error("The jobs cannot be announced: %s", error)
            return {}

    def _introduce(self) -> None:
        try:
            self._store.introduce(self._host, os.getpid(), self._tags)
        except StoreError as error:
            if not self._store.link.up:
                raise
            logger.error("This instance cannot be introduced: %s", error)
