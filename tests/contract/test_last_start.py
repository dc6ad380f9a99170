"""The last start: `k` in whole seconds for everybody, refined to the millisecond for the fleet."""

from __future__ import annotations

import pytest

from jobrunner import every
from jobrunner.job import JobDefinition
from jobrunner.store.answers import Status

from .fleet import MINUTE, NOON, Fleet, job


def test_the_fleet_s_own_start_counts_to_the_millisecond(
    fleet: Fleet, purge: JobDefinition
) -> None:
    fleet.now_ms = NOON + 250
    fleet.claimed(purge, "run-1")
    fleet.finish(purge, "run-1")

    assert str(NOON // 1000) == fleet.client.get(purge.keys.sync_key)
    assert NOON + 250 == fleet.known(purge).last_ms


def test_a_key_that_another_service_wrote_counts_as_the_end_of_its_second(
    fleet: Fleet, purge: JobDefinition
) -> None:
    fleet.client.set(purge.keys.sync_key, NOON // 1000)

    assert NOON + 999 == fleet.known(purge).last_ms
    assert NOON + 999 == fleet.known(purge, NOON + 999).last_ms


def test_another_service_that_writes_another_second_wins(
    fleet: Fleet, purge: JobDefinition
) -> None:
    fleet.now_ms = NOON + 250
    fleet.claimed(purge, "run-1")
    fleet.finish(purge, "run-1")

    for second in (NOON // 1000 + 1, NOON // 1000 - 1):
        fleet.client.set(purge.keys.sync_key, second)
        assert second * 1000 + 999 == fleet.known(purge).last_ms

    # Naming the same second again it is refined again: it may be what was written at the start.
    fleet.client.set(purge.keys.sync_key, NOON // 1000)
    assert NOON + 250 == fleet.known(purge).last_ms


@pytest.mark.parametrize(
    ("milliseconds", "written_second", "first_due_ms"),
    [
        # now > last_run + interval, in whole seconds: `5 > 0 + 5` is false until the second is over
        (5000, 0, 6000),
        (1000, 0, 2000),
        (1, 0, 1001),
        (60_000, 7, 68_000),
        (1500, 0, 2500),
    ],
)
def test_after_another_service_s_start_the_job_is_due_by_the_whole_second_rule(
    fleet: Fleet, milliseconds: int, written_second: int, first_due_ms: int
) -> None:
    purge = job("purge", every(milliseconds=milliseconds))
    fleet.client.set(purge.keys.sync_key, NOON // 1000 + written_second)
    last_ms = NOON + written_second * 1000 + 999

    fleet.now_ms = NOON + first_due_ms - 1
    assert Status.EARLY == fleet.claim(purge, "run-1", last_ms).status
    fleet.now_ms = NOON + first_due_ms
    assert Status.CLAIMED == fleet.claim(purge, "run-1", last_ms).status


@pytest.mark.parametrize("milliseconds", [1, 250, 999, 1000, 1001, 5000])
def test_after_a_start_of_the_fleet_the_job_is_due_a_millisecond_after_its_interval(
    fleet: Fleet, milliseconds: int
) -> None:
    purge = job("purge", every(milliseconds=milliseconds))
    fleet.now_ms = started = NOON + 777
    fleet.claimed(purge, "run-1")
    fleet.finish(purge, "run-1")

    fleet.now_ms = started + milliseconds
    assert Status.EARLY == fleet.claim(purge, "run-2", started).status
    fleet.now_ms = started + milliseconds + 1
    assert Status.CLAIMED == fleet.claim(purge, "run-2", started).status


def test_a_start_of_the_fleet_is_what_another_service_reads(
    fleet: Fleet, purge: JobDefinition
) -> None:
    fleet.client.set(purge.keys.sync_key, NOON // 1000 - 3600)
    fleet.now_ms = NOON + 999
    fleet.claimed(purge, "run-1", (NOON // 1000 - 3600) * 1000 + 999)

    assert str(NOON // 1000) == fleet.client.get(purge.keys.sync_key)


def test_a_key_set_during_a_run_is_the_last_start_and_the_run_goes_on(
    fleet: Fleet, purge: JobDefinition
) -> None:
    fleet.claimed(purge, "run-1")
    fleet.client.set(purge.keys.sync_key, NOON // 1000 + 30)

    answer = fleet.finish(purge, "run-1")

    assert ("finished", NOON + 30_999) == (answer.status, answer.known.last_ms)
    (entry,) = fleet.one.history(purge, 10)
    assert NOON / 1000 == entry.started_at
    assert str(NOON // 1000 + 30) == fleet.client.get(purge.keys.sync_key)


def test_a_last_start_in_the_future_is_told_as_it_is(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.client.set(purge.keys.sync_key, NOON // 1000 + 3600)

    answer = fleet.look(purge, NOON + 3_600_999)

    assert (Status.EARLY, NOON + 3_600_999) == (answer.status, answer.known.last_ms)
    fleet.now_ms = NOON + 3_600_999 + MINUTE + 1
    assert Status.DUE == fleet.look(purge, NOON + 3_600_999).status
