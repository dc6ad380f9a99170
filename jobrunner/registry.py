"""The jobs of one application: who is registered, and who may not be beside whom."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from .errors import DuplicateJobError, UnknownJobError
from .job import Job, JobDefinition
from .keys import SATELLITES, FleetKeys


class Registry:
    """Job definitions by name. Registering the same job again replaces it silently."""

    def __init__(self, namespace: str, timezone: str = "UTC") -> None:
        self._namespace = namespace
        self._timezone = timezone
        self._fleet_keys = FleetKeys.of(namespace).all()
        self._definitions: dict[str, JobDefinition] = {}
        self._owners = _Owners()
        #: Grows with every change, so that the agenda can tell whether to look again.
        self.version = 0

    def register(self, job: Job) -> JobDefinition:
        """Add `job`; `InvalidJobError` or `DuplicateJobError` when it cannot be."""
        definition = JobDefinition.of(job, self._namespace, self._timezone)
        self._refuse_namesake(definition)
        self._refuse_shared_keys(definition)
        replaced = self._definitions.get(definition.name)
        if replaced is not None:
            self._owners.forget(replaced)
        self._definitions[definition.name] = definition
        self._owners.add(definition)
        self.version += 1
        return definition

    def check(self, job: Job) -> JobDefinition:
        """The definition of `job`, were it put in the place of its namesake; raises as that would,
        and changes nothing.
        """
        definition = JobDefinition.of(job, self._namespace, self._timezone)
        self._refuse_shared_keys(definition)
        return definition

    def replace(self, job: Job) -> JobDefinition:
        """Put `job` in the place of the one that has its name, whatever that is."""
        self.check(job)
        if job.name in self._definitions:
            self.unregister(job.name)
        return self.register(job)

    def unregister(self, name: str) -> None:
        """Take a job away; `UnknownJobError` when it is not there."""
        definition = self.get(name)
        del self._definitions[name]
        self._owners.forget(definition)
        self.version += 1

    def get(self, name: str) -> JobDefinition:
        """The job of that name; `UnknownJobError` suggests the nearest one."""
        try:
            return self._definitions[name]
        except KeyError:
            # Whatever the case: 'dummy job' is nearest to 'DUMMY JOB'.
            names = {known.lower(): known for known in self._definitions}
            near = difflib.get_close_matches(str(name).lower(), names, n=1)
            known = f"did you mean {names[near[0]]!r}?" if near else f"known are {self.names()}."
            raise UnknownJobError(f"there is no job {name!r}: {known}") from None

    def names(self) -> list[str]:
        return list(self._definitions)

    def __iter__(self) -> Iterator[JobDefinition]:
        return iter(list(self._definitions.values()))

    def __len__(self) -> int:
        return len(self._definitions)

    def __contains__(self, name: object) -> bool:
        return name in self._definitions

    def _refuse_namesake(self, definition: JobDefinition) -> None:
        other = self._definitions.get(definition.name)
        if other is not None and other.origin != definition.origin:
            raise DuplicateJobError(
                f"job {definition.name!r} ({definition.origin}) has the name of another job "
                f"({other.origin}): give one of them a different name."
            )

    def _refuse_shared_keys(self, definition: JobDefinition) -> None:
        for key in definition.keys.all():
            owner = self._owners.of(key)
            if owner is not None and owner.name != definition.name:
                raise DuplicateJobError(
                    f"job {definition.name!r} would use the Redis key {key!r}, which belongs to "
                    f"job {owner.name!r}: give one of them a different sync_key."
                )
            if key in self._fleet_keys:
                raise DuplicateJobError(
                    f"job {definition.name!r} would use the Redis key {key!r}, which belongs to "
                    f"the namespace {self._namespace!r} itself: choose a different sync_key."
                )


class _Owners:
    """Whose each Redis key is. The satellites are found by what their names begin with, so that
    most jobs stand here once and not four times.
    """

    def __init__(self) -> None:
        self._by_sync_key: dict[str, JobDefinition] = {}
        #: Of those whose satellites begin with something else than the sync key.
        self._by_root: dict[str, JobDefinition] = {}

    def of(self, key: str) -> JobDefinition | None:
        """The job that has this key; None: nobody."""
        owner = self._by_sync_key.get(key)
        root, _, satellite = key.rpartition(":")
        if owner is not None or satellite not in SATELLITES:
            return owner
        owner = self._by_sync_key.get(root)
        if owner is not None and owner.keys.root == root:
            return owner
        return self._by_root.get(root)

    def add(self, definition: JobDefinition) -> None:
        keys = definition.keys
        self._by_sync_key[keys.sync_key] = definition
        if keys.root != keys.sync_key:
            self._by_root[keys.root] = definition

    def forget(self, definition: JobDefinition) -> None:
        keys = definition.keys
        del self._by_sync_key[keys.sync_key]
        self._by_root.pop(keys.root, None)
