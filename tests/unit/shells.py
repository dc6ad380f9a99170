"""A shell for the tests of `flask jobs`: an application over fakeredis, and its commands."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import fakeredis
import pytest
from click.testing import Result
from flask import Flask

from jobrunner import Job, JobContext, JobRunner
from jobrunner.faces.cli import jobs, screen
from jobrunner.run import HistoryEntry, Outcome
from jobrunner.status import InstanceStatus, JobStatus

#: 2023-11-14 22:13:20 UTC
NOW = 1_700_000_000.0

NASTY = "\x1b]0;owned\x07[red]x[/red]\u202e\n\x9b31m"


class Report(Job):
    name = "report"
    interval = 3600

    def run(self, ctx: JobContext) -> object:
        return {"rows": 3}


class Purge(Job):
    name = "purge"
    interval = 60

    def run(self, ctx: JobContext) -> None:
        raise ValueError(NASTY)


class Shell:
    """`flask jobs …` over an application of its own; terminal and rich are as the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        self._monkeypatch = monkeypatch
        self.redis: Any = fakeredis.FakeRedis(decode_responses=True)
        self.app = Flask("shop")
        self.runner = JobRunner(
            self.app,
            redis=self.redis,
            clock=lambda: NOW,
            jobs=[Report(), Purge()],
            namespace="shop",
            **settings,
        )
        self.state = self.app.extensions["jobrunner"]

    def on_a_terminal(self, *, rich: bool) -> None:
        """From now on the output is one, and rich is installed or not."""
        self._monkeypatch.setattr(screen, "is_terminal", lambda: True)
        self._monkeypatch.setattr("jobrunner.faces.cli.watching.is_terminal", lambda: True)
        if not rich:
            without_rich(self._monkeypatch)
        self._monkeypatch.setenv("COLUMNS", "150")

    def answers(self, method: str, answer: Any) -> list[tuple[Any, ...]]:
        """Let a method of the state return, or raise, `answer`; the calls it gets."""
        calls: list[tuple[Any, ...]] = []

        def answered(*args: Any, **kwargs: Any) -> Any:
            calls.append((*args, kwargs) if kwargs else args)
            if isinstance(answer, BaseException):
                raise answer
            return answer(*args) if isinstance(answer, _Called) else answer

        self._monkeypatch.setattr(self.state, method, answered, raising=False)
        return calls

    def does(self, method: str, function: Callable[..., Any]) -> None:
        """Let a method of the state be this function."""
        self.answers(method, _Called(function))

    def __call__(self, *words: str, code: int = 0, typed: str | None = None) -> Result:
        """The result of a command that ends with this exit code."""
        result = self.app.test_cli_runner().invoke(jobs, list(words), input=typed)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert code == result.exit_code, result.output
        return result

    def json(self, *words: str, code: int = 0) -> Any:
        """What a command tells programs."""
        return json.loads(self(*words, "--json", code=code).stdout)


class _Called:
    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)


def without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it were not installed."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "NO_COLOR" not in os.environ
    return Shell(monkeypatch)


def status(name: str = "report", **changes: Any) -> JobStatus:
    """A job that never ran, but for the changes."""
    nothing: dict[str, Any] = dict.fromkeys((field.name for field in fields(JobStatus)), None)
    counts = ("runs", *map(str, Outcome))
    nothing |= dict.fromkeys(counts, 0)
    nothing |= {"name": name, "schedule": "every hour", "sync_key": f"{{shop}}:job:{name}"}
    nothing |= {"paused": False, "pause_reason": "", "skips": {}}
    nothing |= {"enabled": True, "runs_here": True}
    return JobStatus(**(nothing | changes))


def entry(**changes: Any) -> HistoryEntry:
    """A run that succeeded after three seconds."""
    values: dict[str, Any] = {
        "run_id": "run-1",
        "job": "report",
        "token": 7,
        "instance": "one",
        "due_at": NOW - 10,
        "started_at": NOW - 9,
        "finished_at": NOW - 6,
        "outcome": Outcome.SUCCEEDED,
        "error": None,
    }
    return HistoryEntry(**(values | changes))


def instance(**changes: Any) -> InstanceStatus:
    """One that checked a second ago."""
    values: dict[str, Any] = {
        "id": "one",
        "last_seen": NOW - 1,
        "host": "web-1",
        "pid": 12,
        "tags": ("eu", "web"),
        "started_at": NOW - 3600,
    }
    return InstanceStatus(**(values | changes))


def raw_controls(text: str) -> list[str]:
    """The characters in an output that only the output's own drawing may have."""
    return [char for char in text if not char.isprintable() and char != "\n"]
