"""The settings: one table, from which keywords, configuration and documentation come."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, TypedDict

from .checks import Check, count, optional, refuse_unknown
from .errors import ConfigurationError
from .schedules import check_timezone

PREFIX = "JOBRUNNER_"


class SettingsKeywords(TypedDict, total=False):
    """The settings as keywords of `JobRunner`. Durations are seconds or a `timedelta`."""

    redis_url: str
    namespace: str
    check_interval: float | timedelta
    resync_interval: float | timedelta
    lease: float | timedelta
    max_concurrent_runs: int
    drain_timeout: float | timedelta
    redis_timeout: float | timedelta | None
    history: int
    enabled: bool
    mode: str
    fenced: bool
    quarantine_after: int
    min_replicas: int
    timezone: str
    tags: tuple[str, ...]
    history_age: float | timedelta | None
    max_traceback: int
    max_result: int
    progress_interval: float | timedelta


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a string that is not empty")
    return value


def _namespace(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("a printable string that is not empty, such as 'shop'")
    if set("{}") & set(value):
        raise ValueError("a string without braces, such as 'shop'")
    return value


def _seconds(least: float, most: float = 7 * 24 * 3600.0) -> Check:
    def check(value: Any) -> float:
        seconds = value.total_seconds() if isinstance(value, timedelta) else value
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise ValueError("a number of seconds or a timedelta")
        if not math.isfinite(seconds) or not least <= seconds <= most:
            raise ValueError(f"from {least:g} to {most:g} seconds")
        return float(seconds)

    return check


def _switch(value: Any) -> bool:
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    word = value.lower() if isinstance(value, str) else value
    if isinstance(word, str) and word in words:
        return words[word]
    if isinstance(value, bool) or value in (0, 1):
        return bool(value)
    raise ValueError("true or false")


def _one_of(*allowed: str) -> Check:
    def check(value: Any) -> str:
        if value not in allowed:
            raise ValueError("one of " + ", ".join(map(repr, allowed)))
        return str(value)

    return check


def _timezone(value: Any) -> str:
    try:
        return check_timezone(value)
    except ValueError:
        raise ValueError("a name of the tz database, such as 'Europe/Vienna' or 'UTC'") from None


def _tags(value: Any) -> tuple[str, ...]:
    words = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(words, list | tuple | set | frozenset) or not all(
        isinstance(word, str) and word.isprintable() and word.strip() for word in words
    ):
        raise ValueError("words such as 'web eu', or a list of strings")
    return tuple(sorted(set(words)))


def _setting(default: Any, unit: str, check: Check, sentence: str) -> Any:
    return field(default=default, metadata={"unit": unit, "check": check, "sentence": sentence})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one application's runner goes by. `Settings.load` is the way to make one."""

    redis_url: str = _setting(
        "redis://localhost:6379/0", "URL", _text, "The Redis that all instances share."
    )
    namespace: str = _setting(
        "", "name", _namespace, "The fleet's name in Redis; by default the Flask app's name."
    )
    check_interval: float = _setting(
        1.0, "seconds", _seconds(0.01), "The longest time between two checks of an instance."
    )
    resync_interval: float = _setting(
        60.0, "seconds", _seconds(0.01), "Within this time every job is looked at, due or not."
    )
    lease: float = _setting(
        30.0, "seconds", _seconds(0.1), "How long a run owns its job without being renewed."
    )
    max_concurrent_runs: int = _setting(
        100, "runs", count(1, 100_000), "How many runs one instance has at once."
    )
    drain_timeout: float = _setting(
        25.0, "seconds", _seconds(0.0), "How long a stopping instance lets its runs finish."
    )
    redis_timeout: float | None = _setting(
        None,
        "seconds",
        optional(_seconds(0.01)),
        "The time limit of every Redis call; by default 2, or a quarter of the lease if less.",
    )
    history: int = _setting(100, "entries", count(1, 100_000), "How many past runs a job keeps.")
    enabled: bool = _setting(True, "switch", _switch, "Whether start() starts anything here.")
    mode: str = _setting(
        "auto",
        "word",
        _one_of("auto", "greenlet", "thread"),
        "Where the loop lives: found out, in this hub, or in a thread of its own.",
    )
    fenced: bool = _setting(
        False, "switch", _switch, "Whether jobs that do not say so themselves are fenced."
    )
    quarantine_after: int = _setting(
        3,
        "runs",
        count(1, 1000),
        "So many abandoned runs in a row, and a job waits before the next.",
    )
    min_replicas: int = _setting(
        0,
        "replicas",
        count(0, 100),
        "How many replicas must have a claim before its run starts; else it is given back.",
    )
    timezone: str = _setting(
        "UTC", "name", _timezone, "The timezone of schedules that do not name one."
    )
    tags: tuple[str, ...] = _setting(
        (), "words", _tags, "What this instance is, for jobs that run on some instances only."
    )
    history_age: float | None = _setting(
        None,
        "seconds",
        optional(_seconds(1.0, 100 * 366 * 24 * 3600.0)),
        "How old an entry of the history may become; by default as old as it likes.",
    )
    max_traceback: int = _setting(
        4000,
        "characters",
        count(0, 1_000_000),
        "How much of a traceback the history keeps: its end.",
    )
    max_result: int = _setting(
        4000,
        "bytes",
        count(0, 1_000_000),
        "How large a job's result may be as JSON to be kept.",
    )
    progress_interval: float = _setting(
        0.5, "seconds", _seconds(0.01), "The shortest time between two reports of a run's progress."
    )

    @property
    def call_timeout(self) -> float:
        """The time limit of a Redis call, in seconds: a renewal must fit into a lease often."""
        return min(2.0, self.lease / 4) if self.redis_timeout is None else self.redis_timeout

    @classmethod
    def load(
        cls,
        keywords: Mapping[str, Any],
        config: Mapping[str, Any],
        environ: Mapping[str, str],
        *,
        default_namespace: str | None,
    ) -> Settings:
        """The keyword, else `JOBRUNNER_X` of `config`, else of `environ`, else the default.

        `ConfigurationError` names the key, the value, where it stood, and what is allowed.
        """
        refuse_unknown_config(config)
        values: dict[str, Any] = {}
        for spec in fields(cls):
            found = _find(spec.name, keywords, config, environ)
            if found is not None:
                value, source = found
                values[spec.name] = _checked(spec.metadata["check"], value, source)
        if "namespace" not in values:
            if default_namespace is None:
                raise ConfigurationError(
                    "the runner has no namespace, the fleet's name in Redis: "
                    "give JobRunner(namespace='…') or set JOBRUNNER_NAMESPACE."
                )
            values["namespace"] = _checked(_namespace, default_namespace, "the application's name")
        settings = cls(**values)
        settings._refuse_slow_calls()
        return settings

    def _refuse_slow_calls(self) -> None:
        if self.redis_timeout is not None and self.redis_timeout > self.lease / 4:
            raise ConfigurationError(
                f"JOBRUNNER_REDIS_TIMEOUT = {self.redis_timeout:g} is more than a quarter of "
                f"JOBRUNNER_LEASE = {self.lease:g}, so one slow call could lose a lease: "
                f"allowed is at most {self.lease / 4:g} seconds."
            )


