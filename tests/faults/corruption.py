"""Values that do not belong where they stand: from a seed, what to do to the keys of one job."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import redis

from jobrunner.keys import FleetKeys, JobKeys
from tests.support.wait import wait_for

#: Numbers that are none, too large, too many digits; text that is none; and nothing at all.
VALUES: Sequence[bytes] = (
    b"",
    b" ",
    b"0",
    b"-1",
    b"-0",
    b"nan",
    b"-nan",
    b"inf",
    b"-inf",
    b"1e999",
    b"1.5",
    b"0x10",
    b"1_000",
    b"9007199254740991",
    b"9007199254740992",
    b"-9007199254740993",
    b"9223372036854775807",
    b"9223372036854775808",
    b"99999999999999999999",
    b"9" * 400,
    b"1700000000 ",
    b"\xd9\xa1\xd9\xa7",
    b"\xff\xfe\x00\x80",
    b"\x00",
    b"\xed\xa0\x80",
    b"null",
    b"[]",
    b"[" * 5000,
    b'{"origin": 5}',
    b'{"origin": "\\ud800"}',
    b"a\r\nb",
    b"%s%d{}",
    b"succeeded",
    b"x" * 10_000,
)

FIELDS = (
    *("last_ms", "due_ms", "first_seen_ms", "run", "instance", "token", "finished_ms", "outcome"),
    *("error", "abandoned_run", "abandoned_due_ms", "abandoned_in_row", "abandoned_ms"),
    *("before", "request", "served_ms", "given_back"),
    *("runs", "count_succeeded", "count_abandoned", "strange"),
)

#: What an entry of a history holds.
ENTRY = ("run", "token", "instance", "due_ms", "started_ms", "finished_ms", "outcome", "error")


class Corruption:
    """What one seed does. `done` says it in words, for the failure."""

    def __init__(self, seed: int, client: redis.Redis, keys: JobKeys, fleet: FleetKeys) -> None:
        self.done: list[str] = []
        self._chance = random.Random(seed)
        self._client: Any = client
        self._keys = keys
        self._fleet = fleet

    def apply(self) -> None:
        """One to three wrongs at once."""
        wrongs: list[Callable[[], None]] = [
            self._last_start,
            self._fields,
            self._fields,
            self._lease,
            self._history,
            self._of_the_fleet,
            self._type,
            self._type,
        ]
        for wrong in self._chance.sample(wrongs, self._chance.choice([1, 1, 1, 2, 3])):
            wrong()

    def _say(self, *what: object) -> None:
        self.done.append(" ".join(repr(part)[:80] for part in what))

    def _value(self) -> bytes:
        if self._chance.random() < 0.8:
            return self._chance.choice(VALUES)
        return self._chance.randbytes(self._chance.randrange(40))

    def _last_start(self) -> None:
        value = self._value()
        self._client.set(self._keys.sync_key, value)
        self._say("SET", self._keys.sync_key, value)

    def _fields(self) -> None:
        if self._client.type(self._keys.state) not in (b"none", b"hash"):
            return
        fields = self._chance.sample(FIELDS, self._chance.randrange(1, 6))
        mapping = {field: self._value() for field in fields}
        self._client.hset(self._keys.state, mapping=mapping)
        self._say("HSET", self._keys.state, mapping)

    def _lease(self) -> None:
        value = self._value()
        milliseconds = self._chance.choice([None, 1, 10**5, 10**6])
        self._client.set(self._keys.lease, value, px=milliseconds)
        if milliseconds == 1:
            # It ends by real time: before the ticks, and not between the last one and a look.
            wait_for(lambda: not self._client.exists(self._keys.lease), every=0.001)
        self._say("SET", self._keys.lease, value, milliseconds)
        if self._chance.random() < 0.5 and self._client.type(self._keys.state) != b"string":
            self._client.delete(self._keys.state)
            self._client.hset(self._keys.state, "run", value)
            self._say("HSET", self._keys.state, "run", value)

    def _history(self) -> None:
        if self._client.type(self._keys.history) not in (b"none", b"stream"):
            return
        fields = self._chance.sample(ENTRY, self._chance.randrange(1, len(ENTRY) + 1))
        entry = {field: self._value() for field in fields}
        self._client.xadd(self._keys.history, entry)
        self._say("XADD", self._keys.history, entry)

    def _of_the_fleet(self) -> None:
        key = self._chance.choice(self._fleet.all())
        if key == self._fleet.jobs and self._chance.random() < 0.5:
            value = self._value()
            self._client.delete(key)
            self._client.hset(key, mapping={"broken": value, self._value(): self._value()})
            self._say("HSET", key, "broken", value)
        else:
            self._change_type(key)

    def _type(self) -> None:
        self._change_type(self._chance.choice(self._keys.all()))

    def _change_type(self, key: str) -> None:
        self._client.delete(key)
        value = self._value()
        kind = self._chance.choice(["string", "list", "set", "hash", "zset", "stream"])
        if kind == "string":
            self._client.set(key, value)
        elif kind == "list":
            self._client.rpush(key, value)
        elif kind == "set":
            self._client.sadd(key, value)
        elif kind == "hash":
            self._client.hset(key, value, value)
        elif kind == "zset":
            score = self._chance.choice([0, -1, float("inf"), float("-inf"), 1e300])
            self._client.zadd(key, {value: score})
        else:
            self._client.xadd(key, {"field": value})
        self._say(kind, key, value)
