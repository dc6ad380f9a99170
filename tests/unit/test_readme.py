"""What the README shows is true: its test runs, its example starts, its table is the settings'."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from jobrunner.faces.cli.group import jobs
from jobrunner.policies import Policies
from jobrunner.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
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


def test_the_list_of_what_there_is_names_each_command_and_policy() -> None:
    section = README[README.index("## What there is") : README.index("## Testing them")]
    commands = section[section.index("**[The command line]") : section.index("**[Signals]")]
    named = {name.removeprefix("flask jobs ") for name in re.findall(r"`([a-z -]+)`", commands)}

    assert set(jobs.commands) == named
    left_out = {spec.name for spec in fields(Policies) if f"`{spec.name}" not in section}
    assert {"max_catch_up", "enabled"} == left_out


def test_what_it_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", README)

    assert 6 <= len(links)
    assert [] == [link for link in links if not (ROOT / link).exists()]


def row(spec: object) -> tuple[str, str, str, str]:
    default = spec.default  # type: ignore[attr-defined]
    shown = f"{default:g}" if isinstance(default, float) else default
    return (
        spec.name.upper(),  # type: ignore[attr-defined]
        f"`{shown}`" if default not in ("", None) else "",
        spec.metadata["unit"],  # type: ignore[attr-defined]
        spec.metadata["sentence"],  # type: ignore[attr-defined]
    )
