"""Which kind of process is this? Here: what the command line of Flask tells."""

from __future__ import annotations

import click
import pytest
from flask.cli import routes_command, run_command, shell_command

from jobrunner.faces.cli import jobs
from jobrunner.hosting.detect import Process, detect, is_served


def context_of(command: click.Command, *arguments: str) -> click.Context:
    """The context of a command as it is while the application factory is called."""
    return command.make_context(command.name, list(arguments))


def within(command: click.Command, *arguments: str) -> Process:
    with context_of(command, *arguments):
        return detect()


@pytest.fixture(autouse=True)
def plain_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLASK_DEBUG", "WERKZEUG_RUN_MAIN", "FLASK_RUN_FROM_CLI"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_command_nothing_is_known() -> None:
    assert Process.UNKNOWN is detect()


def test_flask_run_serves() -> None:
    assert Process.SERVING is within(run_command)


class TestTheReloader:
    @pytest.mark.parametrize("debug", ["1", "true", "TRUE", "yes", "on"])
    def test_its_parent_serves_nothing(self, monkeypatch: pytest.MonkeyPatch, debug: str) -> None:
        monkeypatch.setenv("FLASK_DEBUG", debug)

        assert Process.COMMAND is within(run_command)

    def test_its_child_serves(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FLASK_DEBUG", "1")
        monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")

        assert Process.SERVING is within(run_command)

    @pytest.mark.parametrize("debug", ["", "0", "false", "No"])
    def test_without_debug_there_is_none(self, monkeypatch: pytest.MonkeyPatch, debug: str) -> None:
        monkeypatch.setenv("FLASK_DEBUG", debug)

        assert Process.SERVING is within(run_command)

    def test_the_option_goes_before_the_debug_flag(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert Process.COMMAND is within(run_command, "--reload")
        monkeypatch.setenv("FLASK_DEBUG", "1")
        assert Process.SERVING is within(run_command, "--no-reload")
        monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")
        assert Process.SERVING is within(run_command, "--reload")


def test_jobs_serve_serves() -> None:
    assert Process.SERVING is within(jobs.commands["serve"])


def test_jobs_list_serves_nothing() -> None:
    assert Process.COMMAND is within(jobs.commands["list"])


@pytest.mark.parametrize("name", ["run", "serve", "migrate"])
def test_a_command_of_the_user_s_own_serves_nothing_whatever_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("FLASK_RUN_FROM_CLI", "true")  # set for every command

    @click.command(name)
    def own() -> None: ...

    assert Process.COMMAND is within(own)


@pytest.mark.parametrize("command", [shell_command, routes_command, click.Group("db")])
def test_every_other_command_serves_nothing(command: click.Command) -> None:
    with click.Context(command, info_name=command.name):
        assert Process.COMMAND is detect()


def test_a_command_within_flask_run_s_is_what_counts() -> None:
    with context_of(run_command), click.Context(shell_command, info_name="shell"):
        assert Process.COMMAND is detect()


@pytest.mark.parametrize(
    ("environ", "served"),
    [
        ({"SERVER_SOFTWARE": "gunicorn/27"}, True),
        ({"uwsgi.version": b"2.0.31"}, True),
        ({"SERVER_NAME": "localhost", "wsgi.version": (1, 0)}, False),
    ],
)
def test_a_server_is_told_from_a_test_client(environ: dict[str, object], served: bool) -> None:
    assert served is is_served(environ)
