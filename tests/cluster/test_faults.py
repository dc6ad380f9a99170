"""The plain faults: a worker killed or ended, Redis stopped, a hog, deploys without a pause."""

import os
import signal
from collections.abc import Iterator

import pytest

from jobrunner import Outcome
from tests.cluster.objections import objections
from tests.cluster.outage import outage
from tests.cluster.records import Records
from tests.cluster.serving import SETTINGS, Fleet, job
from tests.support.processes import is_alive
from tests.support.servers import RedisServer
from tests.support.wait import wait_for

pytestmark = pytest.mark.cluster

#: Seconds that a loaded machine may add to what the library promises.
PATIENCE = 10

#: Short jobs beside the one that a test is about.
OTHERS = [job(f"other-{number}", interval=0.5) for number in range(3)]


@pytest.fixture
def fleet_redis() -> Iterator[RedisServer]:
    """The fleet's own, which may be stopped: the records stand in another server."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def records(redis_url: str) -> Iterator[Records]:
    with Records(redis_url) as records:
        yield records


def outcomes(fleet: Fleet, name: str) -> list[tuple[str, Outcome]]:
    """How the runs of a job ended, by what the history says."""
    return [(entry.run_id, entry.outcome) for entry in fleet.history_of(name)]


def test_a_job_of_a_killed_worker_is_taken_over(fleet_redis: RedisServer, records: Records) -> None:
    long = job("long", interval=7, seconds=600)
    with Fleet(fleet_redis, records, [long, *OTHERS], workers=3, DRAIN_TIMEOUT=0) as fleet:
        run = records.wait_for_runs("long")[0]
        assert run.run_id == fleet.lease_of("long")
        os.kill(run.pid, signal.SIGKILL)
        killed = records.now()

        wait_for(
            lambda: fleet.lease_of("long") != run.run_id,
            timeout=SETTINGS["LEASE"] + SETTINGS["CHECK_INTERVAL"] + PATIENCE,
            message="the end of the dead run's lease",
        )
        (entry,) = wait_for(lambda: fleet.history_of("long"), message="an entry of long")
        assert (run.run_id, Outcome.ABANDONED) == (entry.run_id, entry.outcome)
        # Noticed at the end of the lease, and not at the next due time.
        due = run.started_ms + fleet.interval_ms["long"]
        assert entry.finished_at * 1000 < due

        later = records.wait_for_runs("long", 2)[1]
        assert run.pid != later.pid
        assert run.token < later.token
        assert due < later.started_ms
        for other in OTHERS:
            records.wait_for_runs(other["name"], after=killed)
        assert [] == objections(records.runs(), fleet.interval_ms, dead=[run.pid])


@pytest.mark.parametrize("whole_server", [False, True], ids=["worker", "server"])
def test_a_terminated_worker_lets_runs_finish_and_interrupts_the_rest(
    fleet_redis: RedisServer, records: Records, whole_server: bool
) -> None:
    jobs = [job("short", interval=60, seconds=3), job("endless", interval=60, seconds=600)]
    # With a lease this long, what is free at once was released, and did not expire.
    with Fleet(fleet_redis, records, jobs, workers=1, LEASE=60) as fleet:
        (short,), (endless,) = (records.wait_for_runs(each["name"]) for each in jobs)
        os.kill(fleet.pid if whole_server else short.pid, signal.SIGTERM)
        wait_for(lambda: not is_alive(short.pid), message="the end of the worker")

        assert [(short.run_id, Outcome.SUCCEEDED)] == outcomes(fleet, "short")
        assert ["returned"] == [run.ending for run in records.runs("short")]
        assert [(endless.run_id, Outcome.INTERRUPTED)] == outcomes(fleet, "endless")
        assert ["RunInterruptedError"] == [run.ending for run in records.runs("endless")]
        assert ["", ""] == [fleet.lease_of(each["name"]) for each in jobs]
        if whole_server:
            wait_for(lambda: not fleet.running, message="the end of the server")
        else:
            wait_for(lambda: len(fleet.pids()) > 1, message="another worker")


def test_without_redis_nothing_starts_and_every_request_is_answered(
    fleet_redis: RedisServer, records: Records
) -> None:
    long = job("long", interval=1, seconds=600)
    with Fleet(fleet_redis, records, [long, *OTHERS], workers=4, DRAIN_TIMEOUT=0) as fleet:
        for name in fleet.interval_ms:
            records.wait_for_runs(name)
        seen = outage(fleet, fleet_redis, seconds=3)
        assert {200} == set(seen.statuses)
        assert [] == seen.begun
        once_each = dict.fromkeys(fleet.pids(), 1)
        assert once_each == seen.went
        assert once_each == seen.came
        assert seen.claimed_after < PATIENCE

        # The lease of the run that was on could not be renewed: it was told, and in time.
        lost, later = records.wait_for_runs("long", 2)[:2]
        assert "LeaseLostError" == lost.ending
        assert lost.ended < later.begun
        # Whoever looked first may have recorded it as abandoned: its own word replaces that.
        wait_for(
            lambda: (lost.run_id, Outcome.LEASE_LOST) in outcomes(fleet, "long"),
            message="the outcome of the lost run",
        )
        assert [] == objections(records.runs(), fleet.interval_ms)


def test_jobs_go_on_when_redis_has_lost_its_data(
    fleet_redis: RedisServer, records: Records
) -> None:
    jobs = [job(f"job-{number}", interval=0.5, seconds=0.3) for number in range(5)]
    with Fleet(fleet_redis, records, jobs, workers=3) as fleet:
        before = {each["name"]: records.wait_for_runs(each["name"])[0] for each in jobs}
        fleet_redis.restart(keep_data=False)
        back = records.now()
        for name, earlier in before.items():
            later = records.wait_for_runs(name, 5, after=back)[0]
            assert earlier.token < later.token
        assert [] == objections(records.runs(after=back), fleet.interval_ms)


def test_a_job_that_computes_for_four_leases_keeps_its_lease(
    fleet_redis: RedisServer, records: Records
) -> None:
    hog = job("hog", interval=1, seconds=4, computes=True)
    with Fleet(fleet_redis, records, [hog, *OTHERS], workers=3, LEASE=1) as fleet:
        run = records.wait_for_runs("hog")[0]
        holders = set()

        def is_over() -> bool:
            holder = fleet.lease_of("hog")
            if records.runs("hog")[0].ended is None:  # so it was read while the run was on
                holders.add(holder)
                return False
            return True

        wait_for(is_over, message="the end of the hog")
        assert {run.run_id} == holders
        records.wait_for_runs("hog", 2)
        assert Outcome.SUCCEEDED == fleet.history_of("hog")[-1].outcome
        assert [] == objections(records.runs(), fleet.interval_ms)


def test_deploys_without_a_pause_neither_starve_a_job_nor_run_it_twice_at_once(
    fleet_redis: RedisServer, records: Records
) -> None:
    jobs = [
        # No worker claims for as long as its interval.
        job("rare", interval=4, seconds=0.2),
        # Longer than its interval and a lease: due again while a worker that goes away runs it.
        job("busy", interval=1, seconds=1.5),
    ]
    with Fleet(fleet_redis, records, jobs, workers=2, LEASE=1) as fleet:
        deploys = 0

        def rare_ran_though_deployed() -> bool:
            nonlocal deploys
            if len(fleet.lines("Handling signal: hup")) == deploys:  # gunicorn queues them
                os.kill(fleet.pid, signal.SIGHUP)
                deploys += 1
            return len(records.runs("rare")) >= 4

        wait_for(rare_ran_though_deployed, timeout=60, every=1, message=lambda: str(records.runs()))
        records.wait_for_runs("busy", 5)
        assert deploys >= 4
        # Each kept its lease while its worker was going away.
        assert {"returned", None} >= {run.ending for run in records.runs()}
        assert [] == objections(records.runs(), fleet.interval_ms)
