"""What the benchmarks of a web worker count."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from benchmarks.contenders.recorder import Began
from benchmarks.measures.saturated import _one_a_due_time
from benchmarks.web.open_loop import Visitors, moments

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"
STANDS_STILL = 0.3


@pytest.fixture
def port() -> Iterator[int]:
    """A server of one thread that stands still once, and sends its answers in two pieces."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


def serve(server: socket.socket) -> None:
    connections = []
    for number in range(3):
        connection, _ = server.accept()
        connections.append(connection)
        connection.recv(1000)
        time.sleep(STANDS_STILL if number == 0 else 0)
        connection.sendall(ANSWER)
        time.sleep(0.01)
        connection.sendall(b"{}")
    for connection in connections:
        connection.close()


class TestVisitors:
    def test_are_charged_with_the_time_in_which_the_server_stood_still(self, port: int) -> None:
        visitors = Visitors("127.0.0.1", port)
        begun = time.perf_counter()

        visitors.come([begun, begun + 0.1, begun + 0.2])
        visitors.close()

        # Who came while it stood still waited for the rest of it, though it was not asked yet.
        for waited, since in zip(visitors.latencies, (0.0, 0.1, 0.2), strict=True):
            assert STANDS_STILL - since <= waited

    def test_come_at_the_rate_and_at_the_same_moments_for_the_same_seed(self) -> None:
        found = moments(rate=1000, seconds=10, seed=1)

        assert len(found) == pytest.approx(10_000, rel=0.05)
        assert found == sorted(found) == moments(rate=1000, seconds=10, seed=1)
        assert found != moments(rate=1000, seconds=10, seed=2)


def test_a_run_that_is_late_by_an_interval_does_not_stand_for_two() -> None:
    late, in_time, other = Began("a", 1, 11.2), Began("a", 1, 11.9), Began("b", 1, 11.3)

    assert _one_a_due_time([late, other, in_time]) == [late, other]
