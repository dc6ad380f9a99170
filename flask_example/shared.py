"""What the workers share through Redis: one summary, written by a job, shown by every worker."""

from __future__ import annotations

import json
from typing import TypedDict, cast

from flask import Flask, current_app
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

KEY = "flask_example:summary"
#: Seconds after which a summary that no job has renewed is forgotten.
EXPIRES_AFTER = 600


class Summary(TypedDict):
    """The shared summary. Times are Unix seconds."""

    total: int
    busiest_minute: int | None
    busiest_minute_visits: int
    written_at: int
    written_by: int


def init_app(app: Flask) -> None:
    """Give the application a Redis client; it connects when it is first used."""
    app.extensions["redis"] = Redis.from_url(
        app.config["JOBRUNNER_REDIS_URL"],
        # A page must not hang while Redis is away: a short timeout, and no retries.
        socket_timeout=1,
        socket_connect_timeout=1,
        retry=Retry(NoBackoff(), 0),
    )


def redis_client() -> Redis:
    """Return the Redis client of the current application."""
    return cast("Redis", current_app.extensions["redis"])


def write_summary(client: Redis, summary: Summary) -> None:
    """Replace the shared summary."""
    client.set(KEY, json.dumps(summary), ex=EXPIRES_AFTER)


def read_summary(client: Redis) -> Summary | None:
    """Return the shared summary, or None if no job has written one lately."""
    text = client.get(KEY)
    return None if text is None else cast("Summary", json.loads(cast("bytes", text)))
