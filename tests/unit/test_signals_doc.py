"""docs/signals.md names each signal with its arguments, as the code sends it; its examples run."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import fakeredis
import pytest
from blinker import NamedSignal
from flask import Flask

from jobrunner import JobContext, JobRunner, Retry, every, signals
from jobrunner.run import Outcome, Skip

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "signals.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SIGNALS = {name: one for name, one in vars(signals).items() if isinstance(one, NamedSignal)}
ROWS = {
    name: set(re.findall(r"`(\w+)`", arguments))
    for name, arguments in re.findall(r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|", PAGE, re.MULTILINE)
}


def sent() -> dict[str, set[str]]:
    """The keywords with which the code sends each signal."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "jobrunner").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Name):
                name = call.args[0].id
                if name in SIGNALS:
                    found[name] = {str(keyword.arg) for keyword in call.keywords}
    return found


def test_the_page_has_the_signals_and_their_arguments_as_they_are_sent() -> None:
    assert sent() == ROWS
    assert set(SIGNALS) == set(ROWS)


def test_the_page_explains_each_argument() -> None:
    explained = set(re.findall(r"^\| `(\w+)` \| [^`|]", PAGE, re.MULTILINE)) - set(ROWS)
    used = set().union(*ROWS.values())

    assert used <= explained | {"run", "outcome"}
    assert "| `run` |" in PAGE
    assert "| `outcome` |" in PAGE


def test_the_page_has_the_outcomes_and_the_reasons() -> None:
    outcomes = re.search(r"^\| `outcome` \| an `Outcome`: (.*) \|$", PAGE, re.MULTILINE)
    assert outcomes is not None
    named = set(re.findall(r"`(\w+)`", outcomes[1]))
    assert set(Outcome) - {Outcome.SUCCEEDED, Outcome.ABANDONED} == named

    reasons = set(re.findall(r"^- `(\w+)`: ", PAGE, re.MULTILINE))
    assert set(Skip) == reasons


@pytest.fixture
def names() -> Any:
    """The names of the page's examples; what they connect is disconnected again."""
    names: dict[str, Any] = {"__name__": "shop"}
    for block in BLOCKS:
        exec(block, names)
    yield names
    for name in SIGNALS:
        for receiver in ("report_failure", "note_missed", "call_somebody"):
            SIGNALS[name].disconnect(names[receiver])


def test_the_examples_hear_what_happens(
    names: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    now = [1_700_000_000.0]
    runner = JobRunner(redis=fakeredis.FakeRedis(), clock=lambda: now[0])
    app = Flask("shop")

    @runner.job(every(hours=1), misfire="skip", expect=5400, retry=Retry(attempts=2, base=0))
    def refresh(ctx: JobContext) -> None:
        raise ValueError("no rates")

    runner.init_app(app)
    runner.tick(wait=True)
    assert "refresh failed in attempt 2: no rates\n" == capsys.readouterr().out

    now[0] += 5400
    for _ in range(3):
        runner.tick(wait=True)
    assert [("refresh", 1_700_003_600.0)] == names["missed"]

    now[0] += 0.001
    for _ in range(3):
        runner.tick(wait=True)
    assert "refresh has not succeeded since 1700000000\n" == capsys.readouterr().out


def test_receivers_are_called_without_an_application_context() -> None:
    from flask import has_app_context

    heard: list[tuple[str, bool]] = []
    runner = JobRunner(redis=fakeredis.FakeRedis())
    app = Flask("shop")
    runner.init_app(app)
    runner.job(every(hours=1), name="refresh")(lambda ctx: None)

    def note(sender: Flask, **arguments: Any) -> None:
        heard.append((sender.name, has_app_context()))

    told = ("job_claimed", "job_started", "job_succeeded")
    for name in told:
        SIGNALS[name].connect(note, sender=app)

    runner.tick(wait=True)

    assert [("shop", False)] * len(told) == heard
