"""The slots of a Redis Cluster, each asked at the node that serves it.

redis-py's own Cluster client sends again what failed, several times over and after looking the
nodes up anew, and its pipeline takes no scripts. Here each node has a plain client: the calls
for its slots go there together, in one round trip and once. MOVED, ASK and a script that is not
known were not executed: those are sent again, where they belong. A node that does not answer
costs the others nothing, and the next call looks up who serves its slots by then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import redis
from redis.crc import key_slot
from redis.exceptions import (
    ClusterDownError,
    MovedError,
    NoScriptError,
    RedisError,
    ResponseError,
)

from ..clock import Clock, trust_seconds
from .scripts import Script
from .sentinel import RESTED_SECONDS, Address
from .servers import Replicas, Reply, Words, send_together
from .wire import Batch, Wait, command, exchange

#: How often a command is sent on: it may be moved, then asked for, then not be known there.
_MOST_TURNS = 5

#: Nodes that are asked for the map of slots, each for a part of a call's time limit.
MOST_LOOKUPS = 3


#: MOVED or ASK; redis-py 8 cuts off the word and makes a class of it, redis-py 5 does not.
_REDIRECTION = re.compile(r"(?P<how>MOVED |ASK |)\d+ (?P<host>\S*):(?P<port>\d+)")


class _Request(NamedTuple):
    """Words, or a call of a script as it is sent; all of one call are of one kind."""

    slot: int
    words: Words | bytes
    #: What to send instead where the script is not known.
    in_full: Callable[[], bytes] | None = None


class _Stop(NamedTuple):
    """Where a request goes next."""

    place: int
    address: Address
    words: Words | bytes
    asking: bool = False


class ClusterServers:
    """The masters of a Cluster."""

    in_process = False
    undivided = False
    patience: Wait | None = None  # and stays so: several nodes are waited for, one after the other

    def __init__(
        self,
        seeds: Sequence[Address],
        client_at: Callable[[Address], redis.Redis],
        lookup_at: Callable[[Address], redis.Redis],
        remap: Callable[[Address], Address] | None = None,
        trust: Clock = trust_seconds,
    ) -> None:
        self.where = "the Redis Cluster at " + ", ".join(f"{host}:{port}" for host, port in seeds)
        self._seeds = list(seeds)
        self._client_at = client_at
        self._lookup_at = lookup_at
        self._remap = remap or (lambda address: address)
        self._clients: dict[Address, redis.Redis] = {}
        #: First and last slot, and their master. Replaced whole: greenlets read it meanwhile.
        self._ranges: list[tuple[int, int, Address]] = []
        self._in_doubt = True
        self._trust = trust
        self._last_call = 0.0
        #: Who did not answer, and is asked after the others.
        self._silent: set[Address] = set()

    def slot(self, key: str) -> int:
        return key_slot(key.encode())

    def run(
        self, script: Script, batches: Mapping[int, Batch], replicas: Replicas | None = None
    ) -> dict[int, Reply]:
        requests = [
            _Request(slot, script.command(batch), partial(script.command, batch, known=False))
            for slot, batch in batches.items()
        ]
        return dict(zip(batches, self._send(requests, replicas), strict=True))

    def run_in_a_row(
        self, script: Script, batches: Iterable[Batch], meanwhile: Callable[[], object] | None
    ) -> Iterator[Any]:
        raise NotImplementedError("the keys of several jobs are of several slots")

    def ask(self, requests: Sequence[tuple[int, Words]]) -> list[Any]:
        replies = self._send([_Request(slot, words) for slot, words in requests], None)
        return [reply.value for reply in replies]

    def doubt(self, slots: Iterable[int]) -> None:
        self._in_doubt = True

    def close(self) -> None:
        for client in self._clients.values():
            client.connection_pool.disconnect()

    # -- one call ----------------------------------------------------------------------------

    def _send(self, requests: Sequence[_Request], replicas: Replicas | None) -> list[Reply]:
        now = self._trust()
        rested = now - self._last_call > RESTED_SECONDS
        self._last_call = now
        unknown = self._look_up() if self._in_doubt or rested else None
        replies = [Reply(unknown or _nobody_serves(request.slot)) for request in requests]
        stops = []
        for index, request in enumerate(requests):
            address = self._master_of(request.slot)
            if address is None:
                self._in_doubt = True
            elif unknown is None or address not in self._silent:
                stops.append(_Stop(index, address, request.words))
        if unknown is not None and not stops:
            raise unknown
        for _ in range(_MOST_TURNS):
            onwards: list[_Stop] = []
            for address, there in self._by_node(stops):
                for stop, reply in self._send_to(address, there, replicas):
                    replies[stop.place] = reply
                    onward = self._onward(stop, reply.value, requests[stop.place])
                    if onward is not None:
                        onwards.append(onward)
            stops = onwards
            if not stops:
                break
        return replies

    def _by_node(self, stops: Iterable[_Stop]) -> list[tuple[Address, list[_Stop]]]:
        by_node: dict[Address, list[_Stop]] = {}
        for stop in stops:
            by_node.setdefault(stop.address, []).append(stop)
        return sorted(by_node.items(), key=lambda item: item[0] in self._silent)

    def _send_to(
        self, address: Address, stops: list[_Stop], replicas: Replicas | None
    ) -> list[tuple[_Stop, Reply]]:
        words: list[Words | bytes] = []
        places = []
        for stop in stops:
            if stop.asking:
                words.append(("ASKING",))
            places.append(len(words))
            words.append(stop.words)
        if replicas is not None:
            words.append(replicas.words)
        try:
            answers = _sent(self._client(address), words)
        except (RedisError, OSError) as error:
            self._in_doubt = True
            self._silent.add(address)
            return [(stop, Reply(error)) for stop in stops]
        self._silent.discard(address)
        acknowledged = None
        if replicas is not None:
            acknowledged = answers[-1] if isinstance(answers[-1], int) else 0
        return [
            (stop, Reply(answers[place], acknowledged))
            for stop, place in zip(stops, places, strict=True)
        ]

    def _onward(self, stop: _Stop, answer: Any, request: _Request) -> _Stop | None:
        """Where a request that was not executed goes next; None: it was, or nowhere."""
        if not isinstance(answer, ResponseError):
            return None
        redirection = _REDIRECTION.fullmatch(str(answer))
        if redirection is not None:
            moved = isinstance(answer, MovedError) or redirection["how"] == "MOVED "
            self._in_doubt |= moved
            # Without a host it is the one that says so.
            host, port = redirection["host"] or stop.address[0], int(redirection["port"])
            return _Stop(stop.place, self._remap((host, port)), stop.words, asking=not moved)
        if isinstance(answer, NoScriptError) and request.in_full is not None:
            return stop._replace(words=request.in_full())
        if isinstance(answer, ClusterDownError) or str(answer).startswith("CLUSTERDOWN"):
            self._in_doubt = True
        return None

    # -- who serves what ---------------------------------------------------------------------

    def _client(self, address: Address) -> redis.Redis:
        if address not in self._clients:
            self._clients[address] = self._client_at(address)
        return self._clients[address]

    def _master_of(self, slot: int) -> Address | None:
        for first, last, address in self._ranges:
            if first <= slot <= last:
                return address
        return None

    def _look_up(self) -> Exception | None:
        """Ask who serves which slots: those that answered lately first, each time another.

        An error when nobody said: then what was known goes on, but for those that are silent.
        """
        masters = {address for _, _, address in self._ranges}
        known = list(dict.fromkeys([*self._seeds, *sorted(masters)]))
        known.sort(key=lambda address: address in self._silent)
        self._seeds = [*self._seeds[1:], *self._seeds[:1]]
        problems = []
        for address in known[:MOST_LOOKUPS]:
            try:
                with self._lookup_at(address) as client:
                    # Two words: redis-py reshapes the answer to the command of one.
                    raw: Any = client.execute_command("CLUSTER", "SLOTS")
                self._ranges = [self._range(entry, address) for entry in raw]
                self._in_doubt = False
                self._forget_others()
                return None
            except (RedisError, OSError) as error:
                problems.append(f"{address[0]}:{address[1]}: {type(error).__name__}: {error}")
                if not isinstance(error, ResponseError):
                    self._silent.add(address)
        return redis.exceptions.ConnectionError(
            f"no node says who serves which slots: {'; '.join(problems)}"
        )

    def _range(self, entry: Any, asked: Address) -> tuple[int, int, Address]:
        first, last, (host, port, *_) = entry[0], entry[1], entry[2]
        # A node that does not know its own name is where we reached it.
        named = host.decode() if host and host != b"?" else asked[0]
        return first, last, self._remap((named, int(port)))

    def _forget_others(self) -> None:
        masters = {address for _, _, address in self._ranges}
        self._silent &= masters | set(self._seeds)
        for address in [a for a in self._clients if a not in masters]:
            # What is in use by another greenlet ends by itself.
            self._clients.pop(address).connection_pool.disconnect(inuse_connections=False)


def _sent(client: redis.Redis, requests: list[Words | bytes]) -> list[Any]:
    """The answers to what is sent in one round trip. The words of commands go through redis-py,
    which knows the shapes of their answers; beside the call of a script all is sent as it is.
    """
    words = [request for request in requests if isinstance(request, tuple)]
    if len(words) == len(requests):
        return send_together(client, words)
    return exchange(client, [r if isinstance(r, bytes) else command(*r) for r in requests])


def _nobody_serves(slot: int) -> Exception:
    return ClusterDownError(f"no master serves slot {slot}")
