"""Each fault of a fleet is objected to, and a fleet without one is not."""

from dataclasses import replace

import pytest

from tests.cluster.objections import least_slack_ms, objections
from tests.cluster.records import RecordedRun

#: Two runs of a job due each second, in two workers, as they should be.
FIRST = RecordedRun("tidy", "a", 5_000, 11, 1_000, (1_001, 0), (1_900, 0), "returned")
SECOND = RecordedRun("tidy", "b", 6_000, 12, 2_001, (2_002, 0), (2_500, 0), "returned")
INTERVAL = {"tidy": 1_000}


def test_a_sound_fleet_is_not_objected_to() -> None:
    other = replace(SECOND, job="other", run_id="c", token=1, started_ms=1_100, begun=(1_100, 0))
    assert [] == objections(
        [FIRST, other, SECOND],
        {**INTERVAL, "other": 1_000},
        master=10,
        workers=(11, 12),
        at_least=3,
    )


@pytest.mark.parametrize(
    ("second", "objection"),
    [
        (replace(SECOND, started_ms=2_000), "too close"),
        (replace(SECOND, begun=(1_899, 9)), "two at once"),
        (replace(SECOND, token=5_000), "token of tidy did not grow"),
        (replace(SECOND, run_id="a"), "run a of tidy began twice"),
        (replace(SECOND, pid=10), "the master ran jobs"),
        (replace(SECOND, pid=11), "worker 12 ran nothing"),
    ],
)
def test_a_fault_is_objected_to(second: RecordedRun, objection: str) -> None:
    found = objections([FIRST, second], INTERVAL, master=10, workers={FIRST.pid, 12})
    if second.pid == 10:
        found.remove("worker 12 ran nothing")
    assert 1 == len(found), found
    assert found[0].startswith(objection)


def test_too_few_runs_are_objected_to() -> None:
    assert ["too few: 2 runs took place, of at least 3.0"] == objections(
        [FIRST, SECOND], INTERVAL, at_least=3
    )


def test_a_run_without_an_end_is_running_unless_its_process_was_killed() -> None:
    runs = [replace(FIRST, ended=None, ending=None), SECOND]
    assert [] == objections(runs, INTERVAL, dead=[FIRST.pid])
    assert 1 == len(objections(runs, INTERVAL, dead=[SECOND.pid]))


def test_an_overlap_behind_another_run_is_seen() -> None:
    long = replace(FIRST, ended=(9_000, 0))
    third = replace(SECOND, run_id="c", token=7_000, started_ms=4_000, begun=(4_000, 0))
    found = objections([long, SECOND, replace(third, ended=(4_500, 0))], INTERVAL)
    assert 2 == len(found), found


def test_the_least_slack_is_that_of_the_closest_starts() -> None:
    third = replace(SECOND, run_id="c", started_ms=4_000)
    assert 1 == least_slack_ms([third, FIRST, SECOND], INTERVAL)
