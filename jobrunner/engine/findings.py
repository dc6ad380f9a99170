"""The findings of the doctor: pure functions from what was seen to what it means, and its mend."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ..database.survey import Survey
from ..settings import Settings
from ..status import InstanceStatus, JobStatus
from ..store.probes import Refused
from ..store.trouble import eviction_problem

#: The oldest Redis that has every command of the library.
OLDEST_REDIS = (6, 2)

#: A difference of clocks that a person should know of, in seconds.
_CLOCK_SECONDS = 1.0


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what was seen, and the mend (None: nothing is to be done)."""

    check: str
    level: Level
    seen: str
    mend: str | None = None


def version(where: str, server: Mapping[str, Any] | Refused) -> Finding:
    if isinstance(server, Refused):
        return _could_not_look("Redis", f"{where} answers; its version is not told", server)
    number = str(server.get("redis_version", ""))
    name, shown = "Redis", number
    if server.get("server_name") == "valkey" or "valkey_version" in server:
        name, shown = "Valkey", str(server.get("valkey_version", number))
    seen = f"{where} answers: {name} {shown}"
    if _version(number) and _version(number) < OLDEST_REDIS:
        oldest = ".".join(map(str, OLDEST_REDIS))
        return Finding("Redis", Level.FAIL, seen, f"use Redis {oldest} or newer, or Valkey")
    return Finding("Redis", Level.OK, seen)


def form(
    where: str, server: Mapping[str, Any] | Refused, replication: Mapping[str, Any] | Refused
) -> Iterator[Finding]:
    """Is it what the URL says?"""
    mode = "" if isinstance(server, Refused) else _mode(server)
    if mode == "cluster" and "Cluster" not in where:
        yield Finding(
            "form",
            Level.FAIL,
            "it is a node of a Cluster, and is spoken to as if it held everything",
            "write JOBRUNNER_REDIS_URL as redis+cluster://host:port,…",
        )
    elif mode == "sentinel":
        yield Finding(
            "form",
            Level.FAIL,
            "it is a Sentinel, which holds no keys",
            "write JOBRUNNER_REDIS_URL as redis+sentinel://host:port,…/NAME",
        )
    elif not isinstance(replication, Refused) and replication.get("role") in ("slave", "replica"):
        yield Finding(
            "form",
            Level.FAIL,
            "it is a replica, and takes no writes",
            "name the master, or let Sentinels name it (redis+sentinel://)",
        )
    else:
        kind = "one server"
        if "Cluster" in where:
            kind = "a Cluster"
        elif "Sentinels" in where:
            kind = "the master that Sentinels name"
        yield Finding("form", Level.OK, kind)


def _mode(server: Mapping[str, Any]) -> str:
    """cluster, sentinel or standalone; Valkey calls the line `server_mode`."""
    return str(server.get("server_mode") or server.get("redis_mode", ""))


def latency(taken: Sequence[float], call_timeout: float) -> Finding:
    longest = max(taken)
    seen = (
        f"{len(taken)} PINGs: p50 {statistics.median(taken) * 1000:.1f} ms, "
        f"max {longest * 1000:.1f} ms"
    )
    if longest > call_timeout / 4:
        return Finding(
            "latency",
            Level.WARN,
            f"{seen}; a call may take {call_timeout:g} s",
            "bring Redis nearer, or raise JOBRUNNER_LEASE and JOBRUNNER_REDIS_TIMEOUT",
        )
    return Finding("latency", Level.OK, seen)


def clocks(ahead: float | Refused) -> Finding:
    if isinstance(ahead, Refused):
        return _could_not_look("clocks", "its time is not told", ahead)
    side = "ahead of" if ahead > 0 else "behind"
    if abs(ahead) > _CLOCK_SECONDS:
        return Finding(
            "clocks",
            Level.WARN,
            f"Redis's clock is {abs(ahead):.1f} s {side} ours; Redis's decides what is due",
            "keep both machines' clocks by NTP: cron jobs run by Redis's",
        )
    return Finding("clocks", Level.OK, f"Redis's is {abs(ahead) * 1000:.0f} ms {side} ours")


