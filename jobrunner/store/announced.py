"""What an instance tells the fleet of its jobs and of itself, and what it reads there of others."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from ..job import JobDefinition
from ..status import InstanceStatus


class Announced(NamedTuple):
    """What stood in Redis of a job before this instance announced it."""

    #: Where its code stood, when that was elsewhere.
    moved_from: str | None
    #: Since when the fleet has known the job's schedule, in Redis's milliseconds.
    since_ms: int


#: So many schedules of one job are remembered, with the time at which each was first seen.
_SCHEDULES = 5

#: So many instances are remembered that announced a job last.
_ANNOUNCERS = 8


def described(
    definition: JobDefinition, before: Any, now_ms: int, instance: str
) -> tuple[str, Announced]:
    """What other processes read of a job, and what is drawn from what stood there before.
    `instance` is who says so.

    Old and new instances of a deploy announce in turns: each schedule keeps its own first time.
    """
    told = _told(before)
    schedule = str(definition.schedule)
    since = _since(told, now_ms)
    since_ms = since.pop(schedule, now_ms)
    since = {**dict(list(since.items())[-_SCHEDULES + 1 :]), schedule: since_ms}
    origin = told.get("origin")
    moved = origin if isinstance(origin, str) and origin != definition.origin else None
    others = [one for one in announcers_of(told.get("instances")) if one != instance]
    words = {
        "schedule": schedule,
        "sync_key": definition.keys.sync_key,
        "origin": definition.origin,
        "since": since,
        "instances": [*others[1 - _ANNOUNCERS :], instance],
    }
    return json.dumps(words), Announced(moved, since_ms)


def since_of(definition: JobDefinition, raw: Any, now_ms: int) -> int | None:
    """When the fleet first saw the job's schedule; None: it has not."""
    return _since(_told(raw), now_ms).get(str(definition.schedule))


def _since(told: dict[str, Any], now_ms: int) -> dict[str, int]:
    seen = told.get("since")
    return {
        name: ms
        for name, ms in (seen.items() if isinstance(seen, dict) else ())
        if isinstance(ms, int) and 0 <= ms <= now_ms
    }


def announcers_of(raw: Any) -> list[str]:
    """The instances that announced a job last, as `described` wrote them."""
    return [one for one in raw if isinstance(one, str)] if isinstance(raw, list) else []


def instance_of(instance: str, seen_ms: float, raw: Any) -> InstanceStatus:
    """One instance, from when it was seen and what it wrote of itself."""
    told = _told(raw)
    started_ms, pid, tags = told.get("started_ms"), told.get("pid"), told.get("tags")
    return InstanceStatus(
        id=instance,
        last_seen=seen_ms / 1000,
        host=str(told.get("host", "")),
        pid=pid if isinstance(pid, int) else None,
        tags=tuple(map(str, tags)) if isinstance(tags, list) else (),
        started_at=started_ms / 1000 if isinstance(started_ms, int) else None,
    )


def _told(raw: Any) -> dict[str, Any]:
    """What `described` wrote; nothing when it did not write it: written anew."""
    try:
        told = json.loads(raw)
    except (TypeError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
