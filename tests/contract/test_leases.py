"""Leases: kept by renewal, made anew while still owned, and found when nobody keeps them."""

from __future__ import annotations

from jobrunner.job import JobDefinition
from jobrunner.run import Outcome
from jobrunner.store.answers import Status
from jobrunner.store.redis import MAX_BATCH
from tests.support.wait import wait_for

from .fleet import MINUTE, NOON, Fleet, ask, job


def test_a_renewal_lengthens_the_lease_to_its_full_length(
    fleet: Fleet, purge: JobDefinition
) -> None:
    fleet.claimed(purge, "run-1")
    fleet.client.pexpire(purge.keys.lease, 5000)

    assert fleet.renew(purge, "run-1")

    assert 5000 < fleet.client.pttl(purge.keys.lease) <= 30_000
    assert "run-1" == fleet.client.get(purge.keys.lease)


def test_a_renewal_touches_the_lease_alone(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.claimed(purge, "run-1")
    before = fleet.stored(purge)

    assert [True, True] == [fleet.renew(purge, "run-1"), fleet.renew(purge, "run-1")]

    assert before == fleet.stored(purge)


def test_a_lease_that_ended_is_made_anew_while_nobody_has_noticed(
    fleet: Fleet, purge: JobDefinition
) -> None:
    fleet.claimed(purge, "run-1")
    fleet.lease_ends(purge)

    assert fleet.renew(purge, "run-1")

    assert "run-1" == fleet.client.get(purge.keys.lease)
    assert 0 < fleet.client.pttl(purge.keys.lease) <= 30_000
    assert Status.HELD == fleet.look(purge, NOON).status


def test_an_abandoned_run_s_lease_is_not_renewed(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.claimed(purge, "run-1")
    fleet.lease_ends(purge)
    fleet.look(purge, NOON)

    assert not fleet.renew(purge, "run-1")

    assert not fleet.client.exists(purge.keys.lease)


def test_a_superseded_run_does_not_renew_its_successor_s_lease(
    fleet: Fleet, purge: JobDefinition
) -> None:
    fleet.claimed(purge, "run-1")
    fleet.lease_ends(purge)
    fleet.now_ms = NOON + MINUTE + 1
    fleet.claimed(purge, "run-2", NOON)
    fleet.client.pexpire(purge.keys.lease, 5000)

    assert not fleet.renew(purge, "run-1")

    assert "run-2" == fleet.client.get(purge.keys.lease)
    assert 0 < fleet.client.pttl(purge.keys.lease) <= 5000


def test_a_finished_run_s_lease_is_not_made_anew(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.claimed(purge, "run-1")
    fleet.finish(purge, "run-1")

    assert not fleet.renew(purge, "run-1")
    assert not fleet.client.exists(purge.keys.lease)


def test_a_run_that_redis_knows_nothing_of_is_told_so(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.claimed(purge, "run-1")
    fleet.client.flushdb()

    assert not fleet.renew(purge, "run-1")
    assert [] == fleet.client.keys("*purge*")


def test_a_batch_is_renewed_each_run_by_its_own_right(fleet: Fleet) -> None:
    jobs = [job(f"job-{number}") for number in range(MAX_BATCH)]
    fleet.one.claim([ask(j, f"run-{j.name}") for j in jobs[1:]])

    renewed = fleet.one.renew([(j, f"run-{j.name}") for j in jobs])

    assert [False] + [True] * (MAX_BATCH - 1) == renewed


def test_the_first_look_after_the_lease_s_end_records_the_run_as_abandoned(
    fleet: Fleet, purge: JobDefinition
) -> None:
    token, _ = fleet.claimed(purge, "run-1")
    fleet.lease_ends(purge)
    fleet.now_ms = NOON + 31_000  # not due yet: the death is noticed all the same

    answer = fleet.look(purge, NOON)

    assert ("run-1", None) == (answer.abandoned, answer.known.running)
    (entry,) = fleet.one.history(purge, 10)
    assert ("run-1", token, "one") == (entry.run_id, entry.token, entry.instance)
    assert (NOON / 1000, NOON / 1000 + 31) == (entry.started_at, entry.finished_at)
    assert (Outcome.ABANDONED, None) == (entry.outcome, entry.error)
    assert fleet.look(purge, NOON).abandoned is None
    assert 1 == len(fleet.one.history(purge, 10))
    assert NOON // 1000 == int(fleet.client.get(purge.keys.sync_key))


def test_a_lease_key_that_names_somebody_else_is_not_the_run_s_lease(
    fleet: Fleet, purge: JobDefinition
) -> None:
    fleet.claimed(purge, "run-1")
    fleet.client.set(purge.keys.lease, "an operator's own")

    assert "run-1" == fleet.look(purge, NOON).abandoned


def test_abandoned_runs_are_counted_in_a_row_until_one_succeeds(
    fleet: Fleet, purge: JobDefinition
) -> None:
    last_ms = None
    for number in range(3):
        fleet.now_ms = NOON + number * 10 * MINUTE
        _, last_ms = fleet.claimed(purge, f"run-{number}", last_ms)
        fleet.lease_ends(purge)
    fleet.now_ms = NOON + 30 * MINUTE
    fleet.claimed(purge, "run-3", last_ms)
    assert "3" == fleet.client.hget(purge.keys.state, "abandoned_in_row")

    fleet.finish(purge, "run-3")

    state = fleet.client.hgetall(purge.keys.state)
    assert "abandoned_in_row" not in state
    assert ("3", "1") == (state["count_abandoned"], state["count_succeeded"])


def test_redis_itself_ends_a_lease_that_nobody_renews(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.now_ms = None
    short = fleet.store("short", lease_ms=100)
    (claimed,) = short.claim([ask(purge, "run-1")])
    last_ms = claimed.known.last_ms
    assert last_ms is not None

    answer = wait_for(
        lambda: next((a for a in [fleet.look(purge, last_ms)] if a.abandoned), None),
        message="the end of the lease",
    )

    assert "run-1" == answer.abandoned
    (entry,) = fleet.one.history(purge, 10)
    # Redis may reckon the lease's end from a moment just before the start that it told.
    assert 0.09 <= entry.finished_at - entry.started_at


def test_every_answer_says_who_runs_and_how_much_of_the_lease_is_left(
    fleet: Fleet, purge: JobDefinition
) -> None:
    fleet.claimed(purge, "run-1")
    fleet.client.pexpire(purge.keys.lease, 5000)
    fleet.now_ms = NOON + 10 * MINUTE

    for answer in (
        fleet.claim(purge, "run-2"),  # changed
        fleet.claim(purge, "run-2", NOON),  # held
        fleet.look(purge, NOON),  # held
        fleet.finish(purge, "run-0"),  # gone
    ):
        assert (NOON, "run-1") == (answer.known.last_ms, answer.known.running)
        assert 0 < answer.known.lease_left_ms <= 5000
    after = fleet.finish(purge, "run-1").known
    assert (NOON, None, 0) == (after.last_ms, after.running, after.lease_left_ms)
