"""Each broken promise is objected to, and what a fault excuses is not."""

from dataclasses import replace

import pytest

from jobrunner import HistoryEntry, Outcome
from tests.faults.jobs import Work
from tests.faults.judge import (
    Evidence,
    Loss,
    executed_together,
    objections,
    unrecorded,
    waited,
)
from tests.faults.witness import Seen

#: Redis's clock says 10,000 ms when the moment is 0.
OFFSET = 10_000.0

#: Two runs of a job that is due each second, as they should be.
FIRST = Seen("tidy", "a", 1, 11, 11_000, 11_000, 1_001, 1_900, 1_901, "returned")
SECOND = Seen("tidy", "b", 2, 12, 12_001, 12_001, 2_002, 2_500, 2_501, "returned")


def evidence(*runs: Seen, recover: bool = False) -> Evidence:
    works = {"tidy": Work("tidy", 1, 0.5, recover)}
    made = Evidence(works, 1000, OFFSET)
    made.take(runs)
    made.outcomes = dict.fromkeys(made.runs, Outcome.SUCCEEDED)
    return made


def found(made: Evidence) -> list[str]:
    return [objection.split(":")[0] for objection in objections(made)]


def test_a_sound_fleet_is_not_objected_to() -> None:
    assert [] == objections(evidence(FIRST, SECOND))


def test_two_that_trust_their_leases_at_one_moment_overlap() -> None:
    assert ["overlap"] == found(evidence(replace(FIRST, trusted=2_010), SECOND))


def test_an_overlap_behind_another_run_is_seen() -> None:
    third = replace(SECOND, run_id="c", token=3, started_ms=13_100, due_ms=13_002, begun=3_101)
    third = replace(third, trusted=3_200, ended=3_201)
    made = evidence(replace(FIRST, trusted=3_150), SECOND, third)
    assert ["overlap", "overlap"] == found(made)


def test_going_on_without_trust_is_counted_and_is_no_overlap() -> None:
    thawed = evidence(replace(FIRST, ended=4_000, ending="LeaseLostError"), SECOND)
    thawed.outcomes["a"] = Outcome.LEASE_LOST
    assert [] == objections(thawed)
    assert ["a"] == [run.run_id for run in executed_together(thawed)]


def test_a_run_that_ends_in_the_millisecond_of_the_next_start_was_not_beside_it() -> None:
    ended = evidence(replace(FIRST, ended=2_001.7), SECOND)
    assert [] == executed_together(ended)


def test_starts_that_are_an_interval_apart_are_too_close() -> None:
    assert ["too close"] == found(evidence(FIRST, replace(SECOND, started_ms=12_000)))


@pytest.mark.parametrize(
    ("recover", "due_ms", "said"),
    [(True, 11_000, []), (True, 11_500, ["too close"]), (False, 11_000, ["too close"])],
)
def test_only_the_same_due_time_of_a_job_that_recovers_may_start_early(
    recover: bool, due_ms: int, said: list[str]
) -> None:
    early = replace(SECOND, started_ms=11_950, due_ms=due_ms)
    made = evidence(replace(FIRST, trusted=1_900, ended=1_901), early, recover=recover)
    assert said == found(made)


def test_a_claim_that_never_began_counts_as_a_start() -> None:
    made = evidence(SECOND)
    entry = HistoryEntry("a", "tidy", 1, "i", 11.5, 11.5, 12, Outcome.ABANDONED, None)
    made.take_history("tidy", [entry])
    assert ["too close"] == found(made)


def test_a_loss_of_data_excuses_what_it_came_between() -> None:
    made = evidence(replace(FIRST, trusted=2_010), replace(SECOND, started_ms=11_950))
    assert ["overlap", "too close"] == found(made)
    made.losses.append(Loss(11_940, 11_945))
    assert [] == found(made)
    made.losses[:] = [Loss(9_000, 9_100), Loss(13_000, 13_100)]
    assert ["overlap", "too close"] == found(made)


def test_a_token_that_did_not_grow_is_objected_to() -> None:
    assert ["token of tidy did not grow"] == found(evidence(FIRST, replace(SECOND, token=1)))


def test_a_run_that_is_in_the_history_twice_is_objected_to() -> None:
    made = evidence(FIRST)
    entry = HistoryEntry("a", "tidy", 1, "i", 11, 11, 12, Outcome.SUCCEEDED, None)
    made.take_history("tidy", [entry, entry])
    assert ["twice in the history"] == found(made)


@pytest.mark.parametrize(
    ("ending", "outcome", "dead", "said"),
    [
        ("returned", Outcome.FAILED, False, ["told otherwise"]),
        ("returned", Outcome.ABANDONED, False, ["told otherwise"]),
        ("returned", Outcome.ABANDONED, True, []),
        ("ValueError", Outcome.FAILED, False, []),
        ("ValueError", Outcome.SUCCEEDED, True, ["told otherwise"]),
        (None, Outcome.ABANDONED, True, []),
        (None, Outcome.SUCCEEDED, True, ["told otherwise"]),
    ],
)
def test_a_history_that_says_something_else_than_the_run_is_objected_to(
    ending: str | None, outcome: Outcome, dead: bool, said: list[str]
) -> None:
    made = evidence(replace(FIRST, ending=ending))
    made.outcomes["a"] = outcome
    made.dead |= {FIRST.pid} if dead else set()
    assert said == found(made)


def test_a_run_whose_end_is_nowhere_is_found() -> None:
    made = evidence(FIRST, SECOND)
    del made.outcomes["a"], made.outcomes["b"]
    assert ["a"] == [run.run_id for run in unrecorded(made, before_ms=12_000)]
    made.losses.append(Loss(11_500, 11_600))
    assert [] == unrecorded(made, before_ms=12_000)


def test_a_due_job_waits_from_the_end_of_faults_or_from_when_it_is_due() -> None:
    def waited_ms(*runs: Seen, over: float, now: float = 9_000, recover: bool = False) -> float:
        (job,) = waited(evidence(*runs, recover=recover), over, now)
        return job.ms

    assert 1 == waited_ms(FIRST, SECOND, over=1_500)
    late = replace(SECOND, started_ms=13_000)
    assert 1000 == waited_ms(FIRST, late, over=1_500)
    assert 600 == waited_ms(FIRST, late, over=2_400)
    assert 7_000 == waited_ms(FIRST, over=1_500)
    long = replace(FIRST, ended=2_700)
    assert 300 == waited_ms(long, late, over=1_500)


def test_a_job_that_recovers_waits_from_the_end_of_faults() -> None:
    made = evidence(FIRST, replace(SECOND, started_ms=11_950), recover=True)
    made.outcomes["a"] = Outcome.ABANDONED
    made.runs["a"] = replace(FIRST, ended=None)
    made.dead.add(FIRST.pid)
    assert 450 == waited(made, 1_500, 9_000)[0].ms
