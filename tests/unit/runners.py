"""What the tests of the runner share."""

from __future__ import annotations

from typing import Any

import fakeredis
from flask import current_app

from jobrunner import Job, JobContext, JobRunner


def runner_of(**keywords: Any) -> JobRunner:
    """A runner whose time stands still, on a fakeredis of its own."""
    return JobRunner(redis=fakeredis.FakeRedis(), clock=lambda: 1_700_000_000.0, **keywords)


def note(ran: list[Any]) -> Any:
    """A job's function that notes the application it runs in."""

    def note_app(ctx: JobContext) -> None:
        assert ctx.app is (current_app._get_current_object() if current_app else None)  # type: ignore[attr-defined]
        ran.append(ctx.app and ctx.app.name)

    return note_app


class Other(Job):
    name = "other"
    interval = 60

    def run(self, ctx: JobContext) -> None: ...
