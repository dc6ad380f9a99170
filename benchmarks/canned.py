"""Answers of a real Redis, kept and given again: what is counted then is the library and its
client alone, and the same each time, whatever the scripts ask and answer.

An answer is what redis-py made of it: writing commands is counted, reading answers from a socket
is not. In both a turn of the hub passes before an answer is there, as with a socket, so that runs
end meanwhile and their finishes gather. Keep answers in a process that gevent has not patched:
else the hub takes as many turns as Redis takes time, and they are not the same each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import redis


def keeping(url: str, answers: list[Any]) -> redis.Redis:
    """A client that puts down each answer; an error, too."""

    class Keeping(redis.Connection):
        _greeted = False

        def connect(self) -> None:
            super().connect()
            self._greeted = True  # what it answers to that is not asked again

        def connect_check_health(self, *args: Any, **kwargs: Any) -> None:
            super().connect_check_health(*args, **kwargs)  # redis-py 8, when something is sent
            self._greeted = True

        def read_response(self, *args: Any, **kwargs: Any) -> Any:
            if not self._greeted:
                return super().read_response(*args, **kwargs)
            gevent.sleep(0)
            try:
                answer = super().read_response(*args, **kwargs)
            except redis.ResponseError as error:
                answers.append(error)
                raise
            answers.append(answer)
            return answer

    pool = redis.ConnectionPool.from_url(url)
    return redis.Redis(
        connection_pool=redis.ConnectionPool(connection_class=Keeping, **pool.connection_kwargs)
    )


def giving(answers: Iterator[Any]) -> redis.Redis:
    """A client without a server, whose answers are these, in their order."""

    class Giving(redis.Connection):
        def connect(self) -> None:
            """There is nothing to connect to."""

        def connect_check_health(self, *args: Any, **kwargs: Any) -> None:
            """Nor when something is sent."""

        def disconnect(self, *args: Any) -> None:
            """Nor to disconnect from."""

        def can_read(self, timeout: float = 0) -> bool:
            return False

        def send_packed_command(self, command: Any, check_health: bool = True) -> None:
            """It is written, and goes nowhere."""

        def read_response(self, *args: Any, **kwargs: Any) -> Any:
            gevent.sleep(0)
            answer = next(answers)
            if isinstance(answer, redis.ResponseError):
                raise answer
            return answer

    return redis.Redis(connection_pool=redis.ConnectionPool(connection_class=Giving))
