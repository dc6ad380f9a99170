"""`flask jobs watch`: what is on the screen."""

from __future__ import annotations

from typing import Any

import pytest

from jobrunner import StoreError
from jobrunner.faces.cli import watching
from jobrunner.faces.cli.watching import look, view_of
from jobrunner.faces.cli.words import zone
from jobrunner.run import Outcome

from .shells import NASTY, NOW, Shell, instance, status


def names(statuses: list[Any], room: int = 20) -> list[str]:
    return [row[0] for row in view_of(statuses, "shop", 2, NOW, room, zone("UTC")).rows]


def test_what_needs_attention_stands_first() -> None:
    statuses = [
        status("off", enabled=False),
        status("later", next_due=NOW + 60),
        status("sooner", next_due=NOW + 5),
        status("asked for", requested="r"),
        status("paused", paused=True),
        status("overdue", overdue_since=NOW),
        status("runs", running="run-1"),
    ]

    assert ["runs", "overdue", "asked for", "sooner", "later", "off", "paused"] == names(statuses)


def test_what_has_no_room_is_counted() -> None:
    statuses = [status(f"job-{number:02}") for number in range(12)]
    view = view_of(statuses, "shop", 2, NOW, 5, zone("UTC"))

    assert ["job-00", "job-01", "job-02", "job-03", "job-04"] == [row[0] for row in view.rows]
    assert "and 7 more" == view.foot
    assert ["job-00"] == names(statuses, room=-3)


def test_the_head_and_a_row() -> None:
    job = status(
        last_run=NOW - 60,
        next_due=NOW + 60,
        runs=9,
        failed=1,
        timed_out=2,
        abandoned=3,
        last_outcome=Outcome.FAILED,
        last_error="x" * 100,
    )
    view = view_of([job], "shop", 2, NOW, 20, zone("UTC"))

    assert "shop: 1 jobs, 0 running, 2 instances, 2023-11-14 22:13:20 UTC" == view.title
    assert [("report", "failed", "1 min ago", "in 1 min", "9", "6", "x" * 60)] == view.rows


def test_redis_away_leaves_what_was_seen_and_says_so(shell: Shell) -> None:
    shell.answers("instances", [instance()])
    before = look(shell.state, None, 20)
    shell.answers("status", StoreError("it is away"))

    view = look(shell.state, before, 20)

    assert (before.title, before.rows) == (view.title, view.rows)
    assert "Redis does not answer: it is away" == view.foot
    assert [] == look(shell.state, None, 20).rows


def test_without_a_terminal_it_is_wrong_use(shell: Shell) -> None:
    assert "list --json" in shell("watch", code=2).output


@pytest.mark.parametrize("rich", [True, False])
def test_it_looks_again_until_ctrl_c(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, rich: bool
) -> None:
    shell.answers("instances", [])
    seen = iter([[status(last_error=NASTY)], [status("again")]])
    shell.does("status", lambda: next(seen))
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(watching.time, "sleep", sleep)
    shell.on_a_terminal(rich=rich)

    output = shell("watch").output

    assert [1.0, 1.0] == slept
    assert output.index("report") < output.index("again")
    assert "\x1b]0;" not in output
    assert "[red]x[/red]" in output
    assert rich is ("\x1b[?1049h" in output)
