"""`flask jobs list`, `show`, `next`, `history`, `instances`."""

from __future__ import annotations

from typing import Any

import pytest

from jobrunner import StoreError
from jobrunner.faces.cli.safe import safe
from jobrunner.run import Outcome, Progress, Skip

from .shells import NASTY, NOW, Shell, entry, instance, raw_controls, status

READING = ["list", "show report", "next", "history report", "instances"]


class TestList:
    def test_each_job_in_aligned_columns(self, shell: Shell) -> None:
        shell.runner.tick(wait=True)

        lines = shell("list").output.splitlines()

        assert ["JOB", "SCHEDULE", "LAST", "RUN", "NEXT", "DUE", "OUTCOME"] == lines[0].split()
        assert lines[1].startswith("report  every hour    2023-11-14 22:13:20 UTC  2023-11-14 23")
        assert lines[1].endswith("UTC  succeeded")
        assert lines[2].endswith("UTC  failed")

    def test_times_are_in_the_timezone_of_the_settings(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shell = Shell(monkeypatch, timezone="Europe/Vienna")
        shell.runner.tick(wait=True)

        assert "2023-11-14 23:13:20 CET" in shell("list").output

    def test_json(self, shell: Shell) -> None:
        shell.runner.tick(wait=True)

        report, purge = shell.json("list")

        assert ("report", "2023-11-14T22:13:20.000Z") == (report["name"], report["last_run"])
        assert (NOW, "succeeded", 1) == (
            report["last_run_unix"],
            report["last_outcome"],
            report["runs"],
        )
        assert "ValueError" in purge["last_error"]

    def test_what_cannot_be_read_is_quoted_and_harmless(self, shell: Shell) -> None:
        shell.redis.set("{shop}:job:report", "\x1b[2Jnever")

        output = shell("list").output

        assert [] == raw_controls(output)
        assert "x1b[2Jnever" in output

    @pytest.mark.parametrize("rich", [True, False])
    def test_on_a_terminal(self, shell: Shell, rich: bool) -> None:
        shell.runner.tick(wait=True)
        shell.on_a_terminal(rich=rich)

        output = shell("list").output

        assert rich is ("─" in output)
        assert "report" in output
        assert "succeeded" in output


class TestShow:
    def test_what_is_known(self, shell: Shell) -> None:
        shell.runner.tick(wait=True)

        output = shell("show", "purge").output

        assert [] == raw_controls(output)
        facts = dict(line.split("  ", 1) for line in output.splitlines())
        assert "failed" == facts["last outcome"].strip()
        assert "2023-11-14 22:13:20 UTC (now)" == facts["last run"].strip()
        assert "2023-11-14 22:14:20 UTC (in 1 min)" == facts["next due"].strip()
        assert "1 (1 failed)" == facts["runs"].strip()
        assert "[red]x[/red]" in facts["last error"]

    def test_a_job_in_trouble(self, shell: Shell) -> None:
        shell.answers(
            "status",
            [
                status(
                    running="run-1",
                    instance=NASTY,
                    lease_left=12.0,
                    progress=Progress(1, 4, NASTY, NOW),
                    paused=True,
                    paused_until=NOW + 60,
                    pause_reason=NASTY,
                    skips={Skip.HELD: 3, Skip.MISFIRED: 1},
                    last_skip=Skip.HELD,
                    last_skip_due=NOW - 60,
                    runs_here=False,
                    overdue_since=NOW - 7200,
                )
            ],
        )

        output = shell("show", "report").output

        assert [] == raw_controls(output)
        for told in (
            "running, 25 %",
            "12 s",
            "2023-11-14 22:14:20 UTC",
            safe(NASTY),
            "3 held, 1 misfired",
            "(1 min ago)",
            "(2 h ago)",
            "no: it is meant for other instances",
        ):
            assert told in output

    def test_a_pause_without_an_end(self, shell: Shell) -> None:
        shell.answers("status", [status(paused=True)])

        assert "when it is resumed" in shell("show", "report").output

    @pytest.mark.parametrize("rich", [True, False])
    def test_on_a_terminal_markup_is_text(self, shell: Shell, rich: bool) -> None:
        shell.runner.tick(wait=True)
        shell.on_a_terminal(rich=rich)

        output = shell("show", "purge").output

        assert "[red]x[/red]" in output
        assert "\x1b]0;" not in output

    def test_json_is_one_object(self, shell: Shell) -> None:
        assert "{shop}:job:purge" == shell.json("show", "purge")["sync_key"]


class TestNext:
    def test_the_coming_due_times(self, shell: Shell) -> None:
        calls = shell.answers("upcoming", [(NOW + 60, "purge"), (NOW + 3600, "report")])

        lines = shell("next", "--count", "2").output.splitlines()

        assert [(2, None)] == calls
        assert ["2023-11-14", "22:14:20", "UTC", "in", "1", "min", "purge"] == lines[1].split()
        assert lines[2].endswith("in 1 h    report")

    def test_of_one_job(self, shell: Shell) -> None:
        calls = shell.answers("upcoming", [])

        shell("next", "report")

        assert [(10, "report")] == calls

    def test_json(self, shell: Shell) -> None:
        shell.answers("upcoming", [(NOW + 60, "purge")])

        assert [
            {"job": "purge", "due": "2023-11-14T22:14:20.000Z", "due_unix": NOW + 60}
        ] == shell.json("next")

    def test_a_count_that_is_none(self, shell: Shell) -> None:
        assert "'0'" in shell("next", "--count", "zero", code=2).output.replace("zero", "0")
        shell("next", "--count", "0", code=2)


class TestHistory:
    def test_runs_the_newest_first(self, shell: Shell) -> None:
        failed = entry(outcome=Outcome.FAILED, error=f"ValueError: {NASTY}", attempts=3)
        calls = shell.answers("history", [entry(result='{"rows": 3}'), failed])

        result = shell("history", "report", "--limit", "5")

        assert [("report", 5, None)] == calls
        lines = result.output.splitlines()
        assert "STARTED" == lines[0].split()[0]
        assert lines[1].endswith('  {"rows": 3}')
        assert ["failed", "3", "one", "ValueError:"] == lines[2].split()[5:9]
        assert [] == raw_controls(result.output)

    def test_of_one_outcome(self, shell: Shell) -> None:
        calls = shell.answers("history", [])

        output = shell("history", "report", "--outcome", "timed_out").output

        assert [("report", 20, Outcome.TIMED_OUT)] == calls
        assert "No run of 'report' is recorded that timed_out." == output.strip()

    def test_an_outcome_that_there_is_not(self, shell: Shell) -> None:
        assert "lease_lost" in shell("history", "report", "--outcome", "x", code=2).output

    def test_json(self, shell: Shell) -> None:
        shell.answers("history", [entry(traceback="Traceback\n  x", request="r-1")])

        (told,) = shell.json("history", "report")

        assert ("Traceback\n  x", "r-1", NOW - 6) == (
            told["traceback"],
            told["request"],
            told["finished_at_unix"],
        )


class TestInstances:
    def test_who_lives(self, shell: Shell) -> None:
        shell.answers("instances", [instance(), instance(id="two", host=NASTY, pid=None, tags=())])

        result = shell("instances")

        _, one, two = result.output.splitlines()
        assert one.split()[:5] == ["one", "web-1", "12", "eu", "web"]
        assert one.endswith("1.0 s ago")
        assert safe(NASTY) in two
        assert [] == raw_controls(result.output)

    def test_nobody(self, shell: Shell) -> None:
        shell.answers("instances", [])

        assert "No instance checks the jobs now." in shell("instances").output
        assert [] == shell.json("instances")


@pytest.mark.parametrize("command", ["show", "next", "history"])
def test_an_unknown_job_is_wrong_use_and_suggests_the_nearest(shell: Shell, command: str) -> None:
    result = shell(command, "reprot", code=2)

    assert "" == result.stdout
    assert "there is no job 'reprot': did you mean 'report'?" in result.stderr


@pytest.mark.parametrize("command", READING)
@pytest.mark.parametrize("json", [[], ["--json"]])
def test_redis_away_is_a_failure(shell: Shell, command: str, json: list[str]) -> None:
    for method in ("status", "upcoming", "history", "instances"):
        shell.answers(method, StoreError("Redis is \x1b[2Jaway"))

    result = shell(*command.split(), *json, code=1)

    assert "" == result.stdout
    assert "Error: Redis is \\x1b[2Jaway\n" == result.stderr


def test_an_application_without_a_runner_is_told(shell: Shell) -> None:
    del shell.app.extensions["jobrunner"]

    assert "has no job runner. Did you forget" in shell("list", code=1).stderr


@pytest.mark.parametrize("command", READING)
@pytest.mark.parametrize("rich", [True, False])
def test_no_table_says_more_than_its_text(shell: Shell, command: str, rich: bool) -> None:
    """Whatever the text is, on a terminal no character of it acts."""
    nasty: Any = status(running=NASTY, instance=NASTY, last_error=NASTY, problem=NASTY)
    shell.answers("status", [nasty])
    shell.answers("upcoming", [(NOW, NASTY)])
    shell.answers("history", [entry(error=NASTY, instance=NASTY, outcome=Outcome.FAILED)])
    shell.answers("instances", [instance(id=NASTY, host=NASTY, tags=(NASTY,))])
    shell.on_a_terminal(rich=rich)

    output = shell(*command.split()).output

    for char in ("\x07", "\x1b]", "\x9b", "\u202e"):
        assert char not in output
