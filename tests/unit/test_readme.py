"""What the README shows is true: its test runs, its example starts, its table is the settings'."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from jobrunner.settings import Settings

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def block_with(text: str) -> str:
    (found,) = (block for block in BLOCKS if text in block)
    return found


def test_the_ten_lines_of_a_test_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    namespace: dict[str, object] = {}
    exec(block_with("def test_purge"), namespace)

    namespace["test_purge_runs_every_five_minutes"](monkeypatch)  # type: ignore[operator]


def test_the_example_makes_an_application() -> None:
    namespace: dict[str, object] = {"__name__": "shop"}
    exec(block_with("class PurgeSessions"), namespace)

    app = namespace["create_app"]()  # type: ignore[operator]

    assert ["purge sessions"] == app.extensions["jobrunner"].registry.names()


def test_the_decorated_jobs_are_registered() -> None:
    namespace: dict[str, object] = {}
    exec(block_with("def nightly_report"), namespace)

    assert callable(namespace["nightly_report"])


def test_the_table_of_settings_is_the_settings() -> None:
    rows = re.findall(r"^\| `JOBRUNNER_(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", README, re.MULTILINE)

    assert [row(spec) for spec in fields(Settings)] == [tuple(found) for found in rows]


def row(spec: object) -> tuple[str, str, str, str]:
    default = spec.default  # type: ignore[attr-defined]
    shown = f"{default:g}" if isinstance(default, float) else default
    return (
        spec.name.upper(),  # type: ignore[attr-defined]
        f"`{shown}`" if default not in ("", None) else "",
        spec.metadata["unit"],  # type: ignore[attr-defined]
        spec.metadata["sentence"],  # type: ignore[attr-defined]
    )
