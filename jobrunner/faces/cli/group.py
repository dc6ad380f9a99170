"""The group `flask jobs`, and what its commands share: the application's state, how errors are
told, the completion of job names.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click
from flask import current_app
from flask.cli import AppGroup, ScriptInfo

from ...errors import JobRunnerError, RefusedError, UnknownJobError
from .log import LogLines, shown_by
from .screen import say

if TYPE_CHECKING:
    from ...application import AppState

P = ParamSpec("P")
R = TypeVar("R")

jobs = AppGroup("jobs", help="Show, run and control the recurring jobs of this application.")


class Problem(click.ClickException):
    """Ends the command with a message and exit code 1: it failed."""

    exit_code = 1

    def __init__(self, message: object) -> None:
        super().__init__(str(message))

    def show(self, file: Any = None) -> None:
        say(f"Error: {self.message}", err=True)


class WrongUseProblem(Problem):
    """Exit code 2, as click's own errors of use."""

    exit_code = 2


class RefusedProblem(Problem):
    """Exit code 3: it cannot be had now."""

    exit_code = 3


def command(
    name: str, log: logging.Handler | None = None
) -> Callable[[Callable[P, R]], click.Command]:
    """A command of the group, whose errors of the library end with their exit code. `log` shows
    what is logged meanwhile, where nobody else does.
    """

    def decorate(function: Callable[P, R]) -> click.Command:
        @wraps(function)
        def told(*args: P.args, **kwargs: P.kwargs) -> R:
            with telling_errors(), shown_by(log or LogLines()):
                return function(*args, **kwargs)

        made: click.Command = jobs.command(name)(told)
        return made

    return decorate


@contextlib.contextmanager
def telling_errors() -> Iterator[None]:
    """Turn an error of the library into a message and its exit code."""
    try:
        yield
    except UnknownJobError as error:
        raise WrongUseProblem(error) from None
    except RefusedError as error:
        raise RefusedProblem(error) from None
    except JobRunnerError as error:
        raise Problem(error) from None


def state() -> AppState:
    """The runner's state of the current application."""
    found: AppState | None = current_app.extensions.get("jobrunner")
    if found is None:
        raise Problem(
            f"the application {current_app.name!r} has no job runner. "
            f"Did you forget to call JobRunner(app) or runner.init_app(app)?"
        )
    return found


def complete_name(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The registered names that begin so. For a shell that completes: Redis is not asked, and
    whatever goes wrong or is written while the application loads, the shell sees nothing of it.
    """
    silence = io.StringIO()
    logging.disable(logging.CRITICAL)
    try:
        # The context says that this is a command, which starts no runner.
        with ctx, contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
            app = ctx.ensure_object(ScriptInfo).load_app()
            names = app.extensions["jobrunner"].registry.names()
    except (Exception, SystemExit):
        return []
    finally:
        logging.disable(logging.NOTSET)
    return [name for name in names if name.startswith(incomplete)]


#: The argument of the commands about one job.
job_name = click.argument("name", shell_complete=complete_name)

as_json = click.option("--json", "as_json", is_flag=True, help="Plain JSON, for programs.")
