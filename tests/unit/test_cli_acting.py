"""`flask jobs trigger`, `pause`, `resume`, `reset`, `cancel`: what is asked of the fleet."""

from __future__ import annotations

import pytest

from jobrunner import RefusedError, StoreError, UnknownJobError
from jobrunner.run import Outcome

from .shells import NASTY, NOW, Shell, entry, raw_controls

CONTROLS = ["trigger", "pause", "resume", "reset", "cancel"]


class TestTrigger:
    def test_tells_the_request(self, shell: Shell) -> None:
        calls = shell.answers("trigger", "request-1")

        output = shell("trigger", "report", "--queue").output

        assert [("report", {"wait": False, "queue": True, "timeout": None})] == calls
        assert "Asked for a run of 'report': request request-1.\n" == output

    def test_waits_for_the_run_and_tells_how_it_ended(self, shell: Shell) -> None:
        calls = shell.answers("trigger", entry(result='{"rows": 3}', attempts=2))

        output = shell("trigger", "report", "--wait", "--timeout", "2m").output

        assert [("report", {"wait": True, "queue": False, "timeout": 120.0})] == calls
        assert 'report: succeeded after 3.0 s, 2 attempts: {"rows": 3}\n' == output

    def test_a_run_that_failed_is_a_failure_with_its_traceback(self, shell: Shell) -> None:
        failed = entry(outcome=Outcome.FAILED, error=NASTY, traceback=f"Traceback:\n  {NASTY}")
        shell.answers("trigger", failed)

        result = shell("trigger", "report", "--wait", code=1)

        assert "" == result.stdout
        assert "Traceback:\n  \\x1b]0" in result.stderr
        assert "Error: report: failed after 3.0 s: " in result.stderr
        assert [] == raw_controls(result.stderr)

    def test_a_run_that_has_not_ended_in_time_is_a_failure(self, shell: Shell) -> None:
        shell.answers("trigger", None)

        result = shell("trigger", "report", "--wait", "--timeout", "90", code=1)

        assert "has not ended within 1 min 30 s" in result.stderr

    def test_a_timeout_without_waiting_is_wrong_use(self, shell: Shell) -> None:
        calls = shell.answers("trigger", "r")

        assert "--wait" in shell("trigger", "report", "--timeout", "1m", code=2).output
        assert [] == calls


class TestPause:
    @pytest.mark.parametrize(
        ("words", "until", "told"),
        [
            ([], None, "until it is resumed"),
            (["--for", "2h"], NOW + 7200, "until 2023-11-15 00:13:20 UTC"),
            (["--until", "2023-11-15 08:00"], 1_700_035_200.0, "until 2023-11-15 08:00:00 UTC"),
            (["--until", "08:00"], 1_700_035_200.0, "until 2023-11-15 08:00:00 UTC"),
        ],
    )
    def test_for_how_long(
        self, shell: Shell, words: list[str], until: float | None, told: str
    ) -> None:
        calls = shell.answers("pause", None)

        output = shell("pause", "report", *words, "--reason", "the disk is full").output

        assert [("report", until, "the disk is full")] == calls
        assert f"Paused 'report' {told}.\n" == output

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (["--for", "2h", "--until", "08:00"], "give one"),
            (["--until", "2023-11-14 22:00"], "--until 2023-11-14 22:00:00 UTC is past"),
            (["--for", "soon"], "no length of time"),
            (["--until", "soon"], "no time"),
        ],
    )
    def test_what_makes_no_sense(self, shell: Shell, words: list[str], told: str) -> None:
        calls = shell.answers("pause", None)

        assert told in " ".join(shell("pause", "report", *words, code=2).output.split())
        assert [] == calls


@pytest.mark.parametrize(
    ("command", "answer", "told"),
    [
        ("resume", None, "Resumed 'report'."),
        ("reset", None, "Reset 'report': it is due now."),
        ("cancel", "run-1", "Told run run-1 of 'report' to end."),
    ],
)
def test_the_other_controls(shell: Shell, command: str, answer: str | None, told: str) -> None:
    calls = shell.answers(command, answer)

    assert f"{told}\n" == shell(command, "report").output
    assert [("report",)] == calls


@pytest.mark.parametrize("command", CONTROLS)
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RefusedError("the job 'report' runs: \x1b"), 3),
        (StoreError("away \x1b"), 1),
        (UnknownJobError("there is no job 'x': \x1b"), 2),
    ],
)
def test_exit_codes(shell: Shell, command: str, error: Exception, code: int) -> None:
    shell.answers(command, error)

    result = shell(command, "report", code=code)

    assert "" == result.stdout
    assert "Error: " + str(error).replace("\x1b", "\\x1b") + "\n" == result.stderr
