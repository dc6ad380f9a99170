"""A claim: one atomic step decides, and says what it knows of the job."""

from __future__ import annotations

import pytest

from jobrunner.job import JobDefinition
from jobrunner.run import Outcome
from jobrunner.store.answers import UNKNOWN, Ask, Known, Status
from jobrunner.store.redis import MAX_BATCH

from .fleet import MINUTE, NOON, Fleet, ask, job


def test_a_job_that_never_ran_is_claimed(fleet: Fleet, purge: JobDefinition) -> None:
    answer = fleet.claim(purge, "run-1")

    assert Status.CLAIMED == answer.status
    assert Known(NOON, NOON, "run-1", 30_000)[:7] == answer.known[:7]
    assert NOON == answer.due_ms
    assert answer.abandoned is None
    assert "" == answer.problem
    assert str(NOON // 1000) == fleet.client.get(purge.keys.sync_key)
    assert "run-1" == fleet.client.get(purge.keys.lease)
    assert 0 < fleet.client.pttl(purge.keys.lease) <= 30_000


def test_the_due_time_that_was_served_is_the_one_that_was_asked_for(
    fleet: Fleet, purge: JobDefinition
) -> None:
    fleet.claimed(purge, "run-1")
    fleet.finish(purge, "run-1")
    fleet.now_ms = NOON + MINUTE + 7

    answer = fleet.claim(purge, "run-2", last_ms=NOON)

    assert Status.CLAIMED == answer.status
    assert NOON + MINUTE == answer.due_ms
    assert NOON + MINUTE + 7 == answer.known.last_ms


def test_a_held_job_is_not_claimed_by_another(fleet: Fleet, purge: JobDefinition) -> None:
    token, _ = fleet.claimed(purge, "run-1")
    fleet.now_ms = NOON + 10 * MINUTE  # long due again: held is said, not early
    before = fleet.stored(purge)

    answer = fleet.claim(purge, "run-2", last_ms=NOON, store=fleet.two)

    assert Status.HELD == answer.status
    assert "run-1" == answer.known.running
    assert 0 < answer.known.lease_left_ms <= 30_000
    skipped = {
        "skip_reason": "held",
        "skip_due_ms": str(NOON + MINUTE),
        "skip_due_held": str(NOON + MINUTE),
        "count_skip_held": "1",
    }
    assert {**before, "state": {**before["state"], **skipped}} == fleet.stored(purge)
    assert str(token) == before["state"]["token"]


def test_an_early_claim_changes_nothing(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.claimed(purge, "run-1")
    fleet.finish(purge, "run-1")
    before = fleet.stored(purge)
    fleet.now_ms = NOON + MINUTE  # *more* than the interval must have passed

    answer = fleet.claim(purge, "run-2", last_ms=NOON)

    assert Status.EARLY == answer.status
    assert Known(NOON, NOON, None, 0)[:7] == answer.known[:7]
    assert before == fleet.stored(purge)


def test_a_millisecond_later_it_is_claimed(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.claimed(purge, "run-1")
    fleet.finish(purge, "run-1")
    fleet.now_ms = NOON + MINUTE + 1

    assert Status.CLAIMED == fleet.claim(purge, "run-2", last_ms=NOON).status


def test_a_look_at_a_due_job_claims_nothing(fleet: Fleet, purge: JobDefinition) -> None:
    answer = fleet.look(purge)

    assert Status.DUE == answer.status
    assert Known(None, NOON, None, 0)[:7] == answer.known[:7]
    assert {"first_seen_ms": str(NOON)} == fleet.client.hgetall(purge.keys.state)
    assert not fleet.client.exists(purge.keys.sync_key, purge.keys.lease, purge.keys.history)


def test_a_claim_from_an_old_last_start_is_told_the_new_one(
    fleet: Fleet, purge: JobDefinition
) -> None:
    fleet.claimed(purge, "run-1")
    fleet.finish(purge, "run-1")
    fleet.now_ms = NOON + 10 * MINUTE

    for stale in (
        fleet.claim(purge, "run-2", last_ms=None),
        fleet.claim(purge, "run-2", last_ms=NOON - MINUTE),
        fleet.one.claim([Ask(purge, "run-2", UNKNOWN, -1, 0)])[0],
    ):
        assert Status.CHANGED == stale.status
        assert Known(NOON, NOON, None, 0)[:7] == stale.known[:7]
    assert Status.CLAIMED == fleet.claim(purge, "run-2", last_ms=NOON).status


def test_a_deleted_key_makes_the_job_due_at_once(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.claimed(purge, "run-1")
    fleet.finish(purge, "run-1")
    fleet.client.delete(purge.keys.sync_key)

    assert Status.CHANGED == fleet.claim(purge, "run-2", last_ms=NOON).status
    assert Known(None, NOON, None, 0)[:7] == fleet.known(purge)[:7]
    assert Status.CLAIMED == fleet.claim(purge, "run-2").status


def test_a_claim_sent_twice_claims_once(fleet: Fleet, purge: JobDefinition) -> None:
    first = fleet.claim(purge, "run-1")
    before = fleet.stored(purge)
    fleet.now_ms = NOON + 250

    again = fleet.claim(purge, "run-1")

    assert Status.AGAIN == again.status
    assert first.token == again.token
    assert first.known == again.known
    assert first.due_ms == again.due_ms
    assert before == fleet.stored(purge)
    assert "1" == before["state"]["runs"]


def test_a_claim_sent_twice_makes_its_ended_lease_anew(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.claimed(purge, "run-1")
    fleet.lease_ends(purge)

    again = fleet.claim(purge, "run-1")

    assert Status.AGAIN == again.status
    assert again.abandoned is None
    assert "run-1" == fleet.client.get(purge.keys.lease)
    assert 0 < fleet.client.pttl(purge.keys.lease) <= 30_000
    assert [] == fleet.client.xrange(purge.keys.history)


def test_a_claim_sent_again_after_its_run_is_over_is_no_second_run(
    fleet: Fleet, purge: JobDefinition
) -> None:
    fleet.claimed(purge, "run-1")
    fleet.finish(purge, "run-1")

    assert Status.CHANGED == fleet.claim(purge, "run-1").status
    assert not fleet.client.exists(purge.keys.lease)


def test_first_seen_is_written_once(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.look(purge)
    fleet.now_ms = NOON + 5
    assert NOON == fleet.look(purge).known.first_seen_ms

    fleet.claimed(purge, "run-1")
    assert NOON == fleet.finish(purge, "run-1").known.first_seen_ms
    assert str(NOON) == fleet.client.hget(purge.keys.state, "first_seen_ms")


class TestTheOrderOfDecisions:
    """What is said when several things hold at once."""

    def test_our_own_run_comes_before_a_corrupt_key(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        token, _ = fleet.claimed(purge, "run-1")
        fleet.client.set(purge.keys.sync_key, "yesterday")

        again = fleet.claim(purge, "run-1")

        assert Status.AGAIN == again.status
        assert token == again.token
        assert NOON == again.known.last_ms

    def test_our_own_run_comes_before_its_ended_lease(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        fleet.claimed(purge, "run-1")
        fleet.lease_ends(purge)

        assert fleet.claim(purge, "run-1").abandoned is None

    def test_a_corrupt_key_comes_before_an_abandoned_run(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        fleet.claimed(purge, "run-1")
        fleet.lease_ends(purge)
        fleet.client.set(purge.keys.sync_key, "yesterday")

        answer = fleet.look(purge, NOON)

        assert Status.CORRUPT == answer.status
        assert answer.abandoned is None
        assert "run-1" == fleet.client.hget(purge.keys.state, "run")

    @pytest.mark.parametrize(
        ("last_ms", "now_ms", "run_id", "status"),
        [
            (None, NOON + 10 * MINUTE, "run-2", Status.CHANGED),
            (NOON, NOON + MINUTE, "run-2", Status.EARLY),
            (NOON, NOON + MINUTE + 1, "", Status.DUE),
            (NOON, NOON + MINUTE + 1, "run-2", Status.CLAIMED),
        ],
    )
    def test_an_abandoned_run_is_recorded_whatever_follows_and_is_news(
        self,
        fleet: Fleet,
        purge: JobDefinition,
        last_ms: int | None,
        now_ms: int,
        run_id: str,
        status: Status,
    ) -> None:
        fleet.claimed(purge, "run-1")
        fleet.lease_ends(purge)
        fleet.now_ms = now_ms

        answer = fleet.claim(purge, run_id, last_ms)

        # Whoever asked did not know of it, and whether the job waits for it.
        assert (Status.CHANGED, "run-1") == (answer.status, answer.abandoned)
        assert status == fleet.claim(purge, run_id, last_ms).status
        (entry,) = fleet.one.history(purge, 10)
        assert ("run-1", Outcome.ABANDONED) == (entry.run_id, entry.outcome)

    def test_changed_comes_before_held(self, fleet: Fleet, purge: JobDefinition) -> None:
        fleet.claimed(purge, "run-1")

        answer = fleet.claim(purge, "run-2", store=fleet.two)

        assert Status.CHANGED == answer.status
        assert "run-1" == answer.known.running

    def test_held_comes_before_early(self, fleet: Fleet, purge: JobDefinition) -> None:
        fleet.claimed(purge, "run-1")

        assert Status.HELD == fleet.claim(purge, "run-2", last_ms=NOON).status

    def test_early_comes_before_due(self, fleet: Fleet, purge: JobDefinition) -> None:
        fleet.claimed(purge, "run-1")
        fleet.finish(purge, "run-1")

        assert Status.EARLY == fleet.look(purge, NOON).status


def test_one_call_answers_for_many_jobs_each_in_its_place(fleet: Fleet) -> None:
    jobs = [job(f"job-{number}") for number in range(MAX_BATCH)]
    fleet.claimed(jobs[7], "other")
    fleet.client.set(jobs[11].keys.sync_key, "yesterday")

    answers = fleet.two.claim([ask(j, f"run-{number}") for number, j in enumerate(jobs)])

    assert {7: Status.CHANGED, 11: Status.CORRUPT} == {
        number: a.status for number, a in enumerate(answers) if a.status != Status.CLAIMED
    }
    claimed = [number for number in range(MAX_BATCH) if number not in (7, 11)]
    assert [f"run-{n}" for n in claimed] == [answers[n].known.running for n in claimed]
    assert MAX_BATCH - 2 == sum(fleet.two.renew([(jobs[n], f"run-{n}") for n in claimed]))


def test_without_an_injected_clock_the_server_s_own_rules(
    fleet: Fleet, purge: JobDefinition
) -> None:
    fleet.now_ms = None
    seconds, micros = fleet.client.time()
    before_ms = seconds * 1000 + micros // 1000

    answer = fleet.claim(purge, "run-1")

    seconds, micros = fleet.client.time()
    assert answer.known.last_ms is not None
    assert before_ms <= answer.known.last_ms <= seconds * 1000 + micros // 1000
    assert str(answer.known.last_ms // 1000) == fleet.client.get(purge.keys.sync_key)


def test_an_answer_sets_the_clock_of_the_instance(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.now_ms = None
    clock = fleet.clock()
    store = fleet.store("three")
    store._clock = clock
    assert clock.now_ms() is None

    (answer,) = store.claim([ask(purge, "run-1")])

    assert answer.known.last_ms == clock.now_ms()
    fleet.trust += 1.5
    assert answer.known.last_ms + 1500 == clock.now_ms()
