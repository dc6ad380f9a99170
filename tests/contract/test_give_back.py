"""A give-back undoes a claim whose run never started: the job is as due as before."""

from __future__ import annotations

import pytest

from jobrunner.job import JobDefinition
from jobrunner.run import Outcome
from jobrunner.store.answers import ANY, BY_HAND, Ask, Known, Status

from .controlling import claim, look, ran, trigger
from .fleet import MINUTE, NOON, Fleet, job


@pytest.fixture
def ran_before(fleet: Fleet, purge: JobDefinition) -> JobDefinition:
    """A job that ran at NOON, an hour ago."""
    fleet.claimed(purge, "run-0")
    fleet.finish(purge, "run-0")
    fleet.now_ms = NOON + 60 * MINUTE
    return purge


def without_token(stored: dict[str, object]) -> dict[str, object]:
    """All that is stored but the token, which only grows; and of nobody's run nothing."""
    state: dict[str, str] = stored["state"]  # type: ignore[assignment]
    nobodys = () if state.get("run") else ("run", "instance", "before")
    kept = {k: v for k, v in state.items() if k != "token" and k not in nobodys}
    return {**stored, "state": kept}


def test_a_first_claim_leaves_nothing_but_the_first_sight(
    fleet: Fleet, purge: JobDefinition
) -> None:
    token, _ = fleet.claimed(purge, "run-1")

    assert fleet.give_back(purge, "run-1")

    state = {"first_seen_ms": str(NOON), "token": str(token), "runs": "0"}
    assert {"k": None, "state": state, "lease": None, "history": []} == fleet.stored(purge)


def test_everything_is_as_before(fleet: Fleet, ran_before: JobDefinition) -> None:
    before = without_token(fleet.stored(ran_before))
    fleet.claimed(ran_before, "run-1", NOON)
    assert before != without_token(fleet.stored(ran_before))

    assert fleet.give_back(ran_before, "run-1")

    assert before == without_token(fleet.stored(ran_before))


def test_the_job_is_due_again_at_once_and_for_anybody(
    fleet: Fleet, ran_before: JobDefinition
) -> None:
    due_ms = fleet.claim(ran_before, "run-1", NOON).due_ms
    fleet.give_back(ran_before, "run-1")

    answer = fleet.claim(ran_before, "run-2", NOON, store=fleet.two)

    assert (Status.CLAIMED, due_ms) == (answer.status, answer.due_ms)
    assert NOON + MINUTE == due_ms


def test_a_last_start_of_another_service_is_restored_as_it_was_written(
    fleet: Fleet, purge: JobDefinition
) -> None:
    fleet.client.set(purge.keys.sync_key, "0001699999000")
    fleet.claimed(purge, "run-1", 1_699_999_000_999)

    fleet.give_back(purge, "run-1")

    assert "0001699999000" == fleet.client.get(purge.keys.sync_key)


def test_it_leaves_no_history(fleet: Fleet, ran_before: JobDefinition) -> None:
    fleet.claimed(ran_before, "run-1", NOON)

    fleet.give_back(ran_before, "run-1")

    assert ["run-0"] == [entry.run_id for entry in fleet.one.history(ran_before, 10)]


def test_sent_twice_it_does_nothing_the_second_time(
    fleet: Fleet, ran_before: JobDefinition
) -> None:
    fleet.claimed(ran_before, "run-1", NOON)
    assert fleet.give_back(ran_before, "run-1")
    once = fleet.stored(ran_before)

    assert not fleet.give_back(ran_before, "run-1")

    assert once == fleet.stored(ran_before)


def test_a_second_one_that_comes_late_leaves_the_successor_alone(
    fleet: Fleet, ran_before: JobDefinition
) -> None:
    fleet.claimed(ran_before, "run-1", NOON)
    fleet.give_back(ran_before, "run-1")
    fleet.claimed(ran_before, "run-2", NOON)
    before = fleet.stored(ran_before)

    assert not fleet.give_back(ran_before, "run-1")

    assert before == fleet.stored(ran_before)


def test_a_claim_that_never_arrived_gives_nothing_back(
    fleet: Fleet, ran_before: JobDefinition
) -> None:
    before = fleet.stored(ran_before)

    assert not fleet.give_back(ran_before, "run-that-was-lost")

    assert before == fleet.stored(ran_before)


