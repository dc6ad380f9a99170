"""`flask jobs watch`: a screen that follows the fleet until Ctrl-C."""

from __future__ import annotations

import logging
import time
from datetime import tzinfo
from typing import TYPE_CHECKING, NamedTuple

import click

from ...errors import StoreError
from ...status import JobStatus
from . import words
from .group import command, state
from .screen import (
    console,
    drawn_table,
    drawn_text,
    draws,
    is_terminal,
    lines_free,
    plain_table,
    say,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ...application import AppState

#: Seconds between two looks.
_REFRESH_SECONDS = 1.0

#: The lines that the screen needs beside the jobs.
_FRAME_LINES = 6

_HEAD = ("JOB", "STATE", "LAST RUN", "NEXT DUE", "RUNS", "FAILED", "LAST ERROR")


class View(NamedTuple):
    """What the screen shows at one moment."""

    title: str
    rows: list[tuple[str, ...]]
    #: What does not fit, or went wrong.
    foot: str


@command("watch", logging.NullHandler())  # the foot of the screen says what goes wrong
def watch() -> None:
    """Follow the jobs on a screen.

    It is new each second. Ctrl-C ends it.
    """
    app = state()
    if not is_terminal():
        raise click.UsageError("watch draws on a terminal; for a file or a pipe: list, list --json")
    follow = _follow_drawn if draws() else _follow_plain
    try:
        follow(app)
    except KeyboardInterrupt:
        return


def look(app: AppState, before: View | None, room: int) -> View:
    """What is to be seen now, in `room` lines; when Redis is away, what was before."""
    try:
        statuses = app.status()
        alive = len(app.instances())
        now = app.instance().store.now_ms() / 1000
    except StoreError as error:
        title, rows = (before.title, before.rows) if before else (app.settings.namespace, [])
        return View(title, rows, f"Redis does not answer: {error}")
    return view_of(statuses, app.settings.namespace, alive, now, room, _zone(app))


def view_of(
    statuses: list[JobStatus], namespace: str, alive: int, now: float, room: int, where: tzinfo
) -> View:
    """The screen for these jobs: what needs attention first, then what is due next."""
    ordered = sorted(statuses, key=lambda status: _rank(status, now))
    running = sum(status.running is not None for status in statuses)
    title = (
        f"{namespace}: {len(statuses)} jobs, {running} running, {alive} instances, "
        f"{words.moment(now, where)}"
    )
    hidden = len(ordered) - max(1, room)
    return View(
        title,
        [_row(status, now) for status in ordered[: max(1, room)]],
        f"and {hidden} more" if hidden > 0 else "",
    )


def _rank(status: JobStatus, now: float) -> tuple[int, float, str]:
    if status.running:
        urgency = 0
    elif status.problem or status.overdue_since is not None:
        urgency = 1
    elif status.quarantined_until is not None or status.requested:
        urgency = 2
    else:
        urgency = 3 if status.enabled and not status.paused else 4
    return urgency, now if status.next_due is None else status.next_due, status.name


def _row(status: JobStatus, now: float) -> tuple[str, ...]:
    return (
        status.name,
        words.state_of(status),
        words.from_now(status.last_run, now),
        words.from_now(status.next_due, now),
        str(status.runs),
        str(status.failed + status.timed_out + status.abandoned),
        (status.last_error or "")[:60],
    )


def _zone(app: AppState) -> tzinfo:
    return words.zone(app.settings.timezone)


def _follow_drawn(app: AppState) -> None:
    from rich.live import Live

    on = console()
    view = look(app, None, lines_free() - _FRAME_LINES)
    with Live(_drawn(view), console=on, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(_REFRESH_SECONDS)
            view = look(app, view, lines_free() - _FRAME_LINES)
            live.update(_drawn(view), refresh=True)


def _drawn(view: View) -> RenderableType:
    from rich.console import Group

    table = drawn_table(_HEAD, view.rows, coloured=("STATE",))
    return Group(drawn_text(view.title), table, drawn_text(view.foot or "Ctrl-C ends it"))


def _follow_plain(app: AppState) -> None:
    view: View | None = None
    while True:
        view = look(app, view, lines_free() - _FRAME_LINES)
        click.clear()
        say("\n".join([view.title, "", *plain_table(_HEAD, view.rows), "", view.foot]))
        time.sleep(_REFRESH_SECONDS)
