"""The commands that work in this process: run, serve, init-db."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ...run import Progress
from . import words
from .group import Problem, command, job_name, state
from .log import LogLines
from .reports import end_with
from .safe import safe
from .screen import console, drawn_text, draws, say

if TYPE_CHECKING:
    from rich.progress import Task
    from rich.text import Text


@command("run", LogLines(tracebacks=False))  # its end tells the traceback
@job_name
def run(name: str) -> None:
    """Run a job in this process now.

    Due or not, and paused or not; under a lease, as everywhere.
    Ctrl-C interrupts the run, records that, and releases the job.
    """
    app = state()
    app.registry.get(name)
    try:
        with _drawn_progress(name) if draws() else _told_progress() as on_progress:
            entry = app.run_here(name, on_progress)
    except KeyboardInterrupt:
        raise Problem(f"the run of {name!r} was interrupted, and the job is released") from None
    end_with(entry)


@command("serve")
def serve() -> None:
    """Run the jobs here, without a web server.

    Until TERM or INT.
    """
    state().run_jobs()


@command("init-db")
def init_db() -> None:
    """Create the table that fenced jobs need.

    In the database of the jobs; a second time changes nothing.
    """
    say(f"The table jobrunner_fence is in {state().create_fence_table()}.")


@contextlib.contextmanager
def _told_progress() -> Iterator[Callable[[Progress], None]]:
    """Progress as lines: one whenever another tenth is done."""
    tenths = -1

    def tell(progress: Progress) -> None:
        nonlocal tenths
        share = words.fraction(progress)
        if share is not None and int(share * 10) > tenths:
            tenths = int(share * 10)
            say(safe(words.progress(progress)))

    yield tell


@contextlib.contextmanager
def _drawn_progress(name: str) -> Iterator[Callable[[Progress], None]]:
    """Progress as a bar, which only pulses while the job does not tell how far it is."""
    from rich.progress import BarColumn, ProgressColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    class Far(ProgressColumn):
        """What the job told, as it is: no markup."""

        def render(self, task: Task) -> Text:
            return drawn_text(task.fields["far"])

    class Name(ProgressColumn):
        def render(self, task: Task) -> Text:
            return drawn_text(task.description)

    columns = (Name(), BarColumn(), Far(), TimeElapsedColumn())
    with Bars(*columns, console=console()) as bars:
        task = bars.add_task(name, total=None, far="running")

        def tell(progress: Progress) -> None:
            share = words.fraction(progress)
            bars.update(
                task,
                total=None if share is None else 1.0,
                completed=share or 0.0,
                far=words.progress(progress),
            )

        yield tell
