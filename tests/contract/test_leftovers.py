"""What former jobs left: read, and removed, unless somebody runs them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobrunner.job import JobDefinition
from jobrunner.keys import JobKeys
from jobrunner.run import Outcome
from jobrunner.store.answers import Ending
from jobrunner.store.leftovers import Leftovers

from .fleet import NAMESPACE, NOTHING_KNOWN, Fleet, job

JOBS = f"{{{NAMESPACE}}}:jobs"


@pytest.fixture
def leftovers(fleet: Fleet) -> Leftovers:
    return Leftovers(fleet.one.servers, NAMESPACE)


def ran(fleet: Fleet, definition: JobDefinition) -> JobKeys:
    """A job that was announced by instance one, and ran on it."""
    fleet.one.announce([definition])
    fleet.claimed(definition, "run-1")
    fleet.one.finish([Ending(definition, "run-1", NOTHING_KNOWN, Outcome.SUCCEEDED, "", 0)])
    assert 3 == fleet.client.exists(*definition.keys.all())
    return definition.keys


class TestAnnounced:
    def test_what_stands_there(self, fleet: Fleet, leftovers: Leftovers) -> None:
        fleet.two.announce([job("report", sync_key="REPORT"), job("purge")])

        purge, report = leftovers.announced()

        assert ("purge", JobKeys.of("{shop}:job:purge"), ("two",)) == (
            purge.name,
            purge.keys,
            purge.instances,
        )
        assert ("report", JobKeys.of("REPORT")) == (report.name, report.keys)
        assert "tests.contract.fleet.nothing" == report.origin

    @pytest.mark.parametrize(
        "raw",
        [
            b"\xff\xfe",
            b"",
            b"null",
            b"[1]",
            b"[" * 100_000,
            b'{"origin": "x"}',
            b'{"sync_key": 5}',
            b'{"sync_key": "a\\nb"}',
            b'{"sync_key": "{}x"}',
        ],
    )
    def test_what_cannot_be_read_has_no_keys(
        self, fleet: Fleet, leftovers: Leftovers, raw: bytes
    ) -> None:
        fleet.client.hset(JOBS, b"old\xff", raw)

        (one,) = leftovers.announced()
        assert one.keys is None
        leftovers.forget(one)

        assert not fleet.client.exists(JOBS)

    def test_one_that_an_older_release_wrote(self, fleet: Fleet, leftovers: Leftovers) -> None:
        fleet.client.hset(JOBS, "old", json.dumps({"sync_key": "OLD", "origin": "x"}))

        (one,) = leftovers.announced()

        assert (JobKeys.of("OLD"), ()) == (one.keys, one.instances)

    def test_the_last_announcers_are_known(self, fleet: Fleet, leftovers: Leftovers) -> None:
        for instance in ("one", *(f"i-{number}" for number in range(7)), "one"):
            fleet.store(instance).announce([job("old")])
        (one,) = leftovers.announced()
        assert (*(f"i-{number}" for number in range(7)), "one") == one.instances

        fleet.two.announce([job("old")])
        (one,) = leftovers.announced()
        assert ("i-1", "one", "two") == (one.instances[0], *one.instances[-2:])

    def test_nothing(self, leftovers: Leftovers) -> None:
        assert [] == leftovers.announced()


class TestRunners:
    def test_who_ran_it_and_who_runs_it(self, fleet: Fleet, leftovers: Leftovers) -> None:
        old, new = job("old"), job("new", sync_key="NEW")
        ran(fleet, old)
        fleet.claimed(new, "run-2")

        assert [{"one"}, {"one"}] == leftovers.runners([old.keys, new.keys])
        assert [set()] == leftovers.runners([job("never").keys])
        assert [] == leftovers.runners([])

    def test_keys_of_a_wrong_type_tell_nothing(self, fleet: Fleet, leftovers: Leftovers) -> None:
        keys = job("old").keys
        fleet.client.set(keys.history, "x")
        fleet.client.set(keys.state, "x")

        assert [set()] == leftovers.runners([keys])


class TestRemoving:
    def test_all_keys_go(self, fleet: Fleet, leftovers: Leftovers) -> None:
        keys = ran(fleet, job("old", sync_key="OLD"))
        others = ran(fleet, job("other", sync_key="OTHER"))

        assert leftovers.remove_keys(keys) is None
        assert 0 == fleet.client.exists(*keys.all())
        assert 3 == fleet.client.exists(*others.all())
        assert leftovers.remove_keys(keys) is None

    def test_not_while_it_runs(self, fleet: Fleet, leftovers: Leftovers) -> None:
        old = job("old")
        ran(fleet, old)
        fleet.now_ms = (fleet.now_ms or 0) + 3_600_000
        fleet.claimed(old, "run-2", int(fleet.client.get(old.keys.sync_key)) * 1000)
        before = dump(fleet, old.keys)

        assert "held" == leftovers.remove_keys(old.keys)
        assert before == dump(fleet, old.keys)

        fleet.client.delete(old.keys.lease)
        assert leftovers.remove_keys(old.keys) is None

    def test_not_while_a_lease_stands_there_without_its_run(
        self, fleet: Fleet, leftovers: Leftovers
    ) -> None:
        keys = ran(fleet, job("old"))
        fleet.client.set(keys.lease, "run-9", px=30_000)

        assert "held" == leftovers.remove_keys(keys)
        assert 4 == fleet.client.exists(*keys.all())

    @pytest.mark.parametrize("which", ["sync_key", "state", "history"])
    def test_not_what_is_no_job_s(self, fleet: Fleet, leftovers: Leftovers, which: str) -> None:
        keys = ran(fleet, job("old"))
        fleet.client.delete(getattr(keys, which))
        fleet.client.sadd(getattr(keys, which), "a set of somebody's")

        assert getattr(keys, which) in str(leftovers.remove_keys(keys))
        assert 3 == fleet.client.exists(*keys.all())

    def test_not_a_value_that_is_no_last_start(self, fleet: Fleet, leftovers: Leftovers) -> None:
        keys = job("old", sync_key="sessions").keys
        fleet.client.set("sessions", "somebody's")

        assert "sessions = somebody's" == leftovers.remove_keys(keys)
        assert "somebody's" == fleet.client.get("sessions")


def dump(fleet: Fleet, keys: JobKeys) -> list[Any]:
    return [
        fleet.client.get(keys.sync_key),
        fleet.client.hgetall(keys.state),
        fleet.client.get(keys.lease),
        fleet.client.xrange(keys.history),
    ]
