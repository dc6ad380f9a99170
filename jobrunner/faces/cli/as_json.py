"""What the commands know, as plain JSON: the fields by their names, a time both as ISO 8601 in
UTC and, with `_unix` behind its name, in Unix seconds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

import click

#: The fields that hold a time, by the class that has them.
TIMES = {
    "JobStatus": {
        *("last_run", "next_due", "last_finish", "last_success", "last_skip_due"),
        *("quarantined_until", "paused_until", "overdue_since"),
    },
    "Progress": {"at"},
    "HistoryEntry": {"due_at", "started_at", "finished_at"},
    "InstanceStatus": {"last_seen", "started_at"},
    "Due": {"due"},
}


def show_json(value: Any) -> None:
    """Write it, in ASCII: no control character of a job's text reaches the terminal."""
    click.echo(json.dumps(plain(value), indent=2, allow_nan=False))


def plain(value: Any) -> Any:
    """Dataclasses as objects, times twice; no number that JSON does not have."""
    if is_dataclass(value) and not isinstance(value, type):
        return _object(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)


def iso(unix_seconds: float | None) -> str | None:
    """A time in UTC to the millisecond; None for none, and for one that no calendar reaches."""
    if unix_seconds is None:
        return None
    try:
        at = datetime.fromtimestamp(unix_seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _object(value: Any) -> dict[str, Any]:
    times = TIMES.get(type(value).__name__, set())
    told: dict[str, Any] = {}
    for field in fields(value):
        name, item = field.name, getattr(value, field.name)
        if name in times:
            told[name], told[f"{name}_unix"] = iso(item), plain(item)
        else:
            told[name] = plain(item)
    return told
