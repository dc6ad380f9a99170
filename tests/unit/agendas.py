"""What the tests of the agenda share."""

from __future__ import annotations

from jobrunner import Schedule, every
from jobrunner.engine.agenda import Agenda, Entry
from jobrunner.job import FunctionJob, JobDefinition
from jobrunner.store.answers import Known

NOON = 1_700_000_000_000
MINUTE = 60_000
CHECK = 1000


def nothing(ctx: object) -> None: ...


def job(name: str, schedule: Schedule | None = None) -> JobDefinition:
    return JobDefinition.of(FunctionJob(nothing, schedule or every(minutes=1), name=name), "shop")


def known(
    last_ms: int | None,
    running: str | None = None,
    lease_left_ms: int = 0,
    first_seen_ms: int | None = NOON,
) -> Known:
    return Known(last_ms, first_seen_ms, running, lease_left_ms)


def agenda_of(*definitions: JobDefinition) -> Agenda:
    agenda = Agenda(CHECK)
    agenda.sync(definitions, {})
    return agenda


def learnt(definition: JobDefinition, what: Known, now_ms: int = NOON) -> tuple[Agenda, Entry]:
    """An agenda of one job that Redis has told us about, and its entry."""
    agenda = agenda_of(definition)
    entry = agenda.entry(definition.name)
    assert entry is not None
    agenda.learn(entry, what, now_ms)
    return agenda, entry


def names(entries: list[Entry]) -> list[str]:
    return [entry.definition.name for entry in entries]


def take(
    agenda: Agenda, now_ms: int, slots: int = 100, limit: int = 500
) -> tuple[list[str], list[str]]:
    claims, looks = agenda.take_due(now_ms, slots, limit)
    return names(claims), names(looks)
