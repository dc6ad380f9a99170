"""Visitors who come at a fixed rate, whatever the server does, in a process of their own.

Requests are due at moments drawn beforehand, independently of one another (a Poisson process from
`--seed`), and a latency is counted from the moment when its request was due: a server that stands
still for a while is charged with all who came meanwhile. Generators that keep a number of requests
under way would wait for it instead, and those that give each connection a rhythm of its own let
them come in bursts.
"""

from __future__ import annotations

import argparse
import json
import random
import select
import socket
import time
from collections import deque

#: Connections at most; who comes when all are taken waits for one, and that counts.
CONNECTIONS = 256


class Visitors:
    """Requests to one address, over connections that are kept open."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self._free: deque[socket.socket] = deque()
        self._under_way: dict[socket.socket, float] = {}
        self._received: dict[socket.socket, bytes] = {}
        self._waiting: deque[float] = deque()
        self.latencies: list[float] = []

    def come(self, moments: list[float]) -> None:
        """Send a request at each moment (of `perf_counter`), and return when all are answered."""
        left = deque(moments)
        while left or self._waiting or self._under_way:
            now = time.perf_counter()
            while left and left[0] <= now:
                self._waiting.append(left.popleft())
            while self._waiting and (self._free or len(self._under_way) < CONNECTIONS):
                self._send(self._waiting.popleft())
            wait = max(0.0, left[0] - time.perf_counter()) if left else 5.0
            # Not epoll: its timeouts are whole milliseconds.
            ready, _, _ = select.select(list(self._under_way), [], [], wait)
            if not ready and not left:
                raise TimeoutError(f"no answer from {self._address}")
            for connection in ready:
                self._receive(connection)

    def close(self) -> None:
        for connection in self._free:
            connection.close()

    def _send(self, due: float) -> None:
        if self._free:
            connection = self._free.popleft()
        else:
            connection = socket.create_connection(self._address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(self._request)
        self._under_way[connection] = due

    def _receive(self, connection: socket.socket) -> None:
        got = connection.recv(65536)
        if not got:
            raise ConnectionError("the server closed a connection in the middle of a request")
        answer = self._received.pop(connection, b"") + got
        if not _is_whole(answer):
            self._received[connection] = answer
            return
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise ValueError(f"no 200: {answer[:100]!r}")
        self.latencies.append(time.perf_counter() - self._under_way.pop(connection))
        self._free.append(connection)


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    lengths = [
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    ]
    return len(body) >= lengths[0]


def moments(rate: float, seconds: float, seed: int) -> list[float]:
    """Seconds from the start at which somebody comes."""
    chance, at, found = random.Random(seed), 0.0, []
    while (at := at + chance.expovariate(rate)) < seconds:
        found.append(at)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    visitors = Visitors(chosen.host, chosen.port)
    begun = time.perf_counter()
    at = moments(chosen.rate, chosen.seconds, chosen.seed)
    visitors.come([begun + moment for moment in at])
    visitors.close()
    print(json.dumps(sorted(visitors.latencies)))


if __name__ == "__main__":
    main()
