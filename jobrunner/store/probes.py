"""What a Redis tells of itself, for the doctor. Nothing here changes anything that lasts.

Each probe raises `StoreError` when Redis does not answer, and returns `Refused` where it answers
that it does not say: managed servers refuse INFO or CONFIG to their users.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from redis.exceptions import RedisError, ResponseError

from ..clock import Clock
from ..errors import StoreError
from ..keys import JobKeys
from .answers import text
from .servers import Servers, Words
from .trouble import explained


class Refused(NamedTuple):
    """It answered, and did not say."""

    why: str


#: By command, as docs/redis.md grants it, an attempt on a key that does not exist (`{key}`), which
#: leaves nothing. HDEL takes away at once what the two that write have written.
ATTEMPTS: tuple[tuple[str, Words], ...] = (
    ("eval", ("EVAL", "return 1", 0)),
    ("evalsha", ("EVALSHA", "0" * 40, 0)),
    ("time", ("TIME",)),
    ("get", ("GET", "{key}")),
    ("set", ("SET", "{key}", "1", "XX")),
    ("del", ("DEL", "{key}")),
    ("pttl", ("PTTL", "{key}")),
    ("hget", ("HGET", "{key}", "f")),
    ("hmget", ("HMGET", "{key}", "f")),
    ("hgetall", ("HGETALL", "{key}")),
    ("hkeys", ("HKEYS", "{key}")),
    ("hset", ("HSET", "{key}", "f", "1")),
    ("hincrby", ("HINCRBY", "{key}", "f", 1)),
    ("hdel", ("HDEL", "{key}", "f")),
    ("zadd", ("ZADD", "{key}", "XX", 1, "m")),
    ("zrem", ("ZREM", "{key}", "m")),
    ("zrange", ("ZRANGE", "{key}", 0, 0)),
    ("zcard", ("ZCARD", "{key}")),
    ("zremrangebyscore", ("ZREMRANGEBYSCORE", "{key}", 0, 0)),
    ("xadd", ("XADD", "{key}", "NOMKSTREAM", "*", "f", "1")),
    ("xdel", ("XDEL", "{key}", "0-1")),
    ("xtrim", ("XTRIM", "{key}", "MAXLEN", 0)),
    ("xrange", ("XRANGE", "{key}", "-", "+", "COUNT", 1)),
    ("xrevrange", ("XREVRANGE", "{key}", "+", "-", "COUNT", 1)),
)

#: Those that write what does not go by itself; without HDEL they are not tried.
_LEAVES_A_KEY = ("hset", "hincrby")


class Probes:
    """The questions, put to where `home` lies unless they are about other keys."""

    def __init__(self, servers: Servers, home: str, trust: Clock) -> None:
        self._servers = servers
        self._home_key = home
        self._home = servers.slot(home)
        self._trust = trust

    @property
    def where(self) -> str:
        return self._servers.where

    def pings(self, number: int) -> list[float]:
        """How many seconds each of so many PINGs took; one that is refused is answered too."""
        taken = []
        for _ in range(number):
            sent_at = self._trust()
            self._answer_or_refusal("PING")
            taken.append(self._trust() - sent_at)
        return taken

    def clock_ahead(self, clock: Callable[[], float]) -> float | Refused:
        """How many seconds Redis's clock is ahead of `clock`, give or take half a round trip."""
        before = clock()
        answer = self._answer_or_refusal("TIME")
        if isinstance(answer, Refused):
            return answer
        seconds, micros = answer
        return float(seconds + micros / 1_000_000 - (before + clock()) / 2)

    def info(self, section: str) -> Mapping[str, Any] | Refused:
        """A section of INFO."""
        return self._mapping(("INFO", section))

    def config(self, name: str) -> str | Refused:
        """One setting of the server."""
        found = self._mapping(("CONFIG", "GET", name))
        return found if isinstance(found, Refused) else str(found.get(name, ""))

    def silent(self, keys: Iterable[str]) -> dict[str, str]:
        """Those of the keys whose slot does not answer, with the reason."""
        names = list(keys)
        requests = [(self._servers.slot(name), ("PTTL", name)) for name in names]
        answers = self._ask(requests)
        return {
            name: explained(answer)
            for name, answer in zip(names, answers, strict=True)
            if isinstance(answer, Exception) and not isinstance(answer, ResponseError)
        }

    def refused_commands(self, *, wait: bool) -> list[str]:
        """Which commands of the library this user may not give; `wait`: whether WAIT is needed."""
        # Hashed as the namespace is, so that it lies where its rule allows; and new each time.
        key = f"{self._home_key}:doctor:{secrets.token_hex(8)}"
        attempts = [*ATTEMPTS, *((("wait", ("WAIT", 0, 1)),) if wait else ())]
        (takes_away,) = self._outcomes(key, [("hdel", ("HDEL", "{key}", "f"))])
        if _is_refusal(takes_away):
            attempts = [it for it in attempts if it[0] not in _LEAVES_A_KEY]
        answers = self._outcomes(key, attempts)
        return [
            name for (name, _), answer in zip(attempts, answers, strict=True) if _is_refusal(answer)
        ]

    def refused_keys(self, keys: Sequence[JobKeys]) -> list[str]:
        """Which keys of jobs this user may not write to."""
        names = [name for job in keys for name in job.all()]
        # A write that takes nothing away: a field that is never there. Of another type than a
        # hash it is refused for its type, and only after the rights were looked at.
        requests = [(self._servers.slot(name), ("HDEL", name, "")) for name in names]
        answers = self._ask(requests) if names else []
        return [name for name, it in zip(names, answers, strict=True) if _is_refusal(it)]

    def _outcomes(self, key: str, attempts: Sequence[tuple[str, Words]]) -> list[Any]:
        requests: list[tuple[int, Words]] = []
        for _, words in attempts:
            requests.append((self._home, tuple(key if it == "{key}" else it for it in words)))
        # A single question would raise what the server has against it.
        return self._ask([*requests, (self._home, ("PING",))])[:-1]

    def _mapping(self, words: Words) -> Mapping[str, Any] | Refused:
        try:
            answer = self._answer_or_refusal(*words)
        except StoreError as error:
            # Managed servers do not know CONFIG, or not all of INFO.
            if isinstance(error.__cause__, ResponseError):
                return Refused(str(error.__cause__))
            raise
        if isinstance(answer, Refused):
            return answer
        if isinstance(answer, Mapping):
            return {text(name): _plain(value) for name, value in answer.items()}
        if isinstance(answer, list):
            pairs = zip(answer[::2], answer[1::2], strict=False)
            return {text(name): text(value) for name, value in pairs}
        return Refused(f"it answered {answer!r}")

    def _answer_or_refusal(self, *words: Any) -> Any:
        """The answer; `Refused` when this user lacks the right, `StoreError` for all else."""
        try:
            (answer,) = self._servers.ask([(self._home, words)])
        except (RedisError, OSError) as error:
            answer = error
        if _is_refusal(answer):
            return Refused(str(answer))
        if isinstance(answer, Exception):
            raise StoreError(explained(answer)) from answer
        return answer

    def _ask(self, requests: Sequence[tuple[int, Words]]) -> list[Any]:
        try:
            return self._servers.ask(requests)
        except (RedisError, OSError) as error:
            raise StoreError(explained(error)) from error


def _is_refusal(answer: Any) -> bool:
    return isinstance(answer, Exception) and (
        type(answer).__name__ == "NoPermissionError" or str(answer).startswith("NOPERM")
    )


def _plain(value: Any) -> Any:
    return text(value) if isinstance(value, bytes) else value
