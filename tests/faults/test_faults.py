"""A sample of what `make faults` does a thousand times: real processes, and no promise broken."""

import itertools
import signal

import pytest

from jobrunner import Outcome
from tests.faults.campaign import Campaign
from tests.faults.effects import Effects
from tests.faults.fleet import CHECK, LEASE, Fleet
from tests.faults.jobs import FENCED, JOBS, Work
from tests.faults.servers import FaultyRedis
from tests.faults.takeover import after_kill, after_term
from tests.faults.witness import Seen
from tests.support.servers import RedisServer
from tests.support.wait import wait_for

pytestmark = pytest.mark.cluster

#: Milliseconds that the promise allows beside lease and check interval; and what a machine that has
#: other work may add to a sample of a few.
ALLOWED, PATIENCE = 500, 2000


def test_faults_break_no_promise(
    faulty_redis: FaultyRedis, witness_redis: RedisServer, postgres_url: str
) -> None:
    effects = Effects(postgres_url)
    effects.prepare()
    works = [*JOBS, *FENCED]
    with Fleet(faulty_redis, witness_redis, works, database=postgres_url) as fleet:
        figures = Campaign(fleet, 7, effects).run(30)
    assert [] == figures.objections
    assert 0 < figures.commits
    assert 30 <= sum(figures.faults.values())
    assert 10 <= len(figures.faults)
    assert {"succeeded", "failed", "abandoned"} <= set(figures.outcomes)


def test_another_instance_repeats_at_once_what_a_killed_one_ran(
    faulty_redis: FaultyRedis, witness_redis: RedisServer
) -> None:
    took = after_kill(faulty_redis, witness_redis, 5)
    assert took["max"] <= (LEASE + CHECK) * 1000 + ALLOWED + PATIENCE
    # And not before the dead run's lease was over.
    assert took["p50"] > LEASE * 1000 / 2


def test_another_instance_goes_on_within_a_check_after_one_was_ended(
    faulty_redis: FaultyRedis, witness_redis: RedisServer
) -> None:
    took = after_term(faulty_redis, witness_redis, 5)
    assert took["max"] <= CHECK * 1000 + PATIENCE


def test_a_job_that_kills_its_instances_is_quarantined_and_the_others_go_on(
    faulty_redis: FaultyRedis, witness_redis: RedisServer
) -> None:
    # Not due at the end of a lease, as the poison is: who dies beside it three times waits as well.
    works = [Work("poison", 0.5, 0, kind="kills"), Work("sound", 1.5 * LEASE, 0.02)]
    with Fleet(faulty_redis, witness_redis, works, places=2, quarantine_after=3) as fleet:

        def quarantined() -> bool:
            for place in fleet.places:
                if place.process.poll() == -signal.SIGKILL:
                    place.fill()
            return "Job poison is quarantined" in fleet.log()

        wait_for(quarantined, every=0.1, message=fleet.log)
        wait_for(lambda: all(place.is_ready for place in fleet.places), message=fleet.log)
        living = set(fleet.living())
        before = len(runs_of(fleet, "sound"))
        wait_for(lambda: len(runs_of(fleet, "sound")) >= before + 3, message=fleet.log)
        assert living == set(fleet.living())
        assert 3 == len(runs_of(fleet, "poison"))
        assert 3 * [Outcome.ABANDONED] == [e.outcome for e in fleet.history()["poison"]]


def test_deploys_more_frequent_than_a_job_do_not_starve_it(
    faulty_redis: FaultyRedis, witness_redis: RedisServer
) -> None:
    interval = 4
    works = [Work("rare", interval, 0.05), Work("often", 0.5, 0.05)]
    with Fleet(faulty_redis, witness_redis, works, places=2) as fleet:
        lives = []

        def deployed_until_it_ran() -> bool:
            for place in fleet.places:
                place.send(signal.SIGTERM)
                place.fill()
            wait_for(lambda: any(place.is_ready for place in fleet.places), message=fleet.log)
            lives.append(len(runs_of(fleet, "rare")))
            return lives[-1] >= 3

        wait_for(deployed_until_it_ran, timeout=90, every=0.3, message=fleet.log)
        starts = sorted(run.started_ms for run in runs_of(fleet, "rare"))
        gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
        # Several fleets came and went in between, and it was due in none of them from its start.
        assert len(lives) > 2 * len(gaps)
        assert all(interval * 1000 < gap for gap in gaps), gaps
        assert all(gap < (interval + CHECK) * 1000 + PATIENCE for gap in gaps), gaps


def runs_of(fleet: Fleet, name: str) -> list[Seen]:
    return [run for run in fleet.witness.runs() if run.job == name]
