"""Clients of the library's own: from a URL, or like one that the user handed in.

Each sends a call once. redis-py 8 retries ten times by default: a call with a time limit of
0.2 s took 5.2 s and was executed eleven times. Whoever retries here is the next tick, with the
same run id.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..errors import ConfigurationError
from . import urls
from .cluster import MOST_LOOKUPS, ClusterServers
from .pool import QuickPool
from .sentinel import Address, MasterFromSentinels, Member
from .servers import Fixed, OneServer, Servers

#: A client of one server, or what finds the right one.
Client = redis.Redis | OneServer | ClusterServers

#: Makes a client whose calls take at most that many seconds. It connects when it is used.
Connect = Callable[[float], Client]

#: Settings of a connection that belong to the pool it came from, or that we set ourselves.
_NOT_TAKEN = (
    "retry",
    "retry_on_error",
    "retry_on_timeout",
    "decode_responses",
    "encoding",
    "encoding_errors",
    "socket_timeout",
    "socket_connect_timeout",
    "health_check_interval",
    "event_dispatcher",
    "himport_registry",
    "maint_notifications_pool_handler",
    "maint_notifications_config",
    "orig_host_address",
    "orig_socket_timeout",
    "orig_socket_connect_timeout",
    # of a pool over Sentinels, and of a node of a Cluster
    "connection_pool",
    "redis_connect_func",
    "server_type",
)


def connector(client: Client | None, url: str) -> Connect:
    """What makes clients: like `client` where one was handed in, else for `url`.

    Called once at the start, so that a bad URL or client is an error there.
    """
    connect = partial(client_from_url, url) if client is None else partial(own_client, client)
    connect(1.0)
    return connect


def servers_of(client: Client) -> Servers:
    """Where the keys lie, as the store asks for them."""
    if isinstance(client, OneServer | ClusterServers):
        return client
    return OneServer(Fixed(client))


def client_from_url(url: str, timeout: float) -> Client:
    """A client for a URL of any form of Redis, whose calls take `timeout` seconds."""
    try:
        target = urls.read(url)
        template = redis.ConnectionPool.from_url(target.url)
        template.connection_class(**template.connection_kwargs)  # an unknown option is told now
        if target.form == "cluster":
            return _cluster(target.addresses, template, timeout)
        if target.form == "sentinel":
            asked = redis.ConnectionPool.from_url(target.sentinel_url)
            sentinels = [(address, asked) for address in target.addresses]
            return _sentinel(target.service, sentinels, template, timeout)
        return _client(template, timeout)
    except TypeError as error:
        reason = str(error)
    except ValueError as error:
        # It may quote any part of what could not be read, a password's too.
        told = isinstance(error, urls.UnreadableURLError) or "@" not in url
        reason = str(error) if told else "it cannot be read"
    raise ConfigurationError(
        f"JOBRUNNER_REDIS_URL = {urls.without_password(url)!r}: {reason}; "
        f"a URL looks like redis://localhost:6379/0."
    )


def own_client(client: Client, timeout: float) -> Client:
    """A client with connections of its own to where `client` connects, also over fakeredis."""
    if isinstance(client, redis.RedisCluster):
        return _like_cluster(client, timeout)
    pool = getattr(client, "connection_pool", None)
    if pool is None or not hasattr(pool, "connection_kwargs"):
        raise ConfigurationError(
            f"redis={client!r}: it must be a redis.Redis client (or fakeredis.FakeRedis), or a "
            f"redis.RedisCluster."
        )
    manager = getattr(pool, "sentinel_manager", None)
    if manager is not None:
        return _like_sentinel_s(client, pool, manager, timeout)
    return _client(pool, timeout)


def _client(like: Any, timeout: float, address: Address | None = None) -> redis.Redis:
    """A client with the settings of the pool `like`; at `address`, where one is given."""
    kwargs: dict[str, Any] = {
        name: value for name, value in like.connection_kwargs.items() if name not in _NOT_TAKEN
    }
    kwargs.update(
        socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0)
    )
    if address is not None:
        kwargs.update(host=address[0], port=address[1])
    connection_class = _plain(like.connection_class)
    if "path" in kwargs and not connection_class.__module__.startswith("fakeredis"):
        kwargs.pop("socket_connect_timeout")
    pool = QuickPool(connection_class=connection_class, **kwargs)
    return redis.Redis(connection_pool=pool)


def _plain(connection_class: Any) -> Any:
    """The class of a connection that does not ask Sentinels by itself."""
    if connection_class.__module__ != "redis.sentinel":
        return connection_class
    over_tls = issubclass(connection_class, redis.SSLConnection)
    return redis.SSLConnection if over_tls else redis.Connection


def _sentinel(
    service: str, sentinels: list[tuple[Address, Any]], like: Any, timeout: float
) -> OneServer:
    # However many are silent, a lookup takes no longer than a call.
    each = timeout / len(sentinels)
    members = [Member(address, _client(pool, each, address)) for address, pool in sentinels]
    return OneServer(
        MasterFromSentinels(service, members, lambda address: _client(like, timeout, address))
    )


def _cluster(
    seeds: list[Address], like: Any, timeout: float, remap: Callable[..., Address] | None = None
) -> ClusterServers:
    return ClusterServers(
        seeds,
        lambda address: _client(like, timeout, address),
        lambda address: _client(like, timeout / MOST_LOOKUPS, address),
        remap,
    )


def _like_sentinel_s(client: Any, pool: Any, manager: Any, timeout: float) -> OneServer:
    if not pool.is_master:
        raise ConfigurationError(
            f"redis={client!r}: a replica takes no writes; hand in "
            f"sentinel.master_for({pool.service_name!r})."
        )
    sentinels = []
    for sentinel in manager.sentinels:
        kwargs = sentinel.connection_pool.connection_kwargs
        sentinels.append(((kwargs["host"], int(kwargs["port"])), sentinel.connection_pool))
    return _sentinel(pool.service_name, sentinels, pool, timeout)


def _like_cluster(client: Any, timeout: float) -> ClusterServers:
    nodes = client.nodes_manager
    seeds = [(node.host, int(node.port)) for node in nodes.startup_nodes.values()]
    like = client.get_redis_connection(client.get_default_node()).connection_pool
    return _cluster(seeds, like, timeout, nodes.address_remap)
