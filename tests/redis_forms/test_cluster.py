"""A Cluster: each slot is asked where it is served, and what one does not answer is its own."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

import pytest

from jobrunner import Outcome, StoreError
from jobrunner.job import JobDefinition
from jobrunner.store.answers import Ending, Report, Status
from jobrunner.store.cluster import ClusterServers
from jobrunner.store.connect import client_from_url, own_client
from jobrunner.store.redis import RedisStore
from tests.contract.fleet import NOTHING_KNOWN, ask, job
from tests.contract.silence import SilentProxy
from tests.runtime.stage import Play
from tests.support.redis_forms import ClusterOfSix
from tests.support.servers import RedisServer
from tests.support.wait import wait_for

from .conftest import MakeStore
from .programs import LEASE, NAMESPACE, assert_no_overlap, lasting, lives, short_runs

#: Sync keys of a user's own, in slots of each master.
OWN_KEYS = [f"OWN_{number}" for number in range(12)]


def executions(cluster: ClusterOfSix, command: str) -> int:
    """How often clients gave a command to any node; what scripts call counts too."""
    total = 0
    for node in cluster.running():
        with node.client() as client:
            stats = client.info("commandstats")
        total += int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])
    return total


def many(prefix: str = "") -> list[JobDefinition]:
    """Jobs of one namespace, and jobs with keys of their own."""
    own = [job(f"{prefix}{key}", sync_key=f"{prefix}{key}") for key in OWN_KEYS]
    return [job(f"{prefix}a"), *own, job(f"{prefix}b")]


@pytest.fixture(autouse=True)
def empty(cluster: ClusterOfSix) -> None:
    for node in cluster.running():
        with node.client() as client:
            if client.info("replication")["role"] == "master":
                client.flushall()


@pytest.fixture(params=["URL", "handed in"])
def store(request: pytest.FixtureRequest, cluster: ClusterOfSix, make_store: MakeStore) -> Any:
    if request.param == "URL":
        return make_store(cluster.url)
    with cluster.client() as handed_in:
        return make_store(own_client(handed_in, 2.0))


def test_a_run_from_claim_to_history_in_many_slots(
    cluster: ClusterOfSix, store: RedisStore
) -> None:
    jobs = many()
    ids = [f"run-{number}" for number in range(len(jobs))]
    assert [Status.DUE] * len(jobs) == [answer.status for answer in store.claim(map_ask(jobs))]

    claimed = store.claim([ask(j, run) for j, run in zip(jobs, ids, strict=True)])

    assert ids == [answer.known.running for answer in claimed]
    assert [True] * len(jobs) == store.renew(list(zip(jobs, ids, strict=True)))
    reports = [Report(j, run, 1, 2, "", 0) for j, run in zip(jobs, ids, strict=True)]
    assert [True] * len(jobs) == store.progress(reports)
    undone = store.give_back([(jobs[0], ids[0]), (jobs[1], ids[1]), (jobs[2], "other")])
    assert [True, True, False] == undone
    endings = [
        Ending(j, run, NOTHING_KNOWN, Outcome.SUCCEEDED, "", 0)
        for j, run in zip(jobs[2:], ids[2:], strict=True)
    ]
    assert ["finished"] * len(endings) == [finish.status for finish in store.finish(endings)]
    assert [[]] * 2 + [[run] for run in ids[2:]] == [
        [entry.run_id for entry in store.history(j, 5)] for j in jobs
    ]
    assert {None} == {told.moved_from for told in store.announce(jobs).values()}
    peeks = store.peek([j.keys for j in jobs])
    assert [None] * 2 + ["succeeded"] * len(endings) == [p.state.get("outcome") for p in peeks]
    assert store.larger_token(jobs[0], "run-0", 5) is None
    with cluster.client() as client:
        assert [b"one"] == client.zrange("{shop}:instances", 0, -1)
        store.forget_instance()
        assert [] == client.zrange("{shop}:instances", 0, -1)


def map_ask(jobs: list[JobDefinition]) -> list[Any]:
    return [ask(definition) for definition in jobs]


def test_a_tick_is_one_call_for_a_namespace_and_one_a_slot_beyond_it(
    cluster: ClusterOfSix, store: RedisStore
) -> None:
    for jobs, calls in (([job("a"), job("b"), job("c")], 1), (many(), 1 + len(OWN_KEYS))):
        store.claim(map_ask(jobs))
        store.claim(map_ask(jobs))
        before = executions(cluster, "evalsha")
        store.claim(map_ask(jobs))
        assert calls == executions(cluster, "evalsha") - before


def test_a_call_that_times_out_was_sent_once_and_costs_the_other_slots_nothing(
    cluster: ClusterOfSix, make_store: MakeStore
) -> None:
    jobs = many()
    make_store(cluster.url).claim(map_ask(jobs))  # the script is known from now on
    silent = cluster.master_of(jobs[1].keys.sync_key)
    theirs = [j for j in jobs if cluster.master_of(j.keys.sync_key) is silent]

    with SilentProxy(silent.port, "evalsha") as proxy:
        detour = int(proxy.url.split(":")[2].split("/")[0])

        def remap(address: tuple[str, int]) -> tuple[str, int]:
            return (address[0], detour) if address[1] == silent.port else address

        def client_at(address: tuple[str, int]) -> Any:
            return client_from_url(f"redis://127.0.0.1:{address[1]}", 0.3)

        seeds = [("127.0.0.1", node.port) for node in cluster.running()]
        store = make_store(ClusterServers(seeds, client_at, client_at, remap))
        before = executions(cluster, "evalsha")
        answers = store.claim([ask(j, f"run-{j.name}") for j in jobs])

    for definition, answer in zip(jobs, answers, strict=True):
        if definition in theirs:
            assert isinstance(answer, StoreError), definition
        else:
            assert Status.CLAIMED == answer.status
    assert not store.link.up
    wait_for(lambda: executions(cluster, "evalsha") - before >= 1 + len(OWN_KEYS))
    assert 1 + len(OWN_KEYS) == executions(cluster, "evalsha") - before
    again = make_store(cluster.url).claim([ask(j, f"run-{j.name}") for j in theirs])
    assert {Status.AGAIN} == {answer.status for answer in again}


def test_a_slot_that_moves_is_followed(cluster: ClusterOfSix, make_store: MakeStore) -> None:
    """MOVED and ASK were not executed: they are sent on, once. While the slot is between two
    nodes, a script with several keys is refused by both, so nothing starts.
    """
    moving = job("moving", sync_key="MOVING")
    store = make_store(cluster.url)
    store.claim([ask(moving)])
    old = cluster.master_of("MOVING")
    new = next(n for n in map(cluster.master_of, OWN_KEYS) if n is not old)
    with old.client() as a, new.client() as b:
        slot = a.execute_command("CLUSTER", "KEYSLOT", "MOVING")
        ids = [client.execute_command("CLUSTER", "MYID").decode() for client in (a, b)]
        b.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        a.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
        keys = a.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100)
        a.execute_command("MIGRATE", "127.0.0.1", new.port, "", 0, 5000, "KEYS", *keys)

        (refused,) = store.claim([ask(moving, "run-1")])
        assert isinstance(refused, StoreError)
        assert "Multiple keys request" in str(refused)  # TRYAGAIN
        assert [] == store.history(moving, 5)  # one key: by ASK
        for client in (b, a):
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[1])
    (claimed,) = store.claim([ask(moving, "run-1")])  # by MOVED
    assert Status.CLAIMED == claimed.status
    assert [True] == store.renew([(moving, "run-1")])
    with new.client() as client:
        assert b"run-1" == client.get("{MOVING}:lease")


def kill(node: RedisServer) -> float:
    node.kill()
    return time.monotonic()


def test_a_failover_of_one_node_while_jobs_run(cluster: ClusterOfSix) -> None:
    keys = [None, *OWN_KEYS[:4]]
    with ExitStack() as stack:
        plays = [
            stack.enter_context(Play(lives, patched=patched, redis_url=cluster.url, keys=keys))
            for patched in (True, False)
        ]
        wait_for(lambda: len(lasting(plays)) == len(keys), message="the lasting runs")
        wait_for(lambda: len(short_runs(plays)) == len(keys), message="the short runs")
        runs = lasting(plays)
        old = cluster.master_of(f"{{{NAMESPACE}}}:jobs")
        with old.client() as client:
            client.set(f"{{{NAMESPACE}}}:after the claim", 1)
            assert 1 == client.wait(1, 5000), "its replica does not have it"

        killed = kill(old)
        wait_for(
            lambda: (
                (found := short_runs(plays, after=killed)) and len(found) == len(keys) and found
            ),
            timeout=60,
            message="runs of all jobs after the failover",
        )
        after = short_runs(plays, after=killed)
        print(f"first run {min(after['short-0'])[0] - killed:.1f} s after the node was killed")
        # A lease's time later every lasting run is still the one that it was.
        wait_for(lambda: time.monotonic() > killed + LEASE, message="a lease's end")
        for play in plays:
            play.say("end")
            play.say("stop")
            play.end()
        assert runs == lasting(plays)
        assert_no_overlap(plays)
        for play in plays:
            lines = play.log("WARNING")
            assert not any("lost its lease" in line for line in lines), lines
            gone = sum("Could not check and run jobs" in line for line in lines)
            assert gone == sum("is back" in line for line in lines), lines
    with cluster.client() as client:
        assert b"succeeded" == client.hget(f"{{{NAMESPACE}}}:job:lasting-0:state", "outcome")
        for key in OWN_KEYS[:4]:
            assert b"succeeded" == client.hget(f"{{{key}-lasting}}:state", "outcome")
