"""What the benchmarks count from outside, and how they judge what they watched."""

import threading
import time

import pytest

from benchmarks.contenders.recorder import Began
from benchmarks.measures import takeover
from benchmarks.measures.duplicates import early
from benchmarks.results import Result
from benchmarks.traffic import Totals, asked, by_command, own_share, totals
from benchmarks.window import between_two_dues, is_steady
from tests.support.servers import RedisServer


class TestTraffic:
    def test_sees_commands_of_clients_and_not_those_of_scripts(self) -> None:
        with RedisServer() as server, server.client() as client:
            until = time.time() + 1.0
            script = "redis.call('SET', 'a', 1); return redis.call('GET', 'a')"
            timer = threading.Timer(0.3, lambda: (client.eval(script, 0), client.get("a")))
            timer.start()

            found = asked(server.port, until)
            timer.join()

        assert by_command([one for one in found if one.command in ("EVAL", "GET", "SET")]) == (
            "EVAL 1, GET 1"
        )
        assert all(until - 1.0 <= one.at <= until for one in found)

    def test_a_pipeline_is_one_round_trip(self) -> None:
        with RedisServer() as server, server.client() as client, server.client() as other:
            other.ping()
            share = own_share(client)
            before = totals(client)
            with other.pipeline(transaction=False) as pipeline:
                pipeline.set("a", "x" * 1000).get("a").execute()
            other.get("a")
            after = totals(client).since(before).since(share)

        assert after.written == 2
        assert 1000 < after.received < 1200
        assert 2000 < after.sent < 2200

    def test_differences(self) -> None:
        assert Totals(5, 7, 9).since(Totals(1, 2, 3)) == Totals(4, 5, 6)


class TestBetweenTwoDues:
    def test_is_half_an_interval_from_what_ran(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(time, "time", lambda: 105.3)

        assert between_two_dues([Began("a", 1, 100.0), Began("a", 1, 103.1)], 2.0) == 106.1

    @pytest.mark.parametrize(
        ("interval", "ats", "steady"),
        [
            (1.0, [], False),
            (1.0, [7.0], True),
            (60.0, [7.0, 7.1], False),
            (60.0, [7.0, 60.1], True),
        ],
    )
    def test_runs_at_the_start_do_not_tell_a_minute(
        self, interval: float, ats: list[float], steady: bool
    ) -> None:
        assert is_steady([Began("a", 1, at) for at in ats], interval) is steady


class TestEarly:
    def test_counts_what_follows_its_own_job_too_soon(self) -> None:
        at = [Began("a", 1, 0.0), Began("b", 2, 0.5), Began("a", 2, 0.89), Began("b", 1, 1.41)]

        assert early(at, 1.0) == 1


class TestTakeover:
    @pytest.mark.parametrize(
        ("seconds", "repeated", "held"),
        [
            (7.2, False, True),
            (1.9, True, False),  # nobody asked for the killed run again
            (9.0, False, False),  # due after 7 s, with a check every 0.5 s
            (None, False, False),
        ],
    )
    def test_without_recover(self, seconds: float | None, repeated: bool, held: bool) -> None:
        assert judged(takeover.SHORT, seconds, repeated) is held

    @pytest.mark.parametrize(
        ("seconds", "repeated", "held"),
        [(1.9, True, True), (7.2, False, False), (4.0, True, False)],
    )
    def test_with_recover(self, seconds: float | None, repeated: bool, held: bool) -> None:
        assert judged(takeover.SHORT_RECOVER, seconds, repeated) is held


def judged(contender: takeover.Contender, seconds: float | None, repeated: bool) -> bool:
    result = Result("takeover", "")
    after = takeover.After(seconds, repeated, until_due=7.0)
    takeover.judge(result, takeover.Case(contender, "SIGKILL"), [after])
    (held,) = result.goals.values()
    return held
