"""What a Redis is asked by its clients, counted from outside: commands, bytes, round trips.

Two ways, one after the other, for the first would be counted by the second. `MONITOR` shows each
command with its time and where it came from; those of a script are marked and left out. `INFO`
counts bytes, and how often Redis wrote answers to a client: once for a pipeline, and once for a
script, whatever they contain, so it is the number of round trips.
"""

from __future__ import annotations

import re
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

#: A line of MONITOR: +1700000000.123456 [0 127.0.0.1:4242] "EVALSHA" …
_LINE = re.compile(rb'\+(\d+\.\d+) \[\d+ (\S+)\] "([^"]*)"(?: "([^"]*)")?(?: "([^"]*)")?')


class Asked(NamedTuple):
    """One command of a client."""

    #: Unix seconds, by Redis's clock.
    at: float
    #: The client's address, and the command in capitals.
    client: str
    command: str
    #: Its first two arguments: of EVALSHA the script's digest and the number of keys.
    arguments: tuple[str, str] = ("", "")


class Totals(NamedTuple):
    """What Redis has counted since it was started."""

    received: int
    sent: int
    #: Times that it wrote answers to a client.
    written: int

    def since(self, before: Totals) -> Totals:
        return Totals(*(now - then for now, then in zip(self, before, strict=True)))


def asked(port: int, until: float) -> list[Asked]:
    """The commands of all clients from now until that Unix second."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"MONITOR\r\n")
        told = bytearray()
        while (left := until - time.time()) > 0:
            connection.settimeout(left)
            try:
                told += connection.recv(1 << 20)
            except TimeoutError:
                break
    found = []
    for line in told.split(b"\r\n"):
        match = _LINE.match(line)
        if match and match[2] != b"lua":
            at, client, command, *arguments = (part.decode() for part in match.groups(b""))
            found.append(Asked(float(at), client, command.upper(), (arguments[0], arguments[1])))
    return found


def totals(client: Any) -> Totals:
    """Of now. Asking costs as well: `own_share` says how much."""
    stats = client.info("stats")
    return Totals(
        stats["total_net_input_bytes"],
        stats["total_net_output_bytes"],
        stats["total_writes_processed"],
    )


def own_share(client: Any) -> Totals:
    """What one call of `totals` adds to the next one's answer."""
    found = []
    for _ in range(5):
        before = totals(client)
        found.append(totals(client).since(before))
    return min(found)  # the others were asked something by the contender meanwhile


def by_command(
    commands: list[Asked], name: Callable[[Asked], str] = lambda one: one.command
) -> str:
    """Which commands they are, the most frequent first: `EVALSHA 12, PING 3`."""
    counts = Counter(map(name, commands))
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())
