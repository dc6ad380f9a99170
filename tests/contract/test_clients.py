"""Whatever client was handed in: str or bytes, RESP2 or RESP3; and scripts that Redis forgot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from jobrunner.job import JobDefinition
from jobrunner.run import HistoryEntry, Outcome
from jobrunner.store.announced import Announced
from jobrunner.store.answers import Known, Status

from .fleet import MINUTE, NOON, Fleet, MakeClient

OPTIONS: list[dict[str, Any]] = [
    {},
    {"decode_responses": True},
    {"decode_responses": True, "encoding": "latin-1"},
    {"encoding": "ascii"},
    {"protocol": 2},
    {"protocol": 2, "decode_responses": True},
    {"protocol": 3},
    {"protocol": 3, "decode_responses": True},
    {"max_connections": 3, "health_check_interval": 1},
]


class TestAnyClient:
    @pytest.fixture(params=OPTIONS, ids=str)
    def fleet(
        self, request: pytest.FixtureRequest, make_real_client: MakeClient
    ) -> Iterator[Fleet]:
        """A fleet whose first store is over a client with these options."""
        with (
            closing(Fleet(make_real_client)) as fleet,
            make_real_client(**request.param) as handed_in,
        ):
            fleet.one = fleet.store("one", client=handed_in)
            yield fleet

    def test_a_run_from_claim_to_history(self, fleet: Fleet, purge: JobDefinition) -> None:
        assert Known(None, NOON, None, 0)[:7] == fleet.look(purge).known[:7]

        claimed = fleet.claim(purge, "run-1")
        again = fleet.claim(purge, "run-1")
        assert (Status.CLAIMED, Status.AGAIN) == (claimed.status, again.status)
        assert Known(NOON, NOON, "run-1", 30_000)[:7] == claimed.known[:7] == again.known[:7]
        assert 1_700_000_000_000_000 < claimed.token == again.token
        assert NOON == claimed.due_ms == again.due_ms

        assert fleet.renew(purge, "run-1")
        finished = fleet.finish(purge, "run-1", Outcome.FAILED, "ValueError: naïve…")
        assert ("finished", Known(NOON, NOON, None, 0)[:7], "") == (
            finished.status,
            finished.known[:7],
            finished.problem,
        )
        expected = HistoryEntry(
            run_id="run-1",
            job="purge",
            token=claimed.token,
            instance="one",
            due_at=NOON / 1000,
            started_at=NOON / 1000,
            finished_at=NOON / 1000,
            outcome=Outcome.FAILED,
            error="ValueError: naïve…",
        )
        assert [expected] == fleet.one.history(purge, 10)
        (peek,) = fleet.one.peek([purge.keys])
        assert (str(NOON // 1000), "ValueError: naïve…") == (peek.last_start, peek.state["error"])

    def test_an_abandoned_run_and_a_give_back(self, fleet: Fleet, purge: JobDefinition) -> None:
        fleet.claimed(purge, "run-1")
        fleet.lease_ends(purge)
        fleet.now_ms = NOON + MINUTE + 1

        assert "run-1" == fleet.claim(purge, "run-2", NOON).abandoned
        fleet.claimed(purge, "run-2", NOON)
        assert fleet.give_back(purge, "run-2")
        assert [Outcome.ABANDONED] == [entry.outcome for entry in fleet.one.history(purge, 10)]

    def test_corrupt_keys_are_quoted(self, fleet: Fleet, purge: JobDefinition) -> None:
        fleet.client.set(purge.keys.sync_key, "naïve")

        assert f"{purge.keys.sync_key} = naïve" == fleet.look(purge).problem

        fleet.client.delete(purge.keys.sync_key)
        fleet.client.rpush(purge.keys.sync_key, 1)
        assert "WRONGTYPE" in fleet.look(purge).problem
        (peek,) = fleet.one.peek([purge.keys])
        assert "WRONGTYPE" in str(peek.problem)

    def test_the_fleet_s_own_keys(self, fleet: Fleet, purge: JobDefinition) -> None:
        fleet.two.announce([purge])

        assert Announced(None, NOON) == fleet.one.announce([purge])["purge"]
        assert NOON == fleet.one.now_ms()
        fleet.one.claim([])
        fleet.one.forget_instance()
        assert [] == fleet.client.zrange("{shop}:instances", 0, -1)


def test_the_scripts_survive_that_redis_forgets_them(fleet: Fleet, purge: JobDefinition) -> None:
    for number in range(2):
        fleet.now_ms = NOON + number * 2 * MINUTE
        last_ms = fleet.known(purge).last_ms

        fleet.client.script_flush()
        fleet.claimed(purge, f"given-back-{number}", last_ms)
        fleet.client.script_flush()
        assert fleet.give_back(purge, f"given-back-{number}")
        fleet.client.script_flush()
        fleet.claimed(purge, f"run-{number}", last_ms)
        fleet.client.script_flush()
        assert fleet.renew(purge, f"run-{number}")
        fleet.client.script_flush()
        assert "finished" == fleet.finish(purge, f"run-{number}").status

    assert ["run-1", "run-0"] == [entry.run_id for entry in fleet.one.history(purge, 10)]
    assert "2" == fleet.client.hget(purge.keys.state, "runs")
