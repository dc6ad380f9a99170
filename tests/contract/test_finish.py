"""A finish: recorded once, whoever sends it how often, and never at a successor's expense."""

from __future__ import annotations

import pytest

from jobrunner.job import JobDefinition
from jobrunner.run import HistoryEntry, Outcome
from jobrunner.store.answers import Ending, Known, Status
from jobrunner.store.redis import MAX_BATCH

from .fleet import MINUTE, NOON, NOTHING_KNOWN, Fleet, ask, job

ENDED = [outcome for outcome in Outcome if outcome is not Outcome.ABANDONED]


@pytest.mark.parametrize("outcome", ENDED)
def test_the_end_of_a_run_is_recorded_and_its_lease_released(
    fleet: Fleet, purge: JobDefinition, outcome: Outcome
) -> None:
    fleet.claimed(purge, "run-0")
    fleet.finish(purge, "run-0")
    fleet.now_ms = NOON + 2 * MINUTE
    token, started_ms = fleet.claimed(purge, "run-1", NOON)
    fleet.now_ms = started_ms + 2500

    answer = fleet.finish(purge, "run-1", outcome, "ValueError: naïve…")

    assert ("finished", "") == (answer.status, answer.problem)
    assert Known(started_ms, NOON, None, 0)[:7] == answer.known[:7]
    assert not fleet.client.exists(purge.keys.lease)
    expected = HistoryEntry(
        run_id="run-1",
        job="purge",
        token=token,
        instance="one",
        due_at=(NOON + MINUTE) / 1000,
        started_at=started_ms / 1000,
        finished_at=started_ms / 1000 + 2.5,
        outcome=outcome,
        error="ValueError: naïve…",
    )
    assert expected == fleet.one.history(purge, 1)[0]


