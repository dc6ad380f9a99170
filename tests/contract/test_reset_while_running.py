"""A reset does not forget when the run began that is running."""

from __future__ import annotations

from jobrunner.job import JobDefinition
from jobrunner.store.answers import Status

from .fleet import MINUTE, NOON, Fleet


def test_its_entry_says_when_it_began(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.claimed(purge, "run-1")
    fleet.now_ms = NOON + MINUTE
    assert "done" == fleet.two.control(purge, "reset").status

    finish = fleet.finish(purge, "run-1")

    (entry,) = fleet.one.history(purge, 10)
    assert (NOON / 1000, (NOON + MINUTE) / 1000) == (entry.started_at, entry.finished_at)
    assert finish.known.last_ms is None, "the job is due at once"


def test_who_claims_it_again_hears_when_it_began(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.claimed(purge, "run-1")
    fleet.two.control(purge, "reset")
    fleet.now_ms = NOON + 1000

    answer = fleet.claim(purge, "run-1")

    assert (Status.AGAIN, NOON) == (answer.status, answer.known.last_ms)


def test_a_give_back_leaves_the_job_due_at_once(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.claimed(purge, "run-0")
    fleet.finish(purge, "run-0")
    fleet.now_ms = NOON + 2 * MINUTE
    fleet.claimed(purge, "run-1", NOON)
    fleet.two.control(purge, "reset")

    assert fleet.give_back(purge, "run-1")

    assert fleet.look(purge).known.last_ms is None
    assert Status.CLAIMED == fleet.claim(purge, "run-2").status
