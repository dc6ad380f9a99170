"""Redis in its larger forms: a master with replicas and Sentinels, and a Cluster."""

from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Self

import redis
from redis.crc import key_slot

from tests.support.servers import RedisServer
from tests.support.wait import wait_for

SLOTS = 16384


class _Several:
    """Servers that start and end together."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._stack = stack
            self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _start(self) -> None:
        raise NotImplementedError

    def _server(self, server: RedisServer) -> RedisServer:
        return self._stack.enter_context(server)


class SentinelServer(RedisServer):
    """A Sentinel that watches `master` under the name `service`."""

    name = "sentinel"

    def __init__(self, master: RedisServer, service: str, quorum: int) -> None:
        super().__init__()
        self._watched = (
            f"sentinel monitor {service} 127.0.0.1 {master.port} {quorum}\n"
            f"sentinel down-after-milliseconds {service} 1000\n"
            f"sentinel failover-timeout {service} 5000\n"
        )

    def _command(self) -> list[str]:
        # It writes into its own configuration.
        file = self.folder / "sentinel.conf"
        file.write_text(f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n{self._watched}")
        return [self._program, str(file), "--sentinel"]


class SentinelTrio(_Several):
    """A master with two replicas, and three Sentinels that watch it."""

    service = "mymaster"

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{self.service}"

    def master(self) -> RedisServer:
        """The server that says so itself."""

        def found() -> RedisServer | None:
            for server in self.servers:
                # Sentinels hang up on the clients of a server that they give another role.
                with suppress(redis.RedisError), server.client() as client:
                    if server.running and client.info("replication")["role"] == "master":
                        return server
            return None

        return wait_for(found, message="a master")

    def _start(self) -> None:
        master = self._server(RedisServer("--repl-diskless-sync-delay", "0"))
        self.replicas = [
            self._server(RedisServer("--replicaof", f"127.0.0.1 {master.port}")) for _ in range(2)
        ]
        self.servers = [master, *self.replicas]
        self.sentinels = [
            self._server(SentinelServer(master, self.service, quorum=2)) for _ in range(3)
        ]
        for sentinel in self.sentinels:
            with sentinel.client() as client:
                wait_for(lambda client=client: self._is_complete(client), message="the trio")

    def _is_complete(self, client: Any) -> bool:
        seen = facts(client.execute_command("SENTINEL", "MASTER", self.service))
        return (seen["num-slaves"], seen["num-other-sentinels"]) == ("2", "2")


class ClusterOfSix(_Several):
    """Three masters, each with a replica."""

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:3])
        return f"redis+cluster://{hosts}"

    def client(self) -> redis.RedisCluster:
        """For the test's own questions."""
        return redis.RedisCluster(host="127.0.0.1", port=self.running()[0].port)

    def running(self) -> list[RedisServer]:
        return [node for node in self.nodes if node.running]

    def master_of(self, key: str) -> RedisServer:
        """The node that serves a key now."""
        slot = key_slot(key.encode())
        for node in self.running():
            with node.client() as client:
                for first, last, master, *_ in client.execute_command("CLUSTER", "SLOTS"):
                    if first <= slot <= last:
                        (found,) = (n for n in self.nodes if n.port == master[1])
                        return found
        raise AssertionError(f"nobody serves slot {slot}")

    def _start(self) -> None:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
        more = ("--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0")
        self.nodes = [
            self._server(RedisServer(*options, *more, "--databases", "1")) for _ in range(6)
        ]
        clients: list[Any] = [self._stack.enter_context(node.client()) for node in self.nodes]
        for epoch, client in enumerate(clients, start=1):
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", epoch)
        for node in self.nodes[1:]:
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", node.port)
        third = SLOTS // 3 + 1
        for number, client in enumerate(clients[:3]):
            last = min(SLOTS, (number + 1) * third) - 1
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", number * third, last)
        ids = [client.execute_command("CLUSTER", "MYID").decode() for client in clients]
        for client in clients:
            wait_for(lambda client=client: self._knows(client, ids), message="a gossip")
        for number, client in enumerate(clients[3:]):
            client.execute_command("CLUSTER", "REPLICATE", ids[number])
        for client in clients:
            wait_for(lambda client=client: self._is_well(client), message="the Cluster")

    def _knows(self, client: Any, ids: list[str]) -> bool:
        raw = client.execute_command("CLUSTER", "NODES")
        seen = raw.decode() if isinstance(raw, bytes) else str(raw)
        return all(node in seen for node in ids)

    def _is_well(self, client: Any) -> bool:
        raw = client.execute_command("CLUSTER", "SLOTS")
        info = client.info("replication")
        linked = info["role"] == "master" or info["master_link_status"] == "up"
        state = client.execute_command("CLUSTER", "INFO")
        ok = "cluster_state:ok" in (state.decode() if isinstance(state, bytes) else str(state))
        return ok and len(raw) == 3 and all(len(entry) == 4 for entry in raw) and linked


def facts(reply: Any) -> dict[str, str]:
    """What a Sentinel tells of a server: words in turn, or by RESP3 a dict."""
    if not isinstance(reply, dict):
        reply = dict(zip(reply[::2], reply[1::2], strict=True))
    return {name.decode(): value.decode() for name, value in reply.items()}
