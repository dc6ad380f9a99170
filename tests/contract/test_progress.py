"""How far a run is: written while it is the running one, and many in one call."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobrunner.job import JobDefinition
from jobrunner.store.answers import Report

from .fleet import NOON, Fleet, job


def tell(fleet: Fleet, definition: JobDefinition, run_id: str, *told: Any, ago: float = 0) -> bool:
    done, total, message = told
    report = Report(definition, run_id, done, total, message, fleet.trust - ago)
    (written,) = fleet.one.progress([report])
    assert isinstance(written, bool)
    return written


def stored(fleet: Fleet, definition: JobDefinition) -> Any:
    return json.loads(fleet.client.hget(definition.keys.state, "progress") or "null")


@pytest.mark.parametrize(
    ("done", "total", "message"),
    [
        (3, 10, "rows"),
        (0.5, None, ""),
        (1, 1.5, 'q"uote \\ naïve \u2028 😀'),
        (10**15, 10**16, "x"),
    ],
)
def test_it_is_written_with_the_time_at_which_it_was_told(
    fleet: Fleet, purge: JobDefinition, done: float, total: float | None, message: str
) -> None:
    fleet.claimed(purge, "run-1")
    fleet.now_ms = NOON + 5000

    assert tell(fleet, purge, "run-1", done, total, message, ago=1.5)

    expected = {"done": done, "total": total, "message": message, "at_ms": NOON + 3500}
    assert expected == stored(fleet, purge)


def test_a_run_that_is_not_the_running_one_writes_nothing(
    fleet: Fleet, purge: JobDefinition
) -> None:
    assert not tell(fleet, purge, "run-0", 1, 2, "")
    fleet.claimed(purge, "run-1")
    assert not tell(fleet, purge, "run-0", 1, 2, "")
    fleet.finish(purge, "run-1")
    before = fleet.stored(purge)

    assert not tell(fleet, purge, "run-1", 1, 2, "")

    assert before == fleet.stored(purge)
    assert "progress" not in before["state"]


def test_of_an_abandoned_run_it_goes(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.claimed(purge, "run-1")
    tell(fleet, purge, "run-1", 1, 2, "")
    fleet.lease_ends(purge)

    assert "run-1" == fleet.look(purge, NOON).abandoned

    assert stored(fleet, purge) is None


def test_many_go_in_one_call_and_a_wrong_key_stops_no_other(fleet: Fleet) -> None:
    jobs = [job(name) for name in "abc"]
    for definition in jobs:
        fleet.claimed(definition, f"run-{definition.name}")
    fleet.client.delete(jobs[1].keys.state)
    fleet.client.set(jobs[1].keys.state, "no hash")

    written = fleet.one.progress(
        [Report(j, f"run-{j.name}", number, 3, "", fleet.trust) for number, j in enumerate(jobs)]
    )

    assert [True, False, True] == written
    assert [0, 2] == [stored(fleet, jobs[0])["done"], stored(fleet, jobs[2])["done"]]