def check_keywords(keywords: Mapping[str, Any]) -> None:
    """`TypeError` for a keyword that is no setting, as for any function's keyword."""
    known = (spec.name for spec in fields(Settings))
    refuse_unknown(keywords, known, whose="JobRunner()", what="settings")


def refuse_unknown_config(config: Mapping[str, Any]) -> None:
    """`ConfigurationError` for a `JOBRUNNER_` key that is no setting: a typing error, likely."""
    known = [spec.name.upper() for spec in fields(Settings)]
    for key in config:
        name = key.removeprefix(PREFIX)
        if key.startswith(PREFIX) and name not in known:
            # Compared without the prefix, which alone would make any two of them alike.
            near = difflib.get_close_matches(name, known, n=1)
            every = ", ".join(PREFIX + setting for setting in known)
            hint = f"did you mean {PREFIX}{near[0]}?" if near else f"the settings are {every}."
            raise ConfigurationError(f"{key} = {config[key]!r} is no setting of jobrunner: {hint}")


def _find(
    name: str, keywords: Mapping[str, Any], config: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[Any, str] | None:
    """The value given for a setting and the words for where it stood; None: nowhere."""
    key = PREFIX + name.upper()
    if name in keywords:
        return keywords[name], f"{name}="
    if key in config:
        return config[key], f"{key} in the configuration"
    if key in environ:
        return _from_environment(environ[key]), f"{key} in the environment"
    return None


def _from_environment(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _checked(check: Check, value: Any, source: str) -> Any:
    try:
        return check(value)
    except ValueError as error:
        raise ConfigurationError(
            f"{source}: {value!r} is not allowed; it must be {error}."
        ) from None