def test_the_state_says_how_the_last_run_ended(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.claimed(purge, "run-1")
    fleet.now_ms = NOON + 1000

    fleet.finish(purge, "run-1", Outcome.FAILED, "ValueError: x")

    state = fleet.client.hgetall(purge.keys.state)
    assert (str(NOON + 1000), "failed", "ValueError: x") == (
        state["finished_ms"],
        state["outcome"],
        state["error"],
    )
    assert set() == {"run", "instance", "before_k", "before_last_ms", "before_due_ms"} & set(state)


def test_a_success_leaves_no_error_of_the_run_before(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.claimed(purge, "run-1")
    fleet.finish(purge, "run-1", Outcome.FAILED, "ValueError: x")
    fleet.now_ms = NOON + 2 * MINUTE
    fleet.claimed(purge, "run-2", NOON)

    fleet.finish(purge, "run-2")

    assert "" == fleet.client.hget(purge.keys.state, "error")
    assert [None, "ValueError: x"] == [entry.error for entry in fleet.one.history(purge, 10)]


def test_the_end_counts_from_when_it_was_and_not_from_when_it_was_sent(
    fleet: Fleet, purge: JobDefinition
) -> None:
    fleet.claimed(purge, "run-1")
    fleet.now_ms = NOON + 20_000

    fleet.finish(purge, "run-1", seconds_ago=12.5)

    assert NOON / 1000 + 7.5 == fleet.one.history(purge, 1)[0].finished_at


def test_no_run_ends_before_it_starts(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.claimed(purge, "run-1")

    fleet.finish(purge, "run-1", seconds_ago=12.5)

    assert NOON / 1000 == fleet.one.history(purge, 1)[0].finished_at


def test_sent_twice_it_is_recorded_once(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.claimed(purge, "run-1")
    assert "finished" == fleet.finish(purge, "run-1", Outcome.FAILED, "ValueError: x").status
    once = fleet.stored(purge)

    again = fleet.finish(purge, "run-1", Outcome.FAILED, "ValueError: x")

    assert ("gone", "") == (again.status, again.problem)
    assert Known(NOON, NOON, None, 0)[:7] == again.known[:7]
    assert once == fleet.stored(purge)
    assert 1 == len(once["history"])
    assert "1" == once["state"]["count_failed"]


def test_the_counters_add_up(fleet: Fleet, purge: JobDefinition) -> None:
    last_ms = None
    outcomes = [Outcome.SUCCEEDED, Outcome.FAILED, Outcome.SUCCEEDED, *ENDED]
    for number, outcome in enumerate(outcomes):
        fleet.now_ms = NOON + number * 2 * MINUTE
        _, last_ms = fleet.claimed(purge, f"run-{number}", last_ms)
        fleet.finish(purge, f"run-{number}", outcome)

    state = fleet.client.hgetall(purge.keys.state)
    assert str(len(outcomes)) == state["runs"]
    assert {str(o): str(outcomes.count(o)) for o in ENDED} == {
        field.removeprefix("count_"): count
        for field, count in state.items()
        if field.startswith("count_")
    }


class TestAfterSomebodyRecordedItAsAbandoned:
    @pytest.fixture
    def abandoned(self, fleet: Fleet, purge: JobDefinition) -> JobDefinition:
        fleet.claimed(purge, "run-1")
        fleet.lease_ends(purge)
        fleet.now_ms = NOON + 31_000
        assert "run-1" == fleet.look(purge, NOON).abandoned
        fleet.now_ms = NOON + 40_000
        return purge

    def test_the_entry_is_amended(self, fleet: Fleet, abandoned: JobDefinition) -> None:
        (before,) = fleet.one.history(abandoned, 10)

        answer = fleet.finish(abandoned, "run-1", Outcome.FAILED, "ValueError: x", 2)

        assert "amended" == answer.status
        (entry,) = fleet.one.history(abandoned, 10)
        assert (Outcome.FAILED, "ValueError: x") == (entry.outcome, entry.error)
        assert NOON / 1000 + 38 == entry.finished_at
        unchanged = ("run_id", "token", "instance", "due_at", "started_at")
        assert [getattr(before, n) for n in unchanged] == [getattr(entry, n) for n in unchanged]

    def test_the_counters_and_the_last_outcome_are_put_right(
        self, fleet: Fleet, abandoned: JobDefinition
    ) -> None:
        fleet.finish(abandoned, "run-1", Outcome.FAILED, "ValueError: x")

        state = fleet.client.hgetall(abandoned.keys.state)
        assert ("1", "0", "0", "1") == (
            state["runs"],
            state["count_abandoned"],
            state["abandoned_in_row"],
            state["count_failed"],
        )
        assert ("failed", "ValueError: x") == (state["outcome"], state["error"])

    def test_sent_twice_it_is_amended_once(self, fleet: Fleet, abandoned: JobDefinition) -> None:
        fleet.finish(abandoned, "run-1", Outcome.FAILED, "ValueError: x")
        once = fleet.stored(abandoned)

        assert "gone" == fleet.finish(abandoned, "run-1", Outcome.FAILED, "ValueError: x").status

        assert once == fleet.stored(abandoned)

    def test_a_successor_keeps_its_lease_and_its_outcome(
        self, fleet: Fleet, abandoned: JobDefinition
    ) -> None:
        fleet.now_ms = NOON + 2 * MINUTE
        fleet.claimed(abandoned, "run-2", NOON)

        assert "amended" == fleet.finish(abandoned, "run-1", Outcome.FAILED, "x").status

        assert "run-2" == fleet.client.get(abandoned.keys.lease)
        assert Status.HELD == fleet.look(abandoned, NOON + 2 * MINUTE).status
        fleet.finish(abandoned, "run-2")
        assert "succeeded" == fleet.client.hget(abandoned.keys.state, "outcome")

    def test_a_successor_that_has_ended_remains_the_last_outcome(
        self, fleet: Fleet, abandoned: JobDefinition
    ) -> None:
        fleet.now_ms = NOON + 2 * MINUTE
        fleet.claimed(abandoned, "run-2", NOON)
        fleet.finish(abandoned, "run-2")

        assert "amended" == fleet.finish(abandoned, "run-1", Outcome.FAILED, "x").status

        state = fleet.client.hgetall(abandoned.keys.state)
        assert ("succeeded", "") == (state["outcome"], state["error"])
        outcomes = {e.run_id: e.outcome for e in fleet.one.history(abandoned, 10)}
        assert {"run-1": Outcome.FAILED, "run-2": Outcome.SUCCEEDED} == outcomes

    def test_an_entry_that_the_history_has_dropped_stays_dropped(
        self, fleet: Fleet, abandoned: JobDefinition
    ) -> None:
        fleet.client.delete(abandoned.keys.history)

        assert "gone" == fleet.finish(abandoned, "run-1").status
        assert [] == fleet.one.history(abandoned, 10)


def test_an_old_run_s_finish_never_deletes_its_successor_s_lease(
    fleet: Fleet, purge: JobDefinition
) -> None:
    fleet.claimed(purge, "run-1")
    fleet.lease_ends(purge)
    fleet.now_ms = NOON + 2 * MINUTE
    fleet.claimed(purge, "run-2", NOON)

    for _ in range(2):
        fleet.finish(purge, "run-1")
        assert "run-2" == fleet.client.get(purge.keys.lease)
        assert "run-2" == fleet.client.hget(purge.keys.state, "run")
    assert fleet.renew(purge, "run-2")


def test_a_lease_key_that_names_somebody_else_is_not_deleted(
    fleet: Fleet, purge: JobDefinition
) -> None:
    fleet.claimed(purge, "run-1")
    fleet.client.set(purge.keys.lease, "an operator's own")

    assert "finished" == fleet.finish(purge, "run-1").status

    assert "an operator's own" == fleet.client.get(purge.keys.lease)


def test_the_lease_may_have_ended_before_the_finish(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.claimed(purge, "run-1")
    fleet.lease_ends(purge)

    assert "finished" == fleet.finish(purge, "run-1").status
    assert fleet.look(purge, NOON).abandoned is None
    assert [Outcome.SUCCEEDED] == [e.outcome for e in fleet.one.history(purge, 10)]


def test_a_batch_ends_in_one_call_each_run_by_its_own_right(fleet: Fleet) -> None:
    jobs = [job(f"job-{number}") for number in range(MAX_BATCH)]
    fleet.one.claim([ask(j, f"run-{j.name}") for j in jobs[1:]])

    answers = fleet.one.finish(
        [
            Ending(j, f"run-{j.name}", NOTHING_KNOWN, Outcome.SUCCEEDED, "", fleet.trust)
            for j in jobs
        ]
    )

    assert ["gone"] + ["finished"] * (MAX_BATCH - 1) == [a.status for a in answers]
    assert [0, 1] == [len(fleet.one.history(j, 10)) for j in jobs[:2]]
    assert not fleet.client.exists(*(j.keys.lease for j in jobs))


def test_the_history_keeps_no_more_than_its_limit(fleet: Fleet, purge: JobDefinition) -> None:
    store = fleet.store("three", history=3)
    last_ms = None
    for number in range(5):
        fleet.now_ms = NOON + number * 2 * MINUTE
        (answer,) = store.claim([ask(purge, f"run-{number}", last_ms)])
        last_ms = answer.known.last_ms
        fleet.finish(purge, f"run-{number}", store=store)

    assert ["run-4", "run-3", "run-2"] == [e.run_id for e in store.history(purge, 10)]
    assert ["run-4", "run-3"] == [e.run_id for e in store.history(purge, 2)]
    assert 3 == fleet.client.xlen(purge.keys.history)
