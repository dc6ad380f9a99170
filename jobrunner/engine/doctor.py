"""Is all in order? Looks at Redis, this process, the database and the jobs; what was seen means
what `findings` says.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..database.sessions import SessionFactory
from ..database.survey import survey
from ..errors import StoreError
from ..keys import FleetKeys
from ..registry import Registry
from ..settings import Settings
from ..status import InstanceStatus, JobStatus
from ..store.probes import Probes
from ..store.servers import Servers
from . import findings
from .findings import Finding, Level

_PINGS = 20


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined. `patched`: whether gevent has patched this process."""

    settings: Settings
    registry: Registry
    servers: Servers
    sessions: SessionFactory | None
    patched: bool
    trust: Callable[[], float]
    #: This machine's Unix seconds.
    wall: Callable[[], float]
    status: Callable[[], list[JobStatus]]
    instances: Callable[[], list[InstanceStatus]]


def examine(patient: Patient) -> list[Finding]:
    """Look at everything. What cannot be looked at is a finding too."""
    return [
        *_redis(patient),
        findings.process(patient.patched, patient.settings.mode),
        *_database(patient),
        *findings.jobs(patient.settings, len(patient.registry)),
    ]


def _redis(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    fleet = FleetKeys.of(settings.namespace)
    # The tag alone: a key of the namespace, which its rule of rights allows.
    probes = Probes(patient.servers, f"{{{settings.namespace}}}", patient.trust)
    try:
        taken = probes.pings(_PINGS)
    except StoreError as error:
        yield Finding(
            "Redis",
            Level.FAIL,
            f"{probes.where} does not answer: {error}",
            "start it, or set JOBRUNNER_REDIS_URL to where it is",
        )
        return
    try:
        server, replication = probes.info("server"), probes.info("replication")
        yield findings.version(probes.where, server)
        yield from findings.form(probes.where, server, replication)
        yield from _slots(patient, probes, fleet)
        yield findings.latency(taken, settings.call_timeout)
        yield findings.clocks(probes.clock_ahead(patient.wall))
        refused = probes.refused_commands(wait=settings.min_replicas > 0)
        keys = probes.refused_keys([definition.keys for definition in patient.registry])
        yield findings.rights(refused, keys)
        yield findings.eviction(probes.info("memory"))
        yield findings.persistence(probes.info("persistence"), probes.config("save"))
        yield findings.replicas(replication, settings.min_replicas)
        yield from findings.readable(patient.status())
        yield findings.instances(patient.instances(), settings.namespace)
    except StoreError as error:
        yield Finding("Redis", Level.FAIL, f"it went while it was looked at: {error}", "try again")


def _slots(patient: Patient, probes: Probes, fleet: FleetKeys) -> Iterator[Finding]:
    """On a Cluster: do the slots of all jobs answer?"""
    if "Cluster" not in probes.where:
        return
    keys = [fleet.jobs, *(definition.keys.sync_key for definition in patient.registry)]
    silent = probes.silent(keys)
    number = len({patient.servers.slot(key) for key in keys})
    if silent:
        key, why = next(iter(silent.items()))
        yield Finding(
            "slots",
            Level.FAIL,
            f"{len(silent)} of {len(keys)} keys lie where nobody answers, such as {key!r}: {why}",
            "bring the missing nodes back; the jobs there wait",
        )
    else:
        yield Finding("slots", Level.OK, f"the keys lie in {number} slots, and all answer")


def _database(patient: Patient) -> Iterator[Finding]:
    fenced = [
        definition.name
        for definition in patient.registry
        if (
            patient.settings.fenced
            if definition.policies.fenced is None
            else definition.policies.fenced
        )
    ]
    if patient.sessions is None:
        if fenced:
            yield Finding(
                "database",
                Level.FAIL,
                f"fenced jobs and no database: {', '.join(fenced)}",
                "set SQLALCHEMY_DATABASE_URI, or hand over JobContext(session_factory=…)",
            )
        else:
            yield Finding("database", Level.OK, "none: ctx.session() is not to be had")
        return
    try:
        seen = survey(patient.sessions)
    except Exception as error:  # whatever a session factory of the user's raises
        yield Finding(
            "database",
            Level.FAIL,
            f"no session can be made: {type(error).__name__}: {error}",
            "look at SQLALCHEMY_DATABASE_URI, or at the session_factory that was handed over",
        )
        return
    yield findings.driver(seen, wait_callback_is_set())
    yield findings.fences(seen, fenced)


def wait_callback_is_set() -> bool:
    """Whether psycopg2, if it is here, lets greenlets go on while it waits."""
    psycopg2 = sys.modules.get("psycopg2.extensions")
    return psycopg2 is not None and psycopg2.get_wait_callback() is not None
