"""A key that cannot be read stops its own job, says so, and stops no other."""

from __future__ import annotations

from typing import Any

import pytest

from jobrunner.job import JobDefinition
from jobrunner.run import Outcome
from jobrunner.store.answers import Status

from .fleet import NOON, Fleet, ask, job


@pytest.mark.parametrize(
    "value",
    [
        "",
        "yesterday",
        "1700000000.5",
        "1.7e9",
        "0x65",
        "nan",
        "inf",
        "17 00",
        " 1700000000",
        "1700000000\n",
        "+1700000000",
        "--1",
        "1_700_000_000",
        "9" * 21,
        "9" * 400,
        "\u0661\u0667",
    ],
)
def test_a_last_start_that_is_no_whole_number_is_corrupt_and_quoted(
    fleet: Fleet, purge: JobDefinition, value: str
) -> None:
    fleet.client.set(purge.keys.sync_key, value)

    answer = fleet.look(purge)

    assert Status.CORRUPT == answer.status
    assert f"{purge.keys.sync_key} = {value}" == answer.problem
    assert value == fleet.client.get(purge.keys.sync_key)


@pytest.mark.parametrize("value", [b"\xff\xfe", b"17\x0000"])
def test_bytes_that_are_no_text_are_corrupt(
    fleet: Fleet, purge: JobDefinition, value: bytes
) -> None:
    fleet.client.set(purge.keys.sync_key, value)

    answer = fleet.look(purge)

    assert Status.CORRUPT == answer.status
    assert answer.problem.startswith(f"{purge.keys.sync_key} = ")


@pytest.mark.parametrize(
    ("value", "last_ms"),
    [
        ("0", 999),
        ("-5", -4001),
        ("007", 7999),
        # Beyond any date it keeps its digits, and is simply far in the future or the past.
        ("999999999999", 999_999_999_999_999),
        ("99999999999999999999", 999_999_999_999_999),
        ("-9999999999999999999", -999_999_999_998_001),
    ],
)
def test_a_whole_number_is_a_last_start_however_odd(
    fleet: Fleet, purge: JobDefinition, value: str, last_ms: int
) -> None:
    fleet.client.set(purge.keys.sync_key, value)

    first = fleet.look(purge)

    assert Status.CHANGED == first.status
    assert last_ms == first.known.last_ms
    assert Status.CHANGED != fleet.look(purge, last_ms).status


def wrong_type(fleet: Fleet, key: str) -> None:
    fleet.client.delete(key)
    fleet.client.rpush(key, "not", "mine")


def assert_wrong_type(key: str, problem: str) -> None:
    assert problem.startswith(f"{key}: ")
    assert "WRONGTYPE" in problem


@pytest.mark.parametrize("kind", ["sync_key", "state"])
def test_a_key_of_a_wrong_type_stops_its_own_job_alone(fleet: Fleet, kind: str) -> None:
    jobs = [job("before"), job("broken"), job("after")]
    key = getattr(jobs[1].keys, kind)
    wrong_type(fleet, key)

    answers = fleet.one.claim([ask(j, f"run-{j.name}") for j in jobs])

    assert [Status.CLAIMED, Status.CORRUPT, Status.CLAIMED] == [a.status for a in answers]
    assert_wrong_type(key, answers[1].problem)
    assert ["not", "mine"] == fleet.client.lrange(key, 0, -1)


def test_a_lease_of_a_wrong_type_stops_its_own_job_alone(fleet: Fleet) -> None:
    broken, sound = job("broken"), job("sound")
    fleet.claimed(broken, "run-1")
    wrong_type(fleet, broken.keys.lease)

    corrupt, claimed = fleet.two.claim([ask(broken, "run-2", NOON), ask(sound, "run-3")])

    assert Status.CORRUPT == corrupt.status
    assert_wrong_type(broken.keys.lease, corrupt.problem)
    assert Status.CLAIMED == claimed.status


