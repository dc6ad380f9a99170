"""Redis clients of the library's own: from a URL, or like one that the user handed in.

Each sends a call once. redis-py 8 retries ten times by default: a call with a time limit of
0.2 s took 5.2 s and was executed eleven times. Whoever retries here is the next tick, with the
same run id.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..errors import ConfigurationError

#: Makes a client whose calls take at most that many seconds. It connects when it is used.
Connect = Callable[[float], redis.Redis]

_SCHEMES = ("redis", "rediss", "unix")

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
)


def connector(client: redis.Redis | None, url: str) -> Connect:
    """What makes clients: like `client` where one was handed in, else for `url`.

    Called once at the start, so that a bad URL or client is an error there.
    """
    connect = partial(client_from_url, url) if client is None else partial(own_client, client)
    connect(1.0)
    return connect


def client_from_url(url: str, timeout: float) -> redis.Redis:
    """A client for `redis://`, `rediss://` or `unix://`, whose calls take `timeout` seconds."""
    try:
        scheme = urlsplit(url).scheme
        if scheme in _SCHEMES:
            client = own_client(redis.Redis.from_url(url), timeout)
            pool = client.connection_pool
            pool.connection_class(**pool.connection_kwargs)  # an unknown option is told now
            return client
        reason = f"the scheme must be one of {', '.join(_SCHEMES)}"
    except TypeError as error:
        reason = str(error)
    except ValueError as error:
        # It may quote any part of what could not be read, a password's too.
        reason = "it cannot be read" if "@" in url else str(error)
    raise ConfigurationError(
        f"JOBRUNNER_REDIS_URL = {_without_password(url)!r}: {reason}; "
        f"a URL looks like redis://localhost:6379/0."
    )


def own_client(client: redis.Redis, timeout: float) -> redis.Redis:
    """A client with connections of its own to where `client` connects, also over fakeredis."""
    pool = getattr(client, "connection_pool", None)
    if pool is None or not hasattr(pool, "connection_kwargs"):
        raise ConfigurationError(
            f"redis={client!r}: it must be a redis.Redis client (or fakeredis.FakeRedis)."
        )
    kwargs: dict[str, Any] = {
        name: value for name, value in pool.connection_kwargs.items() if name not in _NOT_TAKEN
    }
    kwargs.update(
        socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0)
    )
    if not is_in_process(client) and "path" in kwargs:
        kwargs.pop("socket_connect_timeout")
    own_pool = redis.ConnectionPool(connection_class=pool.connection_class, **kwargs)
    return redis.Redis(connection_pool=own_pool)


def is_in_process(client: redis.Redis) -> bool:
    """Whether `client` is fakeredis: a server in this process, which no other thread may use."""
    return bool(client.connection_pool.connection_class.__module__.startswith("fakeredis"))


def describe(client: redis.Redis) -> str:
    """Where `client` connects, without its password."""
    kwargs = client.connection_pool.connection_kwargs
    if kwargs.get("path"):
        return f"Redis at unix:{kwargs['path']}"
    return f"Redis at {kwargs.get('host', 'localhost')}:{kwargs.get('port', 6379)}"


def _without_password(url: str) -> str:
    # Not by its parts: a URL with a typing error may have none, and still a password.
    hidden = re.sub(r"^(\w+[:/]+)?.*@", r"\1***@", url, flags=re.DOTALL)
    return re.sub(r"(password=)[^&#]*", r"\1***", hidden)
