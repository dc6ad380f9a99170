"""What the jobs of the past left in Redis: definitions that were announced, and their keys."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from redis.exceptions import RedisError

from ..errors import InvalidJobError, StoreError
from ..keys import FleetKeys, JobKeys
from . import scripts
from .announced import announcers_of
from .answers import text
from .servers import Servers, Words
from .trouble import explained
from .wire import Batch

#: How many of a job's last runs are looked at for who ran them.
_RUNS = 20


class Announced(NamedTuple):
    """One definition, as it stands in the hash of the namespace."""

    #: As Redis holds it: what cannot be read as text can be removed all the same.
    field: bytes
    name: str
    #: None: they do not stand there in a form that can be read.
    keys: JobKeys | None
    origin: str
    #: The instances that announced it last.
    instances: tuple[str, ...]


class Leftovers:
    """The definitions of a namespace, and the keys of the jobs that they name.

    Every method raises `StoreError` when Redis is away or refuses.
    """

    def __init__(self, servers: Servers, namespace: str) -> None:
        self._servers = servers
        self._jobs = FleetKeys.of(namespace).jobs
        self._home = servers.slot(self._jobs)

    def announced(self) -> list[Announced]:
        """Every definition that was ever announced and not removed, by name."""
        (raw,) = self._ask([(self._home, ("HGETALL", self._jobs))])
        if not isinstance(raw, Mapping):
            raise StoreError(f"{self._jobs} cannot be read: {raw!r}")
        found = [_announced(_bytes(field), value) for field, value in raw.items()]
        return sorted(found, key=lambda one: one.name)

    def runners(self, keys: Sequence[JobKeys]) -> list[set[str]]:
        """The instances that ran the last runs of each job, and that runs it now."""
        requests: list[tuple[int, Words]] = []
        for job in keys:
            slot = self._slot(job)
            requests.append((slot, ("XREVRANGE", job.history, "+", "-", "COUNT", _RUNS)))
            requests.append((slot, ("HGET", job.state, "instance")))
        answers = self._ask(requests) if requests else []
        return [_runners(answers[i], answers[i + 1]) for i in range(0, len(answers), 2)]

    def remove_keys(self, keys: JobKeys) -> str | None:
        """Delete the keys of a job. None: they are gone; else why not (`held`: somebody runs it),
        and nothing was deleted.
        """
        slot = self._slot(keys)
        batch = Batch(keys.all())
        try:
            reply = self._servers.run(scripts.prune, {slot: batch})[slot].value
        except (RedisError, OSError) as error:
            raise StoreError(explained(error)) from error
        if isinstance(reply, Exception):
            raise StoreError(explained(reply)) from reply
        return text(reply[0]) or None

    def forget(self, announced: Announced) -> None:
        """Remove a definition."""
        self._ask([(self._home, ("HDEL", self._jobs, announced.field))])

    def _slot(self, keys: JobKeys) -> int:
        return self._servers.slot(keys.sync_key)

    def _ask(self, requests: Sequence[tuple[int, Words]]) -> list[Any]:
        try:
            answers = self._servers.ask(requests)
        except (RedisError, OSError) as error:
            raise StoreError(explained(error)) from error
        for answer in answers:
            if isinstance(answer, Exception) and not str(answer).startswith("WRONGTYPE"):
                raise StoreError(explained(answer)) from answer
        return answers


def _announced(field: bytes, raw: Any) -> Announced:
    name = text(field)
    try:
        told = json.loads(raw)
        keys = JobKeys.of(told["sync_key"])
        announcers = tuple(announcers_of(told.get("instances")))
        return Announced(field, name, keys, str(told.get("origin", "")), announcers)
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError, InvalidJobError):
        return Announced(field, name, None, "", ())


def _runners(entries: Any, running_on: Any) -> set[str]:
    # A key of a wrong type says nothing here; the script that removes will say what it is.
    history = entries if isinstance(entries, list) else []
    raw = [fields.get(b"instance") or fields.get("instance") for _, fields in history]
    return {text(one) for one in [*raw, running_on] if one and not isinstance(one, Exception)}


def _bytes(field: Any) -> bytes:
    return field if isinstance(field, bytes) else str(field).encode()
