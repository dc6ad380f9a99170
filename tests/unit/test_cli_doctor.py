"""`flask jobs doctor`: over a server that is well, one that is away, and databases."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from jobrunner import JobRunner, StoreError, every
from jobrunner.database.fence_table import create_fence_table
from jobrunner.engine import doctor as engine_doctor
from jobrunner.faces.cli import upkeep

from .shells import NASTY, Shell, instance, raw_controls


@pytest.fixture
def well(shell: Shell) -> Shell:
    shell.answers("instances", [instance()])
    return shell


def by_check(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["check"]: one for one in found}


def test_each_finding_with_its_level_and_a_mend_under_it(well: Shell) -> None:
    lines = well("doctor").output.splitlines()

    assert ["CHECK", "SEEN"] == lines[0].split()
    at = next(i for i, line in enumerate(lines) if " instances " in line)
    assert ["ok", "instances"] == lines[at].split()[:2]
    at = next(i for i, line in enumerate(lines) if " Redis " in line[:20])
    # fakeredis does not say which it is.
    assert ["warn", "Redis", "could", "not", "look:"] == lines[at].split()[:5]
    assert lines[at + 1].strip().startswith("mend: ")
    assert lines[-1].endswith(" warn")


def test_json_is_a_list_of_findings(well: Shell) -> None:
    found = by_check(well.json("doctor"))

    assert {"ok", "warn"} >= {one["level"] for one in found.values()}
    assert {"check", "level", "seen", "mend"} == set(found["Redis"])
    assert ("ok", "this user may do all that is needed") == (
        found["rights"]["level"],
        found["rights"]["seen"],
    )
    assert ("ok", "1 of 'shop', on web-1") == (
        found["instances"]["level"],
        found["instances"]["seen"],
    )
    assert "2 are registered" == found["jobs"]["seen"]
    assert "none: ctx.session() is not to be had" == found["database"]["seen"]


def test_it_leaves_nothing_in_redis(well: Shell) -> None:
    well("doctor")

    assert [] == well.redis.keys("*")


def test_a_key_that_cannot_be_read_is_a_failure(well: Shell) -> None:
    well.redis.set("{shop}:job:report", NASTY)

    output = well("doctor", code=1).output

    assert "job 'report' does not run" in output
    assert [] == raw_controls(output)
    assert "1 fail" in output.splitlines()[-1]
    assert "fail" == by_check(well.json("doctor", code=1))["keys"]["level"]


@pytest.mark.parametrize("rich", [True, False])
def test_on_a_terminal(well: Shell, rich: bool) -> None:
    well.redis.set("{shop}:job:report", NASTY)
    well.on_a_terminal(rich=rich)

    output = well("doctor", code=1).output

    assert rich is ("─" in output)
    assert "\x1b]0;" not in output


def test_redis_away_is_one_failure_and_the_rest_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shell = Shell(monkeypatch)
    app = Flask("shop")
    JobRunner(app, redis_url="redis://127.0.0.1:1/0", redis_timeout=0.2)
    shell.app, shell.state = app, app.extensions["jobrunner"]
    shell.answers("instances", StoreError("never asked"))

    found = by_check(shell.json("doctor", code=1))

    assert ("fail", True) == (
        found["Redis"]["level"],
        "Redis at 127.0.0.1:1 does not answer" in found["Redis"]["seen"],
    )
    assert {"Redis", "gevent", "database", "jobs", "fences"} >= set(found)
    assert "warn" == found["jobs"]["level"]


def test_redis_that_goes_meanwhile_is_a_failure(well: Shell) -> None:
    well.answers("status", StoreError("it went"))

    found = by_check(well.json("doctor", code=1))

    assert "it went while it was looked at: it went" == found["Redis"]["seen"]
    assert "gevent" in found


class TestFencedJobs:
    @pytest.fixture
    def fenced(self, well: Shell, tmp_path: Any) -> Shell:
        app = Flask("shop")
        app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path / 'shop.sqlite'}"
        runner = JobRunner(app, redis=well.runner.redis)

        @runner.job(every(minutes=1), fenced=True)
        def pays(ctx: object) -> None: ...

        well.app, well.state = app, app.extensions["jobrunner"]
        well.answers("instances", [instance()])
        return well

    def test_without_their_table_are_a_failure_with_both_mends(self, fenced: Shell) -> None:
        found = by_check(fenced.json("doctor", code=1))

        assert "fail" == found["fences"]["level"]
        assert "pays" in found["fences"]["seen"]
        assert "flask jobs init-db" in found["fences"]["mend"]
        assert "jobrunner.fence_table(metadata)" in found["fences"]["mend"]
        assert ("warn", True) == (
            found["database"]["level"],
            "SQLite" in found["database"]["seen"],
        )

    def test_with_it_are_well(self, fenced: Shell) -> None:
        fenced("init-db")

        assert "ok" == by_check(fenced.json("doctor"))["fences"]["level"]
        with fenced.state.context.session_factory() as session:
            create_fence_table(session.connection())  # it was the right one: nothing changes
            session.get_bind().dispose()

    def test_a_database_that_cannot_be_opened_is_a_failure(self, fenced: Shell) -> None:
        fenced.app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:////nowhere/at/all.sqlite"

        found = by_check(fenced.json("doctor", code=1))

        assert "unable to open database file" in found["database"]["seen"]

    @pytest.mark.parametrize("url", ["nonsense", "postgresql+nodriver://x"])
    def test_a_url_that_makes_no_session_is_a_failure(self, fenced: Shell, url: str) -> None:
        fenced.app.config["SQLALCHEMY_DATABASE_URI"] = url

        found = by_check(fenced.json("doctor", code=1))

        assert "no session can be made" in found["database"]["seen"]

    def test_without_a_database_are_a_failure(self, fenced: Shell) -> None:
        fenced.state.context.session_factory = None

        found = by_check(fenced.json("doctor", code=1))

        assert "fenced jobs and no database: pays" == found["database"]["seen"]


def test_psycopg2_is_asked_whether_it_lets_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Extensions:
        callback: Any = None

        def get_wait_callback(self) -> Any:
            return self.callback

    monkeypatch.setitem(__import__("sys").modules, "psycopg2.extensions", Extensions())
    assert engine_doctor.wait_callback_is_set() is False
    monkeypatch.setattr(Extensions, "callback", print)
    assert engine_doctor.wait_callback_is_set() is True
    monkeypatch.delitem(__import__("sys").modules, "psycopg2.extensions")
    assert engine_doctor.wait_callback_is_set() is False


def test_the_clock_that_redis_is_compared_with_is_this_machine_s(
    well: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = upkeep.time.time
    monkeypatch.setattr(engine_doctor, "_PINGS", 1)
    patient = upkeep._patient(well.state)
    late = engine_doctor.Patient(
        **{
            name: getattr(patient, name)
            for name in patient.__dataclass_fields__
            if name not in ("wall",)
        },
        wall=lambda: real() - 3600,
    )

    (clocks,) = (one for one in engine_doctor.examine(late) if one.check == "clocks")

    assert "ahead of ours" in clocks.seen
    assert "warn" == clocks.level
