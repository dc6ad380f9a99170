"""A request that arrives again, as after a lost answer, asks for no second run."""

from __future__ import annotations

from jobrunner.job import JobDefinition
from jobrunner.store.answers import OF_REQUEST, Controlled, Status

from .fleet import LONG_AGO, MINUTE, NOON, Fleet, ask


def trigger(fleet: Fleet, purge: JobDefinition, request: str) -> Controlled:
    return fleet.two.control(purge, "trigger", request, "1")


def claim_for_request(fleet: Fleet, purge: JobDefinition, run_id: str) -> Status:
    version = fleet.known(purge).version
    question = ask(purge, run_id)._replace(
        computed_from=version, early_until_ms=LONG_AGO, due_ms=OF_REQUEST
    )
    (answer,) = fleet.one.claim([question])
    return answer.status


def test_one_that_waits_is_the_same_still(fleet: Fleet, purge: JobDefinition) -> None:
    assert Controlled("done", "request-1", "") == trigger(fleet, purge, "request-1")
    assert Controlled("done", "request-1", "") == trigger(fleet, purge, "request-1")

    assert "request-1" == fleet.known(purge).request


def test_one_that_is_being_answered_waits_no_more(fleet: Fleet, purge: JobDefinition) -> None:
    trigger(fleet, purge, "request-1")
    assert Status.CLAIMED == claim_for_request(fleet, purge, "run-1")

    assert Controlled("done", "request-1", "") == trigger(fleet, purge, "request-1")

    assert "" == fleet.known(purge).request


def test_one_that_was_answered_is_found_in_the_history(fleet: Fleet, purge: JobDefinition) -> None:
    for number in (1, 2):
        trigger(fleet, purge, f"request-{number}")
        assert Status.CLAIMED == claim_for_request(fleet, purge, f"run-{number}")
        fleet.finish(purge, f"run-{number}")
        fleet.now_ms = NOON + number * MINUTE

    assert Controlled("done", "request-1", "") == trigger(fleet, purge, "request-1")

    assert "" == fleet.known(purge).request
    assert Status.CHANGED == claim_for_request(fleet, purge, "run-3")


def test_one_that_was_given_back_waits_again(fleet: Fleet, purge: JobDefinition) -> None:
    trigger(fleet, purge, "request-1")
    assert Status.CLAIMED == claim_for_request(fleet, purge, "run-1")
    assert fleet.give_back(purge, "run-1")

    trigger(fleet, purge, "request-1")

    assert Status.CLAIMED == claim_for_request(fleet, purge, "run-2")


def test_another_is_accepted_while_one_is_being_answered(
    fleet: Fleet, purge: JobDefinition
) -> None:
    trigger(fleet, purge, "request-1")
    assert Status.CLAIMED == claim_for_request(fleet, purge, "run-1")

    assert Controlled("done", "request-2", "") == trigger(fleet, purge, "request-2")

    assert "request-2" == fleet.known(purge).request


def test_a_history_that_cannot_be_read_stops_no_request(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.client.set(purge.keys.history, "no stream")

    assert Controlled("done", "request-1", "") == trigger(fleet, purge, "request-1")