def test_a_history_of_a_wrong_type_is_reported_and_hinders_no_run(fleet: Fleet) -> None:
    broken, sound = job("broken"), job("sound")
    fleet.claimed(broken, "run-1")
    fleet.claimed(sound, "run-2")
    wrong_type(fleet, broken.keys.history)

    first = fleet.finish(broken, "run-1")
    second = fleet.finish(sound, "run-2")

    assert "finished" == first.status
    assert_wrong_type(broken.keys.history, first.problem)
    assert first.known.running is None
    assert ("finished", "") == (second.status, second.problem)


def test_an_abandoned_run_over_a_history_of_a_wrong_type_is_reported_once(
    fleet: Fleet, purge: JobDefinition
) -> None:
    fleet.claimed(purge, "run-1")
    fleet.lease_ends(purge)
    wrong_type(fleet, purge.keys.history)

    first = fleet.look(purge, NOON)

    assert (Status.CORRUPT, "run-1") == (first.status, first.abandoned)
    assert_wrong_type(purge.keys.history, first.problem)
    assert Status.EARLY == fleet.look(purge, NOON).status


@pytest.mark.parametrize("kind", ["sync_key", "state", "lease", "history"])
def test_the_other_scripts_go_on_with_the_others(fleet: Fleet, kind: str) -> None:
    jobs = [job("before"), job("broken"), job("after")]
    runs = [(j, f"run-{j.name}") for j in jobs]
    for definition, run_id in runs:
        fleet.claimed(definition, run_id)
    wrong_type(fleet, getattr(jobs[1].keys, kind))

    renewed = fleet.one.renew(runs)
    finished = [fleet.finish(definition, run_id).status for definition, run_id in runs]

    assert (True, True) == (renewed[0], renewed[2])
    assert ("finished", "finished") == (finished[0], finished[2])


@pytest.mark.parametrize("kind", ["sync_key", "state", "lease", "history"])
def test_a_give_back_goes_on_with_the_others(fleet: Fleet, kind: str) -> None:
    jobs = [job("before"), job("broken"), job("after")]
    runs = [(j, f"run-{j.name}") for j in jobs]
    for definition, run_id in runs:
        fleet.claimed(definition, run_id)
    wrong_type(fleet, getattr(jobs[1].keys, kind))

    given_back = fleet.one.give_back(runs)

    assert (True, True) == (given_back[0], given_back[2])
    assert not fleet.client.exists(jobs[0].keys.sync_key, jobs[2].keys.sync_key)


def test_a_run_whose_key_became_corrupt_ends_as_any_other(
    fleet: Fleet, purge: JobDefinition
) -> None:
    fleet.claimed(purge, "run-1")
    fleet.client.set(purge.keys.sync_key, "yesterday")

    answer = fleet.finish(purge, "run-1", Outcome.FAILED, "ValueError: x")

    assert "finished" == answer.status
    (entry,) = fleet.one.history(purge, 10)
    assert (Outcome.FAILED, NOON / 1000) == (entry.outcome, entry.started_at)
    assert not fleet.client.exists(purge.keys.lease)
    assert Status.CORRUPT == fleet.look(purge).status


def test_mended_by_an_operator_it_runs_again(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.client.set(purge.keys.sync_key, "yesterday")
    assert Status.CORRUPT == fleet.look(purge).status
    fleet.client.delete(purge.keys.sync_key)

    assert Status.CLAIMED == fleet.claim(purge, "run-1").status


@pytest.mark.parametrize(
    "fields",
    [
        {"last_ms": "soon"},
        {"first_seen_ms": "soon"},
        {"token": "many"},
        {"due_ms": "soon"},
        {"runs": "many"},
        {"count_succeeded": "many", "abandoned_in_row": "many"},
    ],
)
def test_a_state_field_that_is_no_number_counts_as_missing(
    fleet: Fleet, fields: dict[str, Any]
) -> None:
    broken, sound = job("broken"), job("sound")
    fleet.client.hset(broken.keys.state, mapping=fields)

    answers = fleet.one.claim([ask(broken, "run-1"), ask(sound, "run-2")])

    assert [Status.CLAIMED, Status.CLAIMED] == [a.status for a in answers]
    assert "finished" == fleet.finish(broken, "run-1").status
