"""The commands that tell the fleet something: trigger, pause, resume, reset, cancel."""

from __future__ import annotations

from datetime import datetime, timedelta

import click

from . import words
from .group import Problem, command, job_name, state
from .reports import end_with
from .screen import say


@command("trigger")
@job_name
@click.option("--wait", is_flag=True, help="Wait until the run has ended, and tell how.")
@click.option("--queue", is_flag=True, help="If the job runs now, run it again after that.")
@click.option(
    "--timeout", type=words.Duration(), help="How long --wait waits, such as 90s or 10m.  [no end]"
)
def trigger(name: str, wait: bool, queue: bool, timeout: float | None) -> None:
    """Ask the fleet for a run of a job now.

    Due or not. One of the instances takes it.
    """
    if timeout is not None and not wait:
        raise click.UsageError("--timeout says how long --wait waits: give both.")
    app = state()
    answer = app.trigger(name, wait=wait, queue=queue, timeout=timeout)
    if answer is None:
        raise Problem(
            f"the run of {name!r} that was asked for has not ended within "
            f"{words.duration(timeout)}; it is still asked for, or runs: flask jobs show {name!r}"
        )
    if isinstance(answer, str):
        say(f"Asked for a run of {name!r}: request {answer}.")
        return
    end_with(answer)


@command("pause")
@job_name
@click.option("--until", type=words.Moment(), help="When it ends, such as '2026-12-24 18:00'.")
@click.option("--for", "seconds", type=words.Duration(), help="How long, such as 2h or 1d.")
@click.option("--reason", default="", help="Shown to everybody who looks.")
def pause(
    name: str, until: datetime | timedelta | None, seconds: float | None, reason: str
) -> None:
    """Start no run of a job for a while.

    Until it is resumed, unless told otherwise; what runs goes on.
    """
    if until is not None and seconds is not None:
        raise click.UsageError("--until and --for both say when the pause ends: give one.")
    app = state()
    app.registry.get(name)
    where, end = words.zone(app.settings.timezone), None
    if until is not None or seconds is not None:
        now = app.instance().store.now_ms() / 1000
        end = now + (seconds or 0) if until is None else words.unix_of(until, now, where)
        if end <= now:
            raise click.UsageError(f"--until {words.moment(end, where)} is past.")
    app.pause(name, end, reason)
    say(f"Paused {name!r} until {'it is resumed' if end is None else words.moment(end, where)}.")


@command("resume")
@job_name
def resume(name: str) -> None:
    """End a pause, and a quarantine."""
    state().resume(name)
    say(f"Resumed {name!r}.")


@command("reset")
@job_name
def reset(name: str) -> None:
    """Make a job due at once.

    As if it had never run; a key that cannot be read is made anew.
    """
    state().reset(name)
    say(f"Reset {name!r}: it is due now.")


@command("cancel")
@job_name
def cancel(name: str) -> None:
    """Interrupt a job's run, wherever it is."""
    run_id = state().cancel(name)
    say(f"Told run {run_id} of {name!r} to end.")
