"""What the instances of a fleet tell of themselves: where they live, and which jobs they know."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ..clock import RedisClock
from ..job import JobDefinition
from ..status import InstanceStatus
from .announced import Announced, described, instance_of, since_of
from .answers import text
from .calls import MAX_BATCH, Calls
from .connect import Client


class Census(Calls):
    """What one instance tells, and what all have told."""

    def __init__(self, client: Client, namespace: str, instance: str, clock: RedisClock) -> None:
        super().__init__(client, namespace, clock)
        self._instance = instance

    def now_ms(self) -> int:
        """The time that decides what is due, in milliseconds; asked for when not known yet."""
        now_ms = self._clock.now_ms()
        if now_ms is None:
            sent_at = self._clock.trust()
            seconds, micros = self._command("TIME")
            self._clock.heard(seconds * 1000 + micros / 1000, sent_at)
            now_ms = int(seconds * 1000 + micros / 1000)
        return now_ms

    def announce(self, definitions: Sequence[JobDefinition]) -> dict[str, Announced]:
        """Write the definitions for other processes to read.

        Returns, by name, what is drawn from what stood there before.
        """
        announced: dict[str, Announced] = {}
        now_ms = self.now_ms()
        for start in range(0, len(definitions), MAX_BATCH):
            chunk = definitions[start : start + MAX_BATCH]
            before = self._command("HMGET", self._fleet.jobs, *(d.name for d in chunk))
            written: list[str] = []
            for definition, raw in zip(chunk, before, strict=True):
                words, announced[definition.name] = described(
                    definition, raw, now_ms, self._instance
                )
                written += (definition.name, words)
            self._command("HSET", self._fleet.jobs, *written)
        self._look_at_eviction()
        return announced

    def since(self, definitions: Sequence[JobDefinition]) -> list[int | None]:
        """When the fleet first saw the schedule of each, in ms; None: it has not."""
        now_ms = self.now_ms()
        found: list[int | None] = []
        for start in range(0, len(definitions), MAX_BATCH):
            chunk = definitions[start : start + MAX_BATCH]
            told = self._command("HMGET", self._fleet.jobs, *(d.name for d in chunk))
            found += [since_of(d, raw, now_ms) for d, raw in zip(chunk, told, strict=True)]
        return found

    def introduce(self, host: str, pid: int, tags: tuple[str, ...]) -> None:
        """Say where this instance lives, and forget that of those that live no more."""
        seconds, micros = self._command("TIME")
        now_ms = int(seconds) * 1000 + int(micros) // 1000
        self._command("ZADD", self._fleet.instances, now_ms, self._instance)
        # In this order: who comes meanwhile is among the living before it says where.
        told = [text(one) for one in self._command("HKEYS", self._fleet.hosts)]
        living = {text(one) for one in self._command("ZRANGE", self._fleet.instances, 0, -1)}
        gone = [one for one in told if one not in living]
        if gone:
            self._command("HDEL", self._fleet.hosts, *gone)
        words = {"host": host, "pid": pid, "tags": tags, "started_ms": now_ms}
        self._command("HSET", self._fleet.hosts, self._instance, json.dumps(words))

    def instances(self) -> list[InstanceStatus]:
        """The instances that live, those that were seen last first."""
        members = self._command("ZRANGE", self._fleet.instances, 0, -1, "WITHSCORES")
        pairs = members if not members or isinstance(members[0], tuple | list) else None
        if pairs is None:
            pairs = list(zip(members[::2], members[1::2], strict=True))
        hosts = self._command("HGETALL", self._fleet.hosts)
        told = {text(instance): raw for instance, raw in hosts.items()}
        found = [
            instance_of(text(one), float(score), told.get(text(one), "")) for one, score in pairs
        ]
        return sorted(found, key=lambda instance: -instance.last_seen)

    def forget_instance(self) -> None:
        """Take this instance off the list of those that live."""
        self._command("ZREM", self._fleet.instances, self._instance)
        self._command("HDEL", self._fleet.hosts, self._instance)
