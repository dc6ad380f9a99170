"""The URLs of Redis in its forms.

    redis://[user:password@]host:port/db            rediss:// over TLS; unix:///path?db=0
    redis+sentinel://[user:password@]host:port[,host2:port2]/service[/db]
    redis+cluster://[user:password@]host:port[,host2:port2]

`rediss+sentinel` and `rediss+cluster` speak TLS with everybody. User and password are those of
the Redis servers; `sentinel_username` and `sentinel_password` those of the Sentinels. All other
options are redis-py's, such as `ssl_ca_certs`, and hold for every connection.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from .sentinel import Address

_PLAIN = ("redis", "rediss", "unix")
_ALL = (*_PLAIN, "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
_PORTS = {"sentinel": 26379, "cluster": 6379}
_OF_SENTINELS = ("sentinel_username", "sentinel_password")


class UnreadableURLError(ValueError):
    """Says what is wrong with a URL, and quotes nothing that may be a password."""


class Target(NamedTuple):
    """What a URL points to. `url` and `sentinel_url` are redis-py's, for the settings."""

    #: plain, sentinel or cluster.
    form: str
    url: str
    addresses: list[Address] = []  # noqa: RUF012 - a NamedTuple's default, never changed
    service: str = ""
    sentinel_url: str = ""


def read(url: str) -> Target:
    """What `url` points to; `UnreadableURLError`, or a ValueError that may quote a password."""
    parts = urlsplit(url)
    if parts.scheme not in _ALL:
        raise UnreadableURLError(f"the scheme must be one of {', '.join(_ALL)}")
    if parts.scheme in _PLAIN:
        return Target("plain", url)
    scheme, _, form = parts.scheme.partition("+")
    user, at, hosts = parts.netloc.rpartition("@")
    addresses = [_address(host, _PORTS[form]) for host in hosts.split(",")]
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    of_sentinels = {name: options.pop(name) for name in _OF_SENTINELS if name in options}
    path = [unquote(step) for step in parts.path.split("/") if step]
    query = f"?{urlencode(options)}" if options else ""
    host, port = addresses[0]
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if form == "cluster":
        if of_sentinels:
            raise UnreadableURLError(f"{', '.join(of_sentinels)} belong to redis+sentinel")
        if path not in ([], ["0"]) or options.get("db", "0") != "0":
            raise UnreadableURLError("a Cluster has no database but 0")
        return Target("cluster", f"{scheme}://{user}{at}{where}{query}", addresses)
    if not path:
        raise UnreadableURLError(
            "the service is missing, as in redis+sentinel://host:26379/mymaster"
        )
    if len(path) > 2 or not all(step.isdecimal() for step in path[1:]):
        raise UnreadableURLError("after the service there may be the number of a database only")
    database = f"/{path[1]}" if len(path) == 2 else ""
    name, password = (quote(of_sentinels.get(option, ""), safe="") for option in _OF_SENTINELS)
    credentials = f"{name}:{password}@" if of_sentinels else ""
    options.pop("db", None)
    rest = f"?{urlencode(options)}" if options else ""
    return Target(
        "sentinel",
        f"{scheme}://{user}{at}{where}{database}{query}",
        addresses,
        path[0],
        f"{scheme}://{credentials}{where}{rest}",
    )


def without_password(url: str) -> str:
    """A URL as it may be shown."""
    # Not by its parts: a URL with a typing error may have none, and still a password.
    hidden = re.sub(r"^([\w+]+[:/]+)?.*@", r"\1***@", url, flags=re.DOTALL)
    return re.sub(r"(password=)[^&#]*", r"\1***", hidden)


def _address(text: str, default_port: int) -> Address:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise UnreadableURLError("a host is missing")
    return parts.hostname, parts.port or default_port
