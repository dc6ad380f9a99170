"""What people ask of four real workers from other processes: run now, pause, resume, cancel.

No assertion is about a short time: `python -m benchmarks.controls` measures those.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

import pytest

from jobrunner import Outcome
from tests.cluster.controlling import PATIENCE, Controlled
from tests.cluster.records import OPEN, RecordedRun, Records
from tests.support.servers import RedisServer
from tests.support.wait import wait_for

pytestmark = pytest.mark.cluster

#: Seconds within which a control must have had its effect: far from what it takes, and far from
#: the next due time of the jobs.
GENEROUS = 20

#: How `flask jobs` ends when the state of the job forbids what was asked.
REFUSED = 3


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[RedisServer, RedisServer]]:
    """The fleet's own Redis, and the one of its records."""
    with RedisServer() as server, RedisServer() as witness:
        yield server, witness


@pytest.fixture(scope="module")
def shared_fleet(servers: tuple[RedisServer, RedisServer]) -> Iterator[Controlled]:
    """One fleet of all these tests: each leaves its jobs at rest."""
    server, witness = servers
    # The rolling look would find by itself, after a minute, what nobody told.
    with (
        Records(witness.url) as records,
        Controlled(server, records, beats=["beat", "other"], RESYNC_INTERVAL=3600) as fleet,
    ):
        yield fleet


@pytest.fixture
def fleet(shared_fleet: Controlled) -> Controlled:
    """The fleet, and no records of earlier tests."""
    shared_fleet.records.client.flushdb()
    return shared_fleet


def running(fleet: Controlled, name: str) -> RecordedRun:
    """The run of a job that a request has just started."""
    number = 1 + len(fleet.records.runs(name))
    fleet.flask_jobs("trigger", name)
    return fleet.records.wait_for_runs(name, number, timeout=PATIENCE)[-1]


def assert_cancelled(fleet: Controlled, run: RecordedRun) -> None:
    """The run has stopped, could clean up, is recorded, and its job is free."""
    entry = wait_for(
        lambda: next((e for e in fleet.history_of(run.job) if e.run_id == run.run_id), None),
        timeout=GENEROUS,
        message="an entry of the cancelled run",
    )
    assert Outcome.CANCELLED == entry.outcome
    assert ["RunCancelledError"] == [r.ending for r in fleet.records.runs(run.job)]
    assert "" == fleet.lease_of(run.job)


def test_a_trigger_runs_the_job_once_and_soon(fleet: Controlled) -> None:
    said = fleet.flask_jobs("trigger", "quick")
    written_ms = fleet.written_ms()
    (request,) = re.findall(r"request (\w+)", said)

    entry = fleet.wait_for_answer("quick", request)

    assert Outcome.SUCCEEDED == entry.outcome
    assert entry.started_at * 1000 - written_ms < GENEROUS * 1000
    # And not again, by one of the other three: each has looked since.
    looked(fleet)
    assert [entry.run_id] == [run.run_id for run in fleet.records.runs("quick")]


def test_a_trigger_that_waits_returns_how_it_went(fleet: Controlled) -> None:
    (run_id,) = fleet.asked(("trigger", "quick", {"wait": True, "timeout": PATIENCE}))

    (run,) = fleet.records.runs("quick")
    assert run.run_id == run_id
    entry = next(e for e in fleet.history_of("quick") if e.run_id == run_id)
    assert (Outcome.SUCCEEDED, f'{{"pid": {run.pid}}}') == (entry.outcome, entry.result)
    assert "succeeded" in fleet.flask_jobs("trigger", "quick", "--wait")


def test_a_job_that_runs_refuses_and_a_request_that_queues_follows(fleet: Controlled) -> None:
    first = running(fleet, "gate")

    assert first.run_id in fleet.flask_jobs("trigger", "gate", code=REFUSED)
    (request,) = fleet.asked(("trigger", "gate", {"queue": True}))
    (again,) = fleet.asked(("trigger", "gate", {"queue": True}))
    assert request == again, "one that waits already is joined"
    looked(fleet)
    assert 1 == len(fleet.records.runs("gate"))
    fleet.records.client.set(OPEN, 1)

    entry = fleet.wait_for_answer("gate", request)
    looked(fleet)
    one, two = fleet.records.runs("gate")
    assert (first.run_id, entry.run_id) == (one.run_id, two.run_id)
    assert one.ended is not None
    assert one.ended < two.begun


