"""The user of docs/redis.md: its rule is enough, and no right in it is one too many."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from jobrunner import StoreError
from jobrunner.job import JobDefinition
from jobrunner.run import Outcome
from jobrunner.store.answers import Control, Ending, Report, Status
from jobrunner.store.redis import RedisStore
from jobrunner.store.servers import Replicas
from tests.contract.fleet import MINUTE, NOON, ask, job
from tests.support.servers import RedisServer

from .conftest import MakeStore

PAGE = (Path(__file__).parents[2] / "docs" / "redis.md").read_text("utf-8")
RULE = " ".join(re.search(r"ACL SETUSER (.*?)```", PAGE, re.DOTALL)[1].split())  # type: ignore[index]
PASSWORD = "a-long-password"
COMMANDS = re.findall(r"\+([a-z|]+)", RULE)


def url(server: RedisServer, password: str = PASSWORD) -> str:
    return f"redis://jobs:{password}@127.0.0.1:{server.port}/0"


def jobs() -> list[JobDefinition]:
    return [job("report"), job("purge", sync_key="PURGE_LAST_RUN")]


def give(server: RedisServer, *more: str) -> None:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "jobs", "reset")
        client.execute_command("ACL", "SETUSER", *RULE.split(), *more)


def everything(server: RedisServer, make_store: MakeStore) -> None:
    """All that an instance does, in its life and for a person who looks."""
    now_ms = NOON
    clock = _Clock()
    store: RedisStore = make_store(url(server), clock=clock, history_age_ms=3_600_000)
    store.now_ms()
    store.introduce("here", 1, ())
    assert ["here"] == [one.host for one in store.instances()]
    store.claim([])
    assert "done" == store.control(jobs()[0], "pause", "-", "why").status
    assert "done" == store.control(jobs()[0], "resume").status
    heard: list[Control] = []
    store.on_control = heard.append
    store.claim([])
    assert [("report", "report")] == [told.names for told in heard]
    for number, definition in enumerate(jobs()):
        store.announce([definition])
        clock.now = now_ms = NOON + number * 10 * MINUTE
        first, second, third = (f"{number}-{run}" for run in range(3))
        (answer,) = store.claim([ask(definition, first)])
        assert Status.CLAIMED == answer.status
        assert store.larger_token(definition, first, answer.token)
        assert [True] == store.renew([(definition, first)])
        assert [True] == store.give_back([(definition, first)])
        (answer,) = store.claim([ask(definition, second)])
        assert Status.CLAIMED == answer.status
        with server.client() as client:
            client.delete(definition.keys.lease)
        (answer,) = store.claim([ask(definition, third, now_ms)])
        assert second == answer.abandoned
        (finish,) = store.finish(
            [Ending(definition, second, answer.known, Outcome.SUCCEEDED, "", 0)]
        )
        assert ("amended", "") == (finish.status, finish.problem)
        clock.now = now_ms + 2 * MINUTE
        known = finish.known.version
        (answer,) = store.claim([ask(definition, third)._replace(computed_from=known)])
        assert Status.CLAIMED == answer.status
        assert [True] == store.progress([Report(definition, third, 1, 2, "half", 0)])
        (finish,) = store.finish([Ending(definition, third, answer.known, Outcome.FAILED, "no", 0)])
        assert ("finished", "") == (finish.status, finish.problem)
        assert [third, second] == [entry.run_id for entry in store.history(definition, 5)]
        (peek,) = store.peek([definition.keys])
        assert (None, "2", "1") == (peek.problem, peek.state["runs"], peek.state["count_failed"])
    with server.client() as client:
        client.zadd("{shop}:instances", {"dead": 0, "other": NOON * 2})
    store.claim([])
    assert 2 == store.living
    store.forget_instance()
    with server.client() as client:
        assert [b"other"] == client.zrange("{shop}:instances", 0, -1)


class _Clock:
    """Redis's clock as the store asks for it, and set by the test."""

    def __init__(self) -> None:
        self.now: int | None = None
        self.trust = lambda: 1000.0

    def injected_ms(self) -> int | None:
        return self.now

    def now_ms(self) -> int | None:
        return self.now

    def heard(self, redis_ms: float, sent_at: float) -> None: ...


def test_with_this_rule_a_fleet_does_all_it_does_and_needs_each_of_its_rights(
    own_redis: RedisServer, make_store: MakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    give(own_redis)
    with own_redis.client() as client:
        client.config_resetstat()

    everything(own_redis, make_store)

    assert [] == caplog.records
    with own_redis.client() as client:
        stats = client.info("commandstats")
        used = {name for name in COMMANDS if _calls(stats, name)}
        assert set(COMMANDS) == used
        refused = [entry for entry in client.acl_log() if entry["reason"] == "key"]
        assert [] == refused


def _calls(stats: dict[str, Any], name: str) -> int:
    return int(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"])


@pytest.mark.parametrize("name", COMMANDS)
def test_a_right_that_is_missing_is_noticed(
    own_redis: RedisServer, make_store: MakeStore, name: str
) -> None:
    give(own_redis, f"-{name}")

    with pytest.raises((StoreError, AssertionError, KeyError)) as caught:
        everything(own_redis, make_store)

    if isinstance(caught.value, StoreError):
        assert "docs/redis.md" in str(caught.value)


@pytest.mark.parametrize("name", ["evalsha", "get", "hset", "zadd"])
def test_it_is_one_line_in_the_log(
    own_redis: RedisServer, make_store: MakeStore, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    give(own_redis, f"-{name}")
    store = make_store(url(own_redis))

    for _ in range(2):
        with pytest.raises(StoreError):
            store.claim([ask(job("report"), "run-1")])

    (record,) = caplog.records
    assert "lacks a right: docs/redis.md" in record.getMessage()
    if name == "evalsha":  # which command of a script it was, only newer servers say
        assert "'evalsha'" in record.getMessage()


def test_a_key_without_rights_is_a_store_error(
    own_redis: RedisServer, make_store: MakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    give(own_redis)
    store = make_store(url(own_redis))

    with pytest.raises(StoreError, match=r"NoPermission.*docs/redis\.md"):
        store.claim([ask(job("other", sync_key="OTHER"), "run-1")])

    assert "right" in caplog.text


def test_with_wait_the_replicas_are_counted(own_redis: RedisServer, make_store: MakeStore) -> None:
    give(own_redis, "+wait")
    store = make_store(url(own_redis), replicas=Replicas(1, 50))

    with pytest.raises(StoreError, match="0 of at least 1 replicas"):
        store.claim([ask(job("report"), "run-1")])


def test_a_wrong_password_is_one_line_that_says_so(
    own_redis: RedisServer, make_store: MakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    give(own_redis)
    store = make_store(url(own_redis, password="wrong"))

    for _ in range(2):
        with pytest.raises(StoreError):
            store.claim([ask(job("report"), "run-1")])

    (record,) = caplog.records
    assert "AuthenticationError" in record.getMessage()
    assert "check user and password in JOBRUNNER_REDIS_URL" in record.getMessage()
    assert PASSWORD not in caplog.text
