"""What a finish records besides: attempts, traceback, result, successes, the age of entries."""

from __future__ import annotations

import json

import pytest

from jobrunner.job import JobDefinition
from jobrunner.run import HistoryEntry, Outcome

from .fleet import MINUTE, NOON, Fleet

#: Outcomes of which another instance knows that the process lived to record them.
ALIVE = [Outcome.SUCCEEDED, Outcome.FAILED, Outcome.TIMED_OUT, Outcome.CANCELLED]


def newest(fleet: Fleet, definition: JobDefinition) -> HistoryEntry:
    return fleet.one.history(definition, 1)[0]


def test_the_entry_tells_attempts_traceback_and_result(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.claimed(purge, "run-1")

    fleet.finish(purge, "run-1", attempts=3, traceback="File …", result='{"rows": 7}')

    entry = newest(fleet, purge)
    assert (3, "File …", '{"rows": 7}') == (entry.attempts, entry.traceback, entry.result)


def test_what_there_is_not_takes_no_room(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.claimed(purge, "run-1")

    fleet.finish(purge, "run-1")

    ((_, fields),) = fleet.stored(purge)["history"]
    assert set() == {"attempts", "traceback", "result", "request"} & set(fields)
    entry = newest(fleet, purge)
    assert (1, None, None, None) == (
        entry.attempts,
        entry.traceback,
        entry.result,
        entry.request,
    )


def test_the_request_that_a_run_answered_moves_into_its_entry(
    fleet: Fleet, purge: JobDefinition
) -> None:
    fleet.claimed(purge, "run-1")
    fleet.client.hset(purge.keys.state, "request", "request-1")

    fleet.finish(purge, "run-1")

    assert "request-1" == newest(fleet, purge).request
    assert not fleet.client.hexists(purge.keys.state, "request")


def test_a_request_is_kept_though_its_run_was_abandoned_and_amended(
    fleet: Fleet, purge: JobDefinition
) -> None:
    fleet.claimed(purge, "run-1")
    fleet.client.hset(purge.keys.state, "request", "request-1")
    fleet.lease_ends(purge)
    assert "run-1" == fleet.look(purge, NOON).abandoned
    assert "request-1" == newest(fleet, purge).request

    assert "amended" == fleet.finish(purge, "run-1", attempts=2, result="7").status

    entry = newest(fleet, purge)
    assert ("request-1", 2, "7") == (entry.request, entry.attempts, entry.result)


class TestASuccess:
    def test_its_time_and_its_result_stand_in_the_state(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        fleet.claimed(purge, "run-1")
        fleet.client.hset(purge.keys.state, "overdue_ms", str(NOON))
        fleet.now_ms = NOON + 5000

        fleet.finish(purge, "run-1", result="[1]")

        state = fleet.client.hgetall(purge.keys.state)
        assert (str(NOON + 5000), "[1]") == (state["succeeded_ms"], state["result"])
        assert "overdue_ms" not in state

    def test_without_a_result_the_last_one_goes(self, fleet: Fleet, purge: JobDefinition) -> None:
        fleet.claimed(purge, "run-1")
        fleet.finish(purge, "run-1", result="[1]")
        fleet.now_ms = NOON + 2 * MINUTE
        fleet.claimed(purge, "run-2", NOON)

        fleet.finish(purge, "run-2")

        assert not fleet.client.hexists(purge.keys.state, "result")

    @pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.TIMED_OUT, Outcome.INTERRUPTED])
    def test_anything_else_leaves_the_last_success_alone(
        self, fleet: Fleet, purge: JobDefinition, outcome: Outcome
    ) -> None:
        fleet.claimed(purge, "run-1")
        fleet.finish(purge, "run-1", result="[1]")
        fleet.client.hset(purge.keys.state, "overdue_ms", str(NOON))
        fleet.now_ms = NOON + 2 * MINUTE
        fleet.claimed(purge, "run-2", NOON)

        fleet.finish(purge, "run-2", outcome, "no")

        state = fleet.client.hgetall(purge.keys.state)
        assert (str(NOON), "[1]", str(NOON)) == (
            state["succeeded_ms"],
            state["result"],
            state["overdue_ms"],
        )

    def test_one_that_amends_counts_too(self, fleet: Fleet, purge: JobDefinition) -> None:
        fleet.claimed(purge, "run-1")
        fleet.client.hset(purge.keys.state, "overdue_ms", str(NOON))
        fleet.lease_ends(purge)
        fleet.look(purge, NOON)
        assert not fleet.client.hexists(purge.keys.state, "succeeded_ms")
        fleet.now_ms = NOON + 40_000

        fleet.finish(purge, "run-1", result="[1]")

        state = fleet.client.hgetall(purge.keys.state)
        assert (str(NOON + 40_000), "[1]") == (state["succeeded_ms"], state["result"])
        assert "overdue_ms" not in state

    def test_one_that_amends_late_does_not_hide_a_newer_one(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        fleet.claimed(purge, "run-1")
        fleet.lease_ends(purge)
        fleet.look(purge, NOON)
        fleet.now_ms = NOON + 2 * MINUTE
        fleet.claimed(purge, "run-2", NOON)
        fleet.finish(purge, "run-2", result="[2]")

        assert "amended" == fleet.finish(purge, "run-1", seconds_ago=60, result="[1]").status

        state = fleet.client.hgetall(purge.keys.state)
        assert (str(NOON + 2 * MINUTE), "[2]") == (state["succeeded_ms"], state["result"])


@pytest.mark.parametrize("outcome", ALIVE)
def test_a_run_whose_instance_lived_breaks_the_row_of_abandoned_ones(
    fleet: Fleet, purge: JobDefinition, outcome: Outcome
) -> None:
    fleet.claimed(purge, "run-1")
    fleet.lease_ends(purge)
    assert 1 == fleet.look(purge, NOON).known.abandoned_in_row
    fleet.now_ms = NOON + 2 * MINUTE
    fleet.claimed(purge, "run-2", NOON)

    assert 0 == fleet.finish(purge, "run-2", outcome).known.abandoned_in_row


class TestTheAgeOfEntries:
    def old_entry(self, fleet: Fleet, definition: JobDefinition) -> None:
        """One from the first second of 1970, by the clock of the ids."""
        fleet.client.xadd(definition.keys.history, {"run": "old"}, id="1000-1")

    def test_what_is_too_old_goes_with_the_next_finish(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        store = fleet.store("aged", history_age_ms=3_600_000)
        self.old_entry(fleet, purge)
        fleet.claimed(purge, "run-1")

        fleet.finish(purge, "run-1", store=store)

        assert ["run-1"] == [fields["run"] for _, fields in fleet.stored(purge)["history"]]

    def test_what_cannot_be_aged_is_a_problem_of_that_job_alone(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        store = fleet.store("aged", history_age_ms=3_600_000)
        fleet.client.set(purge.keys.history, "no stream")

        answer = fleet.finish(purge, "run-0", store=store)  # a run that is not known any more

        assert "gone" == answer.status
        assert purge.keys.history in answer.problem

    def test_without_an_age_it_stays(self, fleet: Fleet, purge: JobDefinition) -> None:
        self.old_entry(fleet, purge)
        fleet.claimed(purge, "run-1")

        fleet.finish(purge, "run-1")

        assert ["old", "run-1"] == [fields["run"] for _, fields in fleet.stored(purge)["history"]]


def test_the_end_takes_the_progress_away(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.claimed(purge, "run-1")
    fleet.client.hset(purge.keys.state, "progress", json.dumps({"done": 1}))

    fleet.finish(purge, "run-1")

    assert not fleet.client.hexists(purge.keys.state, "progress")
