"""`flask jobs run`: a run in this process, and how it is shown."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from jobrunner import RefusedError
from jobrunner.faces.cli.log import LogLines, shown_by
from jobrunner.run import HistoryEntry, Outcome, Progress

from .shells import NASTY, NOW, Shell, entry, raw_controls

OnProgress = Callable[[Progress], None]


def far(done: float, total: float | None = 20, message: str = "") -> Progress:
    return Progress(done, total, message, NOW)


def test_a_run_that_succeeded(shell: Shell) -> None:
    shell.does("run_here", lambda name, on_progress: entry(job=name))

    assert "report: succeeded after 3.0 s\n" == shell("run", "report").output


def test_progress_is_a_line_for_each_tenth(shell: Shell) -> None:
    def run_here(name: str, on_progress: OnProgress) -> HistoryEntry:
        for done in range(21):
            on_progress(far(done, message=NASTY))
        on_progress(far(3, total=None))
        return entry()

    shell.does("run_here", run_here)

    output = shell("run", "report").output

    assert [f"{tenth * 10} %" for tenth in range(11)] == [
        line.split(",")[0] for line in output.splitlines()[:-1]
    ]
    assert [] == raw_controls(output)


@pytest.mark.parametrize("rich", [True, False])
def test_on_a_terminal_progress_is_drawn(shell: Shell, rich: bool) -> None:
    def run_here(name: str, on_progress: OnProgress) -> HistoryEntry:
        on_progress(far(10, message="[red]half[/red]\x07"))
        return entry()

    shell.does("run_here", run_here)
    shell.on_a_terminal(rich=rich)

    output = shell("run", "report").output

    assert "50 %, [red]half[/red]\\x07" in output
    assert rich is ("━" in output)
    assert output.rstrip().endswith("report: succeeded after 3.0 s")


def test_a_run_that_failed_is_a_failure(shell: Shell) -> None:
    failed = entry(outcome=Outcome.TIMED_OUT, error=None, traceback="Traceback\n  here")
    shell.does("run_here", lambda name, on_progress: failed)

    result = shell("run", "report", code=1)

    assert "Traceback\n  here\nError: report: timed_out after 3.0 s\n" == result.stderr


@pytest.mark.parametrize("rich", [True, False])
def test_ctrl_c_is_a_failure_that_says_so(shell: Shell, rich: bool) -> None:
    shell.answers("run_here", KeyboardInterrupt())
    shell.on_a_terminal(rich=rich)

    result = shell("run", "report", code=1)

    assert "the run of 'report' was interrupted, and the job is released" in result.stderr


def test_a_job_that_is_held_is_refused(shell: Shell) -> None:
    shell.answers("run_here", RefusedError("the job 'report' runs on instance one"))

    assert "runs on instance one" in shell("run", "report", code=3).stderr


def test_an_unknown_job_is_wrong_use(shell: Shell) -> None:
    calls = shell.answers("run_here", entry())

    assert "did you mean 'report'?" in shell("run", "reports", code=2).stderr
    assert [] == calls


def test_serve_where_jobs_are_off_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = Shell(monkeypatch, enabled=False)

    assert "JOBRUNNER_ENABLED is false" in shell("serve", code=1).stderr


def test_init_db_without_a_database_is_a_failure(shell: Shell) -> None:
    assert "SQLALCHEMY_DATABASE_URI" in shell("init-db", code=1).stderr


class TestWhatIsLoggedMeanwhile:
    @pytest.fixture
    def logger(self, monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
        """The library's, in an application that has set up no logging."""
        logger = logging.getLogger("jobrunner")
        # But for pytest, whose handlers the root has.
        monkeypatch.setattr(type(logger), "hasHandlers", lambda self: bool(self.handlers))
        assert [] == logger.handlers
        return logger

    def test_is_harmless_to_a_terminal(
        self, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with shown_by(LogLines()):
            try:
                raise ValueError(NASTY)
            except ValueError:
                logger.exception("Job %s failed", NASTY)
            logger.info("nothing to read")
        with shown_by(LogLines(tracebacks=False)):
            logger.error("told", exc_info=ValueError("not told"))

        shown = capsys.readouterr().err
        assert [] == raw_controls(shown)
        assert "Traceback" in shown
        assert shown.endswith("\ntold\n")
        assert "nothing to read" not in shown
        assert [] == logger.handlers

    def test_a_run_tells_its_traceback_once(self, shell: Shell, logger: logging.Logger) -> None:
        result = shell("run", "purge", code=1)

        assert 1 == result.stderr.count("Traceback")
        assert "Job purge finished with error" in result.stderr
        assert [] == raw_controls(result.stderr)

    def test_an_application_that_logs_itself_is_left_to_do_so(
        self, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
    ) -> None:
        logger.addHandler(logging.NullHandler())
        try:
            with shown_by(LogLines()):
                logger.error("somewhere else")
            assert 1 == len(logger.handlers)
        finally:
            logger.handlers.clear()

        assert "" == capsys.readouterr().err
