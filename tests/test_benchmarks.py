"""What the benchmarks compare the library with, and how they judge what they saw."""

import pytest
import redis

from benchmarks.contenders.base import Scenario
from benchmarks.contenders.limit_loop import Loop, Protocol
from benchmarks.contenders.recorder import Began
from benchmarks.timing import drift, late_from_last, late_on_grid, percentile, window
from jobrunner import JobRunner, every


def scenario(redis_url: str, jobs: int = 3) -> Scenario:
    return Scenario("burst", jobs, 3600.0, redis_url, redis_url)


def history(client: redis.Redis, pattern: str) -> dict[bytes, bytes]:
    """The one entry of the one history of that name."""
    ((_, fields),) = client.xrange(client.keys(pattern)[0])
    return fields


class TestTheLimitLoop:
    def test_keeps_of_a_run_what_the_library_keeps(self, redis_url: str) -> None:
        client = redis.Redis.from_url(redis_url)
        Loop(scenario(redis_url, jobs=1)).round()
        runner = JobRunner(redis=client, namespace="bench")
        runner.job(every(hours=1), name="job")(lambda ctx: None)
        runner.tick(wait=True)
        runner.stop()

        entry, of_limit = history(client, "{bench}*:history"), history(client, "{limit}*:history")

        assert list(of_limit) == list(entry)
        assert of_limit[b"outcome"] == entry[b"outcome"] == b"succeeded"
        kept = set(client.hkeys("{bench}:job:job:state"))
        assert set(client.hkeys("{limit}:job:job-0:state")) <= kept
        assert not client.keys("*:lease")

    def test_runs_nothing_that_runs(self, redis_url: str) -> None:
        first, second = Protocol(scenario(redis_url)), Protocol(scenario(redis_url))

        claimed = first.claim(0, 2)

        assert [run.job for run in claimed] == [0, 1]
        assert [run.job for run in second.claim(0, 3)] == [2]
        first.finish(claimed)
        with pytest.raises(RuntimeError, match="2 of 2 runs were not ours"):
            first.finish(claimed)

    def test_runs_nothing_too_early(self, redis_url: str) -> None:
        client = redis.Redis.from_url(redis_url)
        protocol = Protocol(scenario(redis_url))
        protocol.finish(protocol.claim(0, 1))

        client.set("{limit}:job:job-0", int(client.time()[0]) + 60)

        assert protocol.claim(0, 1) == []


class TestTiming:
    def test_on_a_grid_a_run_is_late_by_the_time_since_its_due_time(self) -> None:
        runs = [Began("a", 1, at) for at in (9.9, 10.002, 11.004, 12.001)]

        late = late_on_grid(runs, 1.0, (10.0, 12.0))

        assert [run.by for run in late] == pytest.approx([0.002, 0.004])

    def test_from_the_last_start_a_run_is_late_by_what_exceeds_the_interval(self) -> None:
        runs = [Began(job, 1, at) for at, job in ((10.0, "a"), (10.1, "b"), (11.2, "a"))]

        late = late_from_last([*runs, Began("a", 1, 12.3)], 1.0, (11.0, 13.0))

        assert [run.by for run in late] == pytest.approx([0.2, 0.1])
        assert [run.off for run in late] == pytest.approx([0.2, 0.3])

    @pytest.mark.parametrize("moved", [0.0, 0.01])
    def test_a_drift_is_what_a_start_moves_by(self, moved: float) -> None:
        runs = [Began("a", 1, number * (1 + moved) + 0.001) for number in range(20)]

        found = drift(late_from_last(runs, 1.0, (0.0, 30.0)))

        assert found == pytest.approx(moved, rel=0.02, abs=1e-9)

    def test_a_watch_begins_with_a_due_time_after_the_start(self) -> None:
        assert window([Began("a", 1, 10.3)], 1.0, beats=2, lead=0.7) == (11.0, 13.0)
        assert window([Began("a", 1, 10.4)], 1.0, beats=2, lead=0.7) == (12.0, 14.0)

    def test_percentiles(self) -> None:
        values = [float(value) for value in range(100, 0, -1)]

        assert [percentile(values, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1, 50, 99, 100]