def rights(commands: Sequence[str], keys: Sequence[str]) -> Finding:
    if commands:
        return Finding(
            "rights",
            Level.FAIL,
            f"this user may not: {', '.join(commands)}",
            "grant " + " ".join(f"+{name}" for name in commands) + " (docs/redis.md has the rule)",
        )
    if keys:
        more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
        return Finding(
            "rights",
            Level.FAIL,
            f"this user may not write to {keys[0]!r}{more}",
            "grant these keys: docs/redis.md has the rule",
        )
    return Finding("rights", Level.OK, "this user may do all that is needed")


def eviction(memory: Mapping[str, Any] | Refused) -> Finding:
    if isinstance(memory, Refused):
        return _could_not_look("eviction", "its maxmemory-policy is not told", memory)
    problem = eviction_problem(dict(memory))
    if problem:
        return Finding("eviction", Level.WARN, problem, "set maxmemory-policy noeviction")
    policy = memory.get("maxmemory_policy", "noeviction")
    limit = int(memory.get("maxmemory", 0) or 0)
    return Finding("eviction", Level.OK, policy if limit else f"{policy}, and no limit of memory")


def persistence(told: Mapping[str, Any] | Refused, save: str | Refused) -> Finding:
    check = "persistence"
    if isinstance(told, Refused):
        return _could_not_look(check, "whether it keeps its data is not told", told)
    aof = str(told.get("aof_enabled")) == "1"
    if aof and told.get("aof_last_write_status", "ok") != "ok":
        seen = "it cannot write its append-only file, and takes no writes"
        return Finding(check, Level.FAIL, seen, "look after its disk")
    if aof:
        return Finding(check, Level.OK, "append-only file")
    if isinstance(save, Refused):
        return _could_not_look(check, "no append-only file; whether it snapshots", save)
    if not save:
        return Finding(
            check,
            Level.WARN,
            "none: a restart forgets the last starts, and every job by interval is due at once",
            "set appendonly yes",
        )
    if told.get("rdb_last_bgsave_status", "ok") != "ok":
        seen = "its last snapshot failed; by default it takes no writes then"
        return Finding(check, Level.FAIL, seen, "look after its disk and memory")
    seen = f"snapshots (save {save}): a crash forgets what came after the last one"
    return Finding(check, Level.OK, seen)


def replicas(replication: Mapping[str, Any] | Refused, wanted: int) -> Finding:
    if isinstance(replication, Refused):
        return _could_not_look("replicas", "how many it has is not told", replication)
    told = [
        value
        for name, value in replication.items()
        if name.startswith("slave") and name[5:].isdigit()
    ]
    online = sum("online" in str(value) for value in told)
    seen = f"{online} online, JOBRUNNER_MIN_REPLICAS is {wanted}"
    if online < wanted:
        return Finding(
            "replicas",
            Level.FAIL,
            f"{seen}: every claim is given back, and nothing runs",
            "bring replicas back, or set a smaller JOBRUNNER_MIN_REPLICAS",
        )
    if online and not wanted:
        seen += ": a failover may forget a claim that no replica has yet"
    return Finding("replicas", Level.OK, seen)


def readable(statuses: Sequence[JobStatus]) -> Iterator[Finding]:
    """Can what Redis holds of the jobs be read?"""
    broken = [status for status in statuses if status.problem]
    for status in broken:
        yield Finding(
            "keys",
            Level.FAIL,
            f"job {status.name!r} does not run: {status.problem}",
            f"flask jobs reset {status.name!r}, or set or delete the key that is wrong",
        )
    if not broken:
        yield Finding("keys", Level.OK, f"those of {len(statuses)} jobs can be read")


