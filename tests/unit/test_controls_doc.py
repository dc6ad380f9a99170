"""What docs/controls.md shows is true: its examples run, and name what there is."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fakeredis
import pytest
from flask import Flask

from jobrunner import JobRunner
from jobrunner.faces.cli.group import jobs

PAGE = (Path(__file__).parents[2] / "docs" / "controls.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


class Page:
    """The names of the page's examples, run one after the other, in an application."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "admin"}
        for block in BLOCKS:
            exec(block, self.names)
        self.now = 1_700_000_000.0
        self.runner: JobRunner = self.names["runner"]
        self.runner.redis = fakeredis.FakeRedis()
        self.runner.clock = lambda: self.now
        self.app = Flask("shop")
        self.runner.init_app(self.app)
        self.app.register_blueprint(self.names["admin"])
        self.client = self.app.test_client()


@pytest.fixture
def page() -> Page:
    return Page()


def test_the_view_triggers_a_run_and_tells_its_answer(page: Page) -> None:
    asked = page.client.post("/admin/jobs/refresh/trigger")
    where = f"/admin/jobs/refresh/requests/{asked.json['request']}"
    assert (202, 202) == (asked.status_code, page.client.get(where).status_code)

    page.runner.tick(wait=True)

    assert {"outcome": "succeeded", "result": '{"rows": 3}'} == page.client.get(where).json
    told = [{"name": "refresh", "next_due": page.now + 3600, "outcome": "succeeded"}]
    assert told == page.client.get("/admin/jobs/").json


def test_the_view_tells_what_cannot_be_had(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = page.client.post("/admin/jobs/refrehs/trigger")
    assert (404, True) == (unknown.status_code, "did you mean 'refresh'?" in unknown.json["error"])

    for name, code in [("RefusedError", 409), ("StoreError", 503)]:

        def fails(job: str, error: Any = page.names[name]) -> None:
            raise error("no")

        monkeypatch.setattr(page.runner, "trigger", fails)
        answer = page.client.post("/admin/jobs/refresh/trigger")
        assert (code, {"error": "no"}) == (answer.status_code, answer.json)


def test_a_pause_for_a_day(page: Page) -> None:
    page.now = datetime.now(UTC).timestamp()

    page.names["stop_for_a_day"]()

    (status,) = page.runner.status()
    assert (True, "the supplier's interface moves") == (status.paused, status.pause_reason)
    assert round(page.names["tomorrow"].timestamp(), 3) == status.paused_until


def test_the_failures_of_today(page: Page) -> None:
    page.runner.tick(wait=True)

    assert [] == page.names["failures_of_today"](page.now)


def test_the_table_names_methods_and_commands_that_there_are() -> None:
    methods = re.findall(r"^\| `runner\.(\w+)\(", PAGE, re.MULTILINE)
    commands = re.findall(r"`flask jobs (\w+)", PAGE)

    assert 9 == len(methods)
    assert [] == [name for name in methods if not callable(getattr(JobRunner, name, None))]
    assert set() == set(commands) - set(jobs.commands)


def test_what_is_upcoming(page: Page) -> None:
    page.runner.tick(wait=True)

    expected = [(page.now + 3600.0, "refresh"), (page.now + 7200.0, "refresh")]
    assert expected == page.runner.upcoming(2)
    assert expected[:1] == page.runner.upcoming(count=1, name="refresh")
