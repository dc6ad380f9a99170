"""The names of a job's keys in Redis, and the proof that they share a Cluster slot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .errors import InvalidJobError

SATELLITES = ("state", "lease", "history")


def hash_tag(key: str) -> str:
    """The part of `key` that decides its Redis Cluster slot.

    What stands between the first `{` and the first `}` after it, unless that is empty or
    missing: then the whole key (Redis Cluster specification, "Hash tags").
    """
    opening = key.find("{")
    if opening >= 0:
        closing = key.find("}", opening + 1)
        if closing > opening + 1:
            return key[opening + 1 : closing]
    return key


@dataclass(frozen=True, slots=True)
class JobKeys:
    """The four keys of a job: the last start, and its satellites in the same slot.

    A process may have a hundred thousand of these, so the names of the satellites are made
    when somebody asks, and `written` when Redis is asked about the job for the first time.
    """

    sync_key: str
    #: What the names of the satellites begin with: the sync key itself, if it has a hash tag.
    root: str
    #: All of them as a command of Redis has them: as bulk strings of its protocol.
    written: str = field(init=False, repr=False, compare=False)

    @classmethod
    def of(cls, sync_key: Any) -> JobKeys:
        """The keys of `sync_key`; `InvalidJobError` when they would not share its slot."""
        if not isinstance(sync_key, str) or not sync_key or not sync_key.isprintable():
            raise InvalidJobError(
                f"sync_key = {sync_key!r}: it must be a printable string that is not empty, "
                f"such as 'PURGE_LAST_RUN'."
            )
        tagged = sync_key if hash_tag(sync_key) != sync_key else f"{{{sync_key}}}"
        if hash_tag(f"{tagged}:state") != hash_tag(sync_key):
            raise InvalidJobError(
                f"sync_key = {sync_key!r}: with these braces its keys would land in different "
                f"slots of a Redis Cluster; leave the braces out, or write one tag, "
                f"as in '{{myapp}}:purge'."
            )
        return cls(sync_key, tagged)

    @property
    def state(self) -> str:
        return f"{self.root}:state"

    @property
    def lease(self) -> str:
        return f"{self.root}:lease"

    @property
    def history(self) -> str:
        return f"{self.root}:history"

    def all(self) -> tuple[str, str, str, str]:
        """In the order in which the scripts take them."""
        return (self.sync_key, self.state, self.lease, self.history)

    def __getattr__(self, name: str) -> str:
        """`written`, which is looked for here until it is there."""
        if name != "written":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        sizes = [len(key.encode()) for key in self.all()]
        pairs = zip(sizes, self.all(), strict=True)
        written = "".join(f"${size}\r\n{key}\r\n" for size, key in pairs)
        object.__setattr__(self, "written", written)
        return written


def default_sync_key(namespace: str, name: str) -> str:
    """The sync key of a job that names none; all of an application's share one slot."""
    return f"{{{namespace}}}:job:{name}"


@dataclass(frozen=True, slots=True)
class FleetKeys:
    """The keys that belong to a namespace and to none of its jobs."""

    jobs: str
    instances: str
    control: str
    hosts: str

    @classmethod
    def of(cls, namespace: str) -> FleetKeys:
        return cls(
            *(f"{{{namespace}}}:{kind}" for kind in ("jobs", "instances", "control", "hosts"))
        )

    def all(self) -> tuple[str, ...]:
        return (self.jobs, self.instances, self.control, self.hosts)