def instances(alive: Sequence[InstanceStatus], namespace: str) -> Finding:
    if not alive:
        return Finding(
            "instances",
            Level.WARN,
            f"none checks the jobs of {namespace!r} now",
            "start the service, or `flask jobs serve`; do both have the same JOBRUNNER_NAMESPACE "
            "and JOBRUNNER_REDIS_URL?",
        )
    hosts = sorted({one.host for one in alive if one.host})
    on = f", on {', '.join(hosts)}" if hosts else ""
    return Finding("instances", Level.OK, f"{len(alive)} of {namespace!r}{on}")


def process(patched: bool, mode: str) -> Finding:
    if patched:
        return Finding("gevent", Level.OK, "this process is patched: jobs are greenlets")
    if mode == "greenlet":
        return Finding(
            "gevent",
            Level.WARN,
            "JOBRUNNER_MODE is 'greenlet', and this process is not patched: a job that waits "
            "stops everything else in it",
            "serve with gunicorn -k gevent, patch first (gevent.monkey.patch_all()), or leave "
            "JOBRUNNER_MODE at 'auto'",
        )
    return Finding(
        "gevent",
        Level.OK,
        "this process is not patched: jobs here are threads (gunicorn -k gevent patches its own)",
    )


def driver(seen: Survey, wait_callback: bool) -> Finding:
    """Does the database's driver let other greenlets go on while it waits?"""
    if seen.problem:
        return Finding(
            "database",
            Level.FAIL,
            f"{seen.where}: {seen.problem}",
            "start it, or correct SQLALCHEMY_DATABASE_URI",
        )
    if seen.driver == "psycopg2" and not wait_callback:
        return Finding(
            "database",
            Level.WARN,
            f"{seen.where}: under gevent psycopg2 stops the whole worker while it waits",
            "use psycopg 3 (postgresql+psycopg://), or psycogreen.gevent.patch_psycopg()",
        )
    if seen.driver == "mysqldb":
        return Finding(
            "database",
            Level.WARN,
            f"{seen.where}: under gevent mysqlclient stops the whole worker while it waits",
            "use PyMySQL (mysql+pymysql://)",
        )
    if seen.dialect == "sqlite":
        return Finding(
            "database",
            Level.WARN,
            f"{seen.where}: under gevent SQLite stops the whole worker while it waits for a lock",
            "use a server such as PostgreSQL where several workers write",
        )
    return Finding("database", Level.OK, seen.where)


def fences(seen: Survey, fenced: Sequence[str]) -> Finding:
    if not fenced:
        return Finding("fences", Level.OK, "no job is fenced")
    named = ", ".join(fenced)
    if seen.fence_table is None:
        return Finding("fences", Level.WARN, f"could not look for the table that {named} need")
    if not seen.fence_table:
        return Finding(
            "fences",
            Level.FAIL,
            f"the table jobrunner_fence is missing, which these jobs need: {named}",
            "run `flask jobs init-db`, or put jobrunner.fence_table(metadata) beside your models "
            "and migrate",
        )
    return Finding("fences", Level.OK, f"the table is there, for {named}")


def jobs(settings: Settings, number: int) -> Iterator[Finding]:
    if not number:
        yield Finding(
            "jobs",
            Level.WARN,
            "none is registered",
            "import the module of the jobs in the application factory",
        )
    elif not settings.enabled:
        yield Finding(
            "jobs",
            Level.WARN,
            f"{number} are registered, and JOBRUNNER_ENABLED is false here",
            "set it to true where they are to run",
        )
    else:
        yield Finding("jobs", Level.OK, f"{number} are registered")


def _could_not_look(check: str, what: str, refused: Refused) -> Finding:
    return Finding(
        check,
        Level.WARN,
        f"could not look: {what} ({refused.why})",
        "nothing, if you know it to be well; else allow this user +info and +config|get",
    )


def _version(number: str) -> tuple[int, ...]:
    parts = number.split(".")[:2]
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else ()