def test_a_finished_run_is_not_given_back(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.claimed(purge, "run-1")
    fleet.finish(purge, "run-1")
    before = fleet.stored(purge)

    assert not fleet.give_back(purge, "run-1")

    assert before == fleet.stored(purge)


def test_a_key_that_an_operator_set_meanwhile_stays(
    fleet: Fleet, ran_before: JobDefinition
) -> None:
    fleet.claimed(ran_before, "run-1", NOON)
    fleet.client.set(ran_before.keys.sync_key, NOON // 1000 + 1800)

    assert fleet.give_back(ran_before, "run-1")

    assert str(NOON // 1000 + 1800) == fleet.client.get(ran_before.keys.sync_key)
    assert Known(NOON + 1_800_999, NOON, None, 0)[:7] == fleet.known(ran_before)[:7]


def test_a_key_that_an_operator_deleted_meanwhile_stays_deleted(
    fleet: Fleet, ran_before: JobDefinition
) -> None:
    fleet.claimed(ran_before, "run-1", NOON)
    fleet.client.delete(ran_before.keys.sync_key)

    assert fleet.give_back(ran_before, "run-1")

    assert fleet.client.get(ran_before.keys.sync_key) is None
    assert Status.DUE == fleet.look(ran_before).status


def test_the_lease_of_somebody_else_stays(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.claimed(purge, "run-1")
    fleet.client.set(purge.keys.lease, "an operator's own")

    assert fleet.give_back(purge, "run-1")

    assert "an operator's own" == fleet.client.get(purge.keys.lease)


def test_an_abandoned_run_that_the_claim_recorded_stays_recorded(
    fleet: Fleet, purge: JobDefinition
) -> None:
    fleet.claimed(purge, "run-1")
    fleet.lease_ends(purge)
    fleet.now_ms = NOON + 60 * MINUTE
    assert "run-1" == fleet.claim(purge, "run-2", NOON).abandoned
    fleet.claimed(purge, "run-2", NOON)

    assert fleet.give_back(purge, "run-2")

    (entry,) = fleet.one.history(purge, 10)
    assert ("run-1", Outcome.ABANDONED) == (entry.run_id, entry.outcome)
    state = fleet.client.hgetall(purge.keys.state)
    assert ("1", "1") == (state["count_abandoned"], state["abandoned_in_row"])
    assert "run" not in state


def test_many_are_given_back_in_one_call_each_by_its_own_right(fleet: Fleet) -> None:
    jobs = [job(f"job-{number}") for number in range(4)]
    for definition in jobs[:3]:
        fleet.claimed(definition, "run-1")
    fleet.finish(jobs[1], "run-1")

    assert [True, False, True, False] == fleet.one.give_back([(j, "run-1") for j in jobs])
    assert [0, 1, 0, 0] == [fleet.client.exists(j.keys.sync_key) for j in jobs]


def test_a_state_that_lost_what_the_claim_replaced_stops_no_other_job(fleet: Fleet) -> None:
    broken, sound = job("broken"), job("sound")
    fleet.claimed(broken, "run-1")
    fleet.claimed(sound, "run-1")
    for field in ("before_k", "before_last_ms", "before_due_ms", "last_ms"):
        fleet.client.hdel(broken.keys.state, field)

    assert [True, True] == fleet.one.give_back([(broken, "run-1"), (sound, "run-1")])
    assert not fleet.client.exists(sound.keys.sync_key)


def test_a_claim_that_arrives_after_several_give_backs_is_not_granted(
    fleet: Fleet, purge: JobDefinition
) -> None:
    """Several instances of a deploy give back what they never heard of, all at once."""
    runs = [f"run-{number}" for number in range(1, 9)]
    for run_id in runs:
        assert not fleet.give_back(purge, run_id)
    fleet.give_back(purge, "run-3")  # sent again: it takes nobody's place

    assert {Status.CHANGED} == {fleet.claim(purge, run_id).status for run_id in runs}
    assert Status.CLAIMED == fleet.claim(purge, "run-9").status


class TestAClaimThatArrivesAfterIt:
    """The claim was on its way when its instance stopped: nobody would run what it is granted."""

    def test_when_the_give_back_found_nothing(
        self, fleet: Fleet, ran_before: JobDefinition
    ) -> None:
        assert not fleet.give_back(ran_before, "run-1")
        before = fleet.stored(ran_before)

        assert Status.CHANGED == fleet.claim(ran_before, "run-1", NOON).status

        assert before == fleet.stored(ran_before)
        assert Status.CLAIMED == fleet.claim(ran_before, "run-2", NOON, store=fleet.two).status

    def test_when_the_give_back_undid_its_first_copy(
        self, fleet: Fleet, ran_before: JobDefinition
    ) -> None:
        fleet.claimed(ran_before, "run-1", NOON)
        assert fleet.give_back(ran_before, "run-1")
        before = fleet.stored(ran_before)

        assert Status.CHANGED == fleet.claim(ran_before, "run-1", NOON).status

        assert before == fleet.stored(ran_before)
        assert Status.CLAIMED == fleet.claim(ran_before, "run-2", NOON, store=fleet.two).status

    def test_of_a_job_that_was_never_seen(self, fleet: Fleet, purge: JobDefinition) -> None:
        assert not fleet.give_back(purge, "run-1")

        assert Status.CHANGED == fleet.claim(purge, "run-1").status
        assert Status.CLAIMED == fleet.claim(purge, "run-2").status

    def test_whatever_it_was_claimed_from(self, fleet: Fleet, purge: JobDefinition) -> None:
        trigger(fleet, purge, "request-1")
        fleet.give_back(purge, "run-1")

        (by_hand,) = fleet.one.claim([Ask(purge, "run-1", ANY, -(10**15), BY_HAND)])

        assert [Status.CHANGED] * 2 == [by_hand.status, claim(fleet, purge, "run-1").status]
        assert "request-1" == look(fleet, purge).request

    def test_while_a_successor_runs(self, fleet: Fleet, ran_before: JobDefinition) -> None:
        fleet.give_back(ran_before, "run-1")
        fleet.claimed(ran_before, "run-2", NOON)
        before = fleet.stored(ran_before)

        assert Status.CHANGED == fleet.claim(ran_before, "run-1", NOON).status

        assert before == fleet.stored(ran_before)


class TestWhatPeopleAsked:
    def test_a_request_is_there_again_for_anybody(self, fleet: Fleet, purge: JobDefinition) -> None:
        ran(fleet, purge, "run-0")
        trigger(fleet, purge, "request-1")
        before = without_token(fleet.stored(purge))
        assert "" == claim(fleet, purge, "run-1").known.request

        assert fleet.give_back(purge, "run-1")

        assert before == without_token(fleet.stored(purge))
        assert Status.CLAIMED == claim(fleet, purge, "run-2", fleet.two).status
        fleet.finish(purge, "run-2", store=fleet.two)
        assert "request-1" == fleet.one.history(purge, 1)[0].request
        assert "" == look(fleet, purge).request

    def test_one_that_came_since_is_as_good(self, fleet: Fleet, purge: JobDefinition) -> None:
        trigger(fleet, purge, "request-1")
        claim(fleet, purge, "run-1")
        trigger(fleet, purge, "request-2", queue=True)

        fleet.give_back(purge, "run-1")

        assert "request-2" == look(fleet, purge).request

    def test_that_somebody_cancelled_the_run_is_forgotten(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        claim(fleet, purge, "run-1")
        fleet.one.control(purge, "cancel")

        fleet.give_back(purge, "run-1")

        assert look(fleet, purge).touched is None

    def test_a_pause_that_came_since_stays(self, fleet: Fleet, purge: JobDefinition) -> None:
        claim(fleet, purge, "run-1")
        fleet.one.control(purge, "pause", "-", "")

        fleet.give_back(purge, "run-1")

        assert Status.PAUSED == claim(fleet, purge, "run-2").status


def test_the_due_time_is_not_served(fleet: Fleet, ran_before: JobDefinition) -> None:
    served_ms = look(fleet, ran_before).served_ms
    assert NOON == served_ms
    answer = claim(fleet, ran_before, "run-1")
    assert NOON + MINUTE == answer.known.served_ms

    fleet.give_back(ran_before, "run-1")

    assert served_ms == look(fleet, ran_before).served_ms
