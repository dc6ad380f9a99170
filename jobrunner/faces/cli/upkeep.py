"""The commands that look after things: doctor, prune."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from ...clock import trust_seconds
from ...engine import doctor as engine_doctor
from ...engine import prune as engine_prune
from ...engine.findings import Finding, Level
from ...engine.prune import Candidate
from ...hosting.loops import is_patched
from ...store.leftovers import Leftovers
from .as_json import show_json
from .group import RefusedProblem, as_json, command, state
from .screen import say, show_table

if TYPE_CHECKING:
    from ...application import AppState


@command("doctor")
@as_json
def doctor(as_json: bool) -> None:
    """Look for what is wrong, and its mend.

    In Redis, the database, this process and the jobs. Exit code 1 if anything is a failure.
    """
    found = engine_doctor.examine(_patient(state()))
    if as_json:
        show_json(found)
    else:
        show_table(("", "CHECK", "SEEN"), _lines(found), coloured=("",))
    counts = {level: sum(one.level is level for one in found) for level in Level}
    if not as_json:
        say(", ".join(f"{number} {level}" for level, number in counts.items() if number))
    if counts[Level.FAIL]:
        raise click.exceptions.Exit(1)


@command("prune")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def prune(dry_run: bool, yes: bool) -> None:
    """Remove what former jobs left in Redis.

    Of those that are announced there and not registered here. A job stays
    that is running, or that a live instance announced or ran.
    """
    app = state()
    leftovers = Leftovers(app.instance().store.servers, app.settings.namespace)
    live = {one.id for one in app.instances()}
    found = engine_prune.candidates(leftovers, app.registry, app.settings.namespace, live)
    going = [one for one in found if one.refusal is None]
    _tell(found, len(live), app.settings.namespace)
    if dry_run or not going:
        return
    if not yes:
        click.confirm(f"Remove {_jobs(len(going))}?", abort=True)
    refused = False
    for one in going:
        why = engine_prune.remove(leftovers, one)
        refused |= why is not None
        say(f"{one.name!r}: {'removed' if why is None else f'stays: {why}'}")
    if refused:
        raise RefusedProblem("not everything could be removed")


def _patient(app: AppState) -> engine_doctor.Patient:
    return engine_doctor.Patient(
        settings=app.settings,
        registry=app.registry,
        servers=app.instance().store.servers,
        sessions=app.context.session_factory,
        patched=is_patched(),
        trust=trust_seconds,
        wall=time.time,
        status=app.status,
        instances=app.instances,
    )


def _lines(found: list[Finding]) -> list[tuple[str, str, str]]:
    lines = []
    for one in found:
        lines.append((str(one.level), one.check, one.seen))
        if one.mend is not None:
            lines.append(("", "", f"mend: {one.mend}"))
    return lines


def _tell(found: list[Candidate], live: int, namespace: str) -> None:
    if not found:
        say(f"Every job that is announced in {namespace!r} is registered here.")
        return
    rows = [(one.name, one.announced.origin or "-", _fate(one)) for one in found]
    show_table(("JOB", "FROM", "WHAT BECOMES OF IT"), rows)
    if live and any(one.refusal is None for one in found):
        say(
            f"{live} instances live. That one of them registers such a job is known only if it "
            f"announced or ran it last."
        )


def _fate(one: Candidate) -> str:
    if one.refusal is not None:
        return f"stays: {one.refusal}"
    if one.keys is not None:
        return f"goes, with {one.keys.sync_key} and what belongs to it"
    return f"goes; {one.note}"


def _jobs(number: int) -> str:
    return "one job" if number == 1 else f"{number} jobs"
