"""A TCP port of 127.0.0.1 that nobody listens on."""

import random
import socket

#: Below the range that systems give to outgoing connections (from 32768 on Linux): a client that
#: keeps knocking at a stopped server there could be given the server's own port, and take it.
LOWEST, HIGHEST = 15_000, 32_000


def free_port() -> int:
    """A port that was free a moment ago; whoever binds it must cope with having come second."""
    # Not the global generator: tests seed it, and two runs at once should not meet.
    ports = random.SystemRandom()
    for _ in range(1000):
        port = ports.randrange(LOWEST, HIGHEST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port between {LOWEST} and {HIGHEST}")
