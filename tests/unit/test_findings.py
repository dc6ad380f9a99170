"""What the doctor makes of what it saw."""

from __future__ import annotations

from typing import Any

import pytest

from jobrunner.database.survey import Survey
from jobrunner.engine import findings
from jobrunner.engine.findings import Finding, Level
from jobrunner.settings import Settings
from jobrunner.store.probes import Refused

from .shells import instance, status

NOT_TOLD = Refused("NOPERM no INFO for you")


def levels(found: Any) -> list[Level]:
    return [one.level for one in found]


def assert_mended(finding: Finding, level: Level, *told: str) -> None:
    """What is not in order says what was seen, and how to mend it."""
    assert level is finding.level
    assert finding.mend
    for word in told:
        assert word in f"{finding.seen}; {finding.mend}"


class TestVersion:
    @pytest.mark.parametrize(
        ("server", "seen"),
        [
            ({"redis_version": "7.0.15"}, "Redis 7.0.15"),
            ({"redis_version": "6.2.0"}, "Redis 6.2.0"),
            ({"redis_version": "10.0"}, "Redis 10.0"),
            (
                {"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "8.1.0"},
                "Valkey 8.1.0",
            ),
        ],
    )
    def test_new_enough(self, server: dict[str, str], seen: str) -> None:
        finding = findings.version("Redis at x", server)

        assert Finding("Redis", Level.OK, f"Redis at x answers: {seen}") == finding

    @pytest.mark.parametrize("number", ["6.1.9", "5.0", "6.0.16"])
    def test_too_old(self, number: str) -> None:
        assert_mended(findings.version("x", {"redis_version": number}), Level.FAIL, number, "6.2")

    def test_not_told(self) -> None:
        assert_mended(findings.version("x", NOT_TOLD), Level.WARN, "could not look", "+info")


class TestForm:
    @pytest.mark.parametrize(
        ("where", "kind"),
        [
            ("Redis at x:1", "one server"),
            ("the Redis Cluster at x:1", "a Cluster"),
            ("the master of 'm', of the Sentinels at x:1", "the master that Sentinels name"),
        ],
    )
    def test_what_it_is(self, where: str, kind: str) -> None:
        mode = "cluster" if "Cluster" in where else "standalone"

        (finding,) = findings.form(where, {"redis_mode": mode}, {"role": "master"})

        assert Finding("form", Level.OK, kind) == finding

    @pytest.mark.parametrize(
        ("server", "replication", "told"),
        [
            ({"redis_mode": "cluster"}, {"role": "master"}, "redis+cluster://"),
            ({"redis_mode": "sentinel"}, NOT_TOLD, "redis+sentinel://"),
            ({"server_mode": "cluster"}, {"role": "master"}, "redis+cluster://"),
            ({"server_mode": "sentinel"}, NOT_TOLD, "redis+sentinel://"),
            ({"redis_mode": "standalone"}, {"role": "slave"}, "redis+sentinel://"),
        ],
    )
    def test_spoken_to_as_what_it_is_not(self, server: Any, replication: Any, told: str) -> None:
        (finding,) = findings.form("Redis at x", server, replication)

        assert_mended(finding, Level.FAIL, told)


def test_latency() -> None:
    assert "p50 2.0 ms, max 4.0 ms" in findings.latency([0.001, 0.002, 0.004], 2.0).seen
    assert Level.OK is findings.latency([0.001, 0.5], 2.0).level
    assert_mended(findings.latency([0.001, 0.6], 2.0), Level.WARN, "600.0 ms", "JOBRUNNER_LEASE")


def test_clocks() -> None:
    assert Finding("clocks", Level.OK, "Redis's is 20 ms behind ours") == findings.clocks(-0.02)
    assert_mended(findings.clocks(3600.0), Level.WARN, "3600.0 s ahead of ours", "NTP")
    assert_mended(findings.clocks(-2), Level.WARN, "2.0 s behind")
    assert_mended(findings.clocks(NOT_TOLD), Level.WARN, "could not look")


def test_rights() -> None:
    assert Level.OK is findings.rights([], []).level
    assert_mended(findings.rights(["xadd", "wait"], []), Level.FAIL, "xadd, wait", "+xadd +wait")
    assert_mended(findings.rights([], ["K", "L"]), Level.FAIL, "'K' and 1 more", "docs/redis.md")


def test_eviction() -> None:
    assert Level.OK is findings.eviction({"maxmemory_policy": "noeviction", "maxmemory": 5}).level
    free = findings.eviction({"maxmemory_policy": "allkeys-lru", "maxmemory": 0})
    assert (Level.OK, "allkeys-lru, and no limit of memory") == (free.level, free.seen)
    lru = findings.eviction({"maxmemory_policy": "allkeys-lru", "maxmemory": 100})
    assert_mended(lru, Level.WARN, "allkeys-lru", "noeviction")
    assert_mended(findings.eviction(NOT_TOLD), Level.WARN, "could not look")


@pytest.mark.parametrize(
    ("told", "save", "level", "word"),
    [
        ({"aof_enabled": 1}, "", Level.OK, "append-only"),
        ({"aof_enabled": 1, "aof_last_write_status": "err"}, "", Level.FAIL, "disk"),
        ({"aof_enabled": 0}, "3600 1", Level.OK, "3600 1"),
        ({"aof_enabled": 0, "rdb_last_bgsave_status": "err"}, "60 1", Level.FAIL, "failed"),
        ({"aof_enabled": 0}, "", Level.WARN, "appendonly yes"),
        ({"aof_enabled": 0}, NOT_TOLD, Level.WARN, "could not look"),
        ({"aof_enabled": 1}, NOT_TOLD, Level.OK, "append-only"),
        (NOT_TOLD, "", Level.WARN, "could not look"),
    ],
)
def test_persistence(told: Any, save: Any, level: Level, word: str) -> None:
    finding = findings.persistence(told, save)

    assert level is finding.level
    assert word in f"{finding.seen} {finding.mend}"


def test_replicas() -> None:
    two = {
        "role": "master",
        "slave0": {"ip": "a", "state": "online"},
        "slave1": {"ip": "b", "state": "wait_bgsave"},
        "slave_repl_offset": 5,
    }
    assert Level.OK is findings.replicas(two, 1).level
    assert_mended(findings.replicas(two, 2), Level.FAIL, "1 online", "nothing runs")
    assert "a failover may forget" in findings.replicas(two, 0).seen
    assert Level.OK is findings.replicas({"role": "master"}, 0).level
    assert_mended(findings.replicas(NOT_TOLD, 1), Level.WARN, "could not look")


def test_keys_that_cannot_be_read_are_named_each() -> None:
    broken = [status("a", problem="x"), status("b"), status("c", problem="y")]

    found = list(findings.readable(broken))

    assert [Level.FAIL, Level.FAIL] == levels(found)
    assert_mended(found[0], Level.FAIL, "'a'", "x", "flask jobs reset 'a'")
    assert [Level.OK] == levels(findings.readable([status("b")]))


def test_instances() -> None:
    alive = [instance(), instance(id="two", host="web-2"), instance(id="three")]
    assert "3 of 'shop', on web-1, web-2" == findings.instances(alive, "shop").seen
    assert_mended(findings.instances([], "shop"), Level.WARN, "'shop'", "flask jobs serve")


def test_the_process() -> None:
    assert [Level.OK, Level.OK, Level.OK] == levels(
        [
            findings.process(True, "auto"),
            findings.process(False, "auto"),
            findings.process(False, "thread"),
        ]
    )
    assert_mended(findings.process(False, "greenlet"), Level.WARN, "gunicorn -k gevent")


class TestTheDatabase:
    @pytest.mark.parametrize(
        ("dialect", "driver", "callback", "level", "word"),
        [
            ("postgresql", "psycopg", False, Level.OK, ""),
            ("postgresql", "psycopg2", True, Level.OK, ""),
            ("postgresql", "psycopg2", False, Level.WARN, "psycogreen"),
            ("mysql", "pymysql", False, Level.OK, ""),
            ("mysql", "mysqldb", False, Level.WARN, "PyMySQL"),
            ("sqlite", "pysqlite", False, Level.WARN, "PostgreSQL"),
        ],
    )
    def test_its_driver(
        self, dialect: str, driver: str, callback: bool, level: Level, word: str
    ) -> None:
        finding = findings.driver(Survey("db://x", dialect, driver, True, None), callback)

        assert level is finding.level
        assert "db://x" in finding.seen
        assert word in str(finding.mend)

    def test_one_that_does_not_answer(self) -> None:
        away = Survey("db://x", "sqlite", "pysqlite", None, "OperationalError: away")

        assert_mended(findings.driver(away, False), Level.FAIL, "db://x", "away")
        assert Level.WARN is findings.fences(away, ["a"]).level

    def test_the_table_of_fenced_jobs(self) -> None:
        there = Survey("db://x", "sqlite", "pysqlite", True, None)
        missing = there._replace(fence_table=False)

        assert Level.OK is findings.fences(there, ["a"]).level
        assert Level.OK is findings.fences(missing, []).level
        assert_mended(
            findings.fences(missing, ["a", "b"]),
            Level.FAIL,
            "a, b",
            "flask jobs init-db",
            "fence_table(metadata)",
        )


def test_the_jobs() -> None:
    on = Settings(namespace="shop")
    off = Settings(namespace="shop", enabled=False)

    assert [Level.OK] == levels(findings.jobs(on, 2))
    (none,) = findings.jobs(on, 0)
    assert_mended(none, Level.WARN, "none")
    (switched_off,) = findings.jobs(off, 2)
    assert_mended(switched_off, Level.WARN, "JOBRUNNER_ENABLED")
