"""The fencing token: larger in every newer run, to the last digit."""

from __future__ import annotations

from jobrunner.job import JobDefinition
from jobrunner.store.answers import Status

from .fleet import MINUTE, Fleet


def micros(fleet: Fleet) -> int:
    seconds, micros = fleet.client.time()
    return int(seconds) * 1_000_000 + int(micros)


def next_token(fleet: Fleet, purge: JobDefinition, run_id: str) -> int:
    """The token of a new run, an hour later, which has ended."""
    assert fleet.now_ms is not None
    fleet.now_ms += 60 * MINUTE
    last_ms = fleet.known(purge).last_ms
    token, _ = fleet.claimed(purge, run_id, last_ms)
    assert str(token) == fleet.client.hget(purge.keys.state, "token")
    fleet.finish(purge, run_id)
    (entry,) = fleet.one.history(purge, 1)
    assert (run_id, token) == (entry.run_id, entry.token)
    return token


def test_the_token_is_redis_s_time_whatever_the_injected_clock(
    fleet: Fleet, purge: JobDefinition
) -> None:
    before = micros(fleet)

    token = next_token(fleet, purge, "run-1")

    assert before <= token <= micros(fleet)


def test_each_token_is_larger_than_the_one_before(fleet: Fleet, purge: JobDefinition) -> None:
    tokens = [next_token(fleet, purge, f"run-{number}") for number in range(5)]

    assert sorted(set(tokens)) == tokens


def test_it_grows_by_one_where_the_newest_is_ahead_of_the_time(
    fleet: Fleet, purge: JobDefinition
) -> None:
    # A thousand years ahead, and still every digit counts.
    ahead = 5_000_000_000_000_001
    fleet.client.hset(purge.keys.state, "token", ahead)

    assert [ahead + 1, ahead + 2, ahead + 3] == [
        next_token(fleet, purge, f"run-{number}") for number in range(3)
    ]


def test_it_grows_though_redis_lost_the_newest(fleet: Fleet, purge: JobDefinition) -> None:
    before = next_token(fleet, purge, "run-1")
    fleet.client.delete(*purge.keys.all())

    assert before < next_token(fleet, purge, "run-2")


def test_a_stored_token_that_no_number_holds_counts_as_lost(
    fleet: Fleet, purge: JobDefinition
) -> None:
    for stored in ("inf", "nan", "1e300", "9" * 30, "0x10", ""):
        fleet.client.hset(purge.keys.state, "token", stored)
        before = micros(fleet)
        assert before <= next_token(fleet, purge, f"run-after-{stored}") <= micros(fleet)


def test_a_claim_that_was_given_back_keeps_its_token_from_being_used_again(
    fleet: Fleet, purge: JobDefinition
) -> None:
    ahead = 5_000_000_000_000_001
    fleet.client.hset(purge.keys.state, "token", ahead)
    token, _ = fleet.claimed(purge, "run-1")
    fleet.give_back(purge, "run-1")

    assert ahead + 1 == token
    assert ahead + 2 == next_token(fleet, purge, "run-2")


def test_a_claim_without_success_uses_no_token(fleet: Fleet, purge: JobDefinition) -> None:
    token, start = fleet.claimed(purge, "run-1")

    assert Status.HELD == fleet.claim(purge, "run-2", start).status
    assert str(token) == fleet.client.hget(purge.keys.state, "token")