def test_many_triggers_at_once_have_one_run_for_each_request(fleet: Controlled) -> None:
    queued = [("trigger", "slow", {"queue": True})] * 5

    answers = fleet.asked_at_once([queued] * 4)

    requests = {request for each in answers for request in each}
    assert 20 == sum(map(len, answers))
    entries = [fleet.wait_for_answer("slow", request) for request in requests]
    looked(fleet)
    runs = fleet.records.runs("slow")
    assert len(requests) == len(runs)
    assert {entry.run_id for entry in entries} == {run.run_id for run in runs}
    assert {"returned"} == {run.ending for run in runs}
    assert [] == [
        (one, two) for one, two in pairwise(runs) if one.ended is None or one.ended > two.begun
    ]


def test_a_paused_job_starts_no_run_until_it_is_resumed(fleet: Controlled) -> None:
    fleet.records.wait_for_runs("beat", 3)
    fleet.flask_jobs("pause", "beat", "--reason", "the disk is full")
    paused_ms = fleet.written_ms()

    looked(fleet)
    assert [] == [r for r in fleet.records.runs("beat") if r.started_ms > paused_ms]
    assert "the disk is full" in fleet.flask_jobs("show", "beat")
    # Whoever asks by name has it run all the same.
    (run_id,) = fleet.asked(("trigger", "beat", {"wait": True, "timeout": PATIENCE}))
    late = [r.run_id for r in fleet.records.runs("beat") if r.started_ms > paused_ms]
    assert [run_id] == late

    fleet.flask_jobs("resume", "beat")
    resumed = fleet.records.now()
    assert fleet.records.wait_for_runs("beat", 3, after=resumed, timeout=GENEROUS)


def test_a_pause_that_ends_by_itself_needs_nobody(fleet: Controlled) -> None:
    until_ms = fleet.now_ms() + 3000
    fleet.asked(("pause", "beat", {"until": until_ms / 1000}))
    paused_ms = fleet.written_ms()

    def begun() -> list[int]:
        return [r.started_ms for r in fleet.records.runs("beat") if r.started_ms > paused_ms]

    wait_for(lambda: len(begun()) >= 2, timeout=GENEROUS, message="runs after the pause")
    assert [] == [ms for ms in begun() if ms < until_ms]


@pytest.mark.parametrize("name", ["endless", "native"])
def test_a_run_in_another_process_is_cancelled(fleet: Controlled, name: str) -> None:
    """In a greenlet that sleeps, and in a native thread that asks."""
    run = running(fleet, name)
    assert run.run_id == fleet.lease_of(name)

    assert run.run_id in fleet.flask_jobs("cancel", name)

    assert_cancelled(fleet, run)
    assert "not running" in fleet.flask_jobs("cancel", name, code=REFUSED)
    again = running(fleet, name)  # nothing of it is left for the next run
    looked(fleet)
    assert again.run_id == fleet.lease_of(name)
    fleet.flask_jobs("cancel", name)
    wait_for(lambda: fleet.lease_of(name) == "", timeout=GENEROUS, message="its end")


def test_a_reset_job_is_due_at_once_and_once(fleet: Controlled) -> None:
    fleet.asked(("trigger", "quick", {"wait": True, "timeout": PATIENCE}))
    fleet.flask_jobs("reset", "quick")

    fleet.records.wait_for_runs("quick", 2, timeout=GENEROUS)
    looked(fleet)
    assert 2 == len(fleet.records.runs("quick"))


def looked(fleet: Controlled) -> None:
    """Return when every worker has checked several times since: each ran the other beat."""
    since = fleet.records.now()

    def all_ran() -> bool:
        runs = fleet.records.runs("other", after=since)
        return len(runs) >= 10 and len({run.pid for run in runs}) == 4

    wait_for(all_ran, timeout=GENEROUS * 3, message="runs of every worker")
