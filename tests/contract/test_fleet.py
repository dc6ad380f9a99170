"""What the fleet shares besides its jobs: who lives, which jobs there are, how they stand."""

from __future__ import annotations

import json

import pytest

from jobrunner import cron, every
from jobrunner.job import FunctionJob, JobDefinition
from jobrunner.store.announced import Announced
from jobrunner.store.answers import Peek
from jobrunner.store.redis import MAX_BATCH

from .fleet import MINUTE, NAMESPACE, NOON, Fleet, ask, job

INSTANCES = f"{{{NAMESPACE}}}:instances"
JOBS = f"{{{NAMESPACE}}}:jobs"


class TestInstances:
    def test_each_claim_says_that_its_instance_lives(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        seconds, micros = fleet.client.time()
        before_ms = int(seconds) * 1000 + int(micros) // 1000

        fleet.one.claim([])
        fleet.two.claim([ask(purge)])

        seen = dict(fleet.client.zrange(INSTANCES, 0, -1, withscores=True))
        assert {"one", "two"} == set(seen)
        seconds, micros = fleet.client.time()
        # By Redis's own clock, whatever is injected.
        for score in seen.values():
            assert before_ms <= score <= int(seconds) * 1000 + int(micros) // 1000

    def test_an_instance_that_was_not_seen_for_long_is_forgotten(self, fleet: Fleet) -> None:
        seconds, _ = fleet.client.time()
        now_ms = int(seconds) * 1000
        fleet.client.zadd(INSTANCES, {"dead": now_ms - 61_000, "slow": now_ms - 50_000})

        fleet.store("three", forget_after_ms=60_000).claim([])

        assert {"slow", "three"} == set(fleet.client.zrange(INSTANCES, 0, -1))

    def test_each_claim_tells_how_many_live(self, fleet: Fleet, purge: JobDefinition) -> None:
        assert 1 == fleet.one.living  # as far as it knows

        fleet.one.claim([])
        fleet.two.claim([ask(purge)])
        assert (1, 2) == (fleet.one.living, fleet.two.living)

        fleet.one.claim([ask(purge, "run-1")])
        assert 2 == fleet.one.living
        fleet.two.forget_instance()
        fleet.one.claim([])
        assert 1 == fleet.one.living

    def test_those_that_were_not_seen_for_long_are_not_counted(self, fleet: Fleet) -> None:
        fleet.client.zadd(INSTANCES, {f"dead {number}": NOON - 1 for number in range(9)})

        fleet.one.claim([])

        assert 1 == fleet.one.living

    def test_an_instance_that_stops_takes_itself_off_and_no_other(self, fleet: Fleet) -> None:
        fleet.one.claim([])
        fleet.two.claim([])

        fleet.one.forget_instance()
        fleet.one.forget_instance()

        assert ["two"] == fleet.client.zrange(INSTANCES, 0, -1)

    def test_a_list_of_a_wrong_type_hinders_no_claim(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        fleet.client.set(INSTANCES, "not a zset")

        fleet.claimed(purge, "run-1")

        assert 1 == fleet.one.living
        assert "not a zset" == fleet.client.get(INSTANCES)


def moved(announced: dict[str, Announced]) -> dict[str, str]:
    """The jobs that were announced from elsewhere before, and from where."""
    return {n: a.moved_from for n, a in announced.items() if a.moved_from is not None}


class TestAnnouncements:
    def test_every_process_can_read_which_jobs_there_are(self, fleet: Fleet) -> None:
        report = job("report", cron("0 3 * * *", tz="Europe/Vienna"), sync_key="REPORT")

        assert {} == moved(fleet.one.announce([job("purge"), report]))

        written = {name: json.loads(raw) for name, raw in fleet.client.hgetall(JOBS).items()}
        origin = "tests.contract.fleet.nothing"
        assert written == {
            "purge": {
                "schedule": "every minute",
                "sync_key": "{shop}:job:purge",
                "origin": origin,
                "since": {"every minute": NOON},
                "instances": ["one"],
            },
            "report": {
                "schedule": "cron '0 3 * * *' in Europe/Vienna",
                "sync_key": "REPORT",
                "origin": origin,
                "since": {"cron '0 3 * * *' in Europe/Vienna": NOON},
                "instances": ["one"],
            },
        }

    def test_the_same_again_differs_in_nothing(self, fleet: Fleet, purge: JobDefinition) -> None:
        fleet.one.announce([purge])

        assert {} == moved(fleet.two.announce([purge]))

    def test_a_job_of_another_origin_is_told_and_replaced(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        fleet.one.announce([purge, job("report")])

        def purge_elsewhere(ctx: object) -> None: ...

        written = FunctionJob(purge_elsewhere, every(minutes=1), name="purge")
        other = JobDefinition.of(written, NAMESPACE)

        announced = fleet.two.announce([other, job("report")])

        assert {"purge": "tests.contract.fleet.nothing"} == moved(announced)
        assert {} == moved(fleet.two.announce([other]))

    @pytest.mark.parametrize("before", ["", "not JSON", "[]", "null", '"text"', '{"a": 1}'])
    def test_what_is_no_announcement_is_written_anew(
        self, fleet: Fleet, purge: JobDefinition, before: str
    ) -> None:
        fleet.client.hset(JOBS, "purge", before)

        assert {} == moved(fleet.one.announce([purge]))

        assert "every minute" == json.loads(fleet.client.hget(JOBS, "purge"))["schedule"]

    def test_a_schedule_is_known_since_it_was_first_announced(self, fleet: Fleet) -> None:
        """By old instances and new ones, in turns: a deploy takes its time."""
        old, new = job("report", cron("0 3 * * *")), job("report", cron("0 4 * * *"))

        assert NOON == fleet.one.announce([old])["report"].since_ms
        fleet.now_ms = NOON + MINUTE
        assert NOON + MINUTE == fleet.two.announce([new])["report"].since_ms
        fleet.now_ms = NOON + 2 * MINUTE
        assert NOON == fleet.one.announce([old])["report"].since_ms
        assert NOON + MINUTE == fleet.two.announce([new])["report"].since_ms

    def test_only_so_many_schedules_of_a_job_are_remembered(self, fleet: Fleet) -> None:
        for minute in range(20):
            fleet.one.announce([job("report", cron(f"{minute} 3 * * *"))])

        since = json.loads(fleet.client.hget(JOBS, "report"))["since"]
        assert [f"cron '{minute} 3 * * *' in UTC" for minute in range(15, 20)] == list(since)

    def test_more_than_a_batch(self, fleet: Fleet) -> None:
        jobs = [job(f"job-{number}") for number in range(2 * MAX_BATCH + 1)]

        assert {} == moved(fleet.one.announce(jobs))
        assert {} == moved(fleet.one.announce([]))

        assert len(jobs) == fleet.client.hlen(JOBS)


class TestPeek:
    def test_it_reads_and_touches_nothing(self, fleet: Fleet, purge: JobDefinition) -> None:
        unknown = job("unknown")
        fleet.claimed(purge, "run-1")
        before = fleet.stored(purge)

        running, nothing = fleet.two.peek([purge.keys, unknown.keys])

        assert (str(NOON // 1000), None) == (running.last_start, running.problem)
        assert before["state"] == running.state
        assert 0 < running.lease_left_ms <= 30_000
        assert Peek(None, {}, 0, None) == nothing
        assert before == fleet.stored(purge)
        assert not fleet.client.exists(*unknown.keys.all())

    @pytest.mark.parametrize("kind", ["sync_key", "state"])
    def test_a_key_of_a_wrong_type_is_the_problem_of_its_own_job(
        self, fleet: Fleet, kind: str
    ) -> None:
        broken, sound = job("broken"), job("sound")
        fleet.claimed(sound, "run-1")
        fleet.client.rpush(getattr(broken.keys, kind), "not", "mine")

        first, second = fleet.one.peek([broken.keys, sound.keys])

        assert first.problem is not None
        assert "WRONGTYPE" in first.problem
        assert (str(NOON // 1000), None) == (second.last_start, second.problem)

    def test_more_than_a_batch_comes_in_order(self, fleet: Fleet) -> None:
        jobs = [job(f"job-{number}") for number in range(MAX_BATCH + 3)]
        for number, definition in enumerate(jobs):
            fleet.client.set(definition.keys.sync_key, number)

        peeks = fleet.one.peek([definition.keys for definition in jobs])

        assert [str(number) for number in range(MAX_BATCH + 3)] == [p.last_start for p in peeks]


def test_a_job_without_a_past_has_no_history(fleet: Fleet, purge: JobDefinition) -> None:
    assert [] == fleet.one.history(purge, 10)


def test_the_time_is_asked_for_when_nothing_was_heard_yet(fleet: Fleet) -> None:
    fleet.now_ms = None
    seconds, micros = fleet.client.time()
    before_ms = int(seconds) * 1000 + int(micros) // 1000

    now_ms = fleet.one.now_ms()

    seconds, micros = fleet.client.time()
    assert before_ms <= now_ms <= int(seconds) * 1000 + int(micros) // 1000
    fleet.trust += 60
    assert now_ms + MINUTE == fleet.one.now_ms()
