"""A master that Sentinels name: a failover heals by itself."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest
from redis.sentinel import Sentinel

from jobrunner import ConfigurationError, StoreError
from jobrunner.store.connect import own_client
from tests.contract.fleet import ask, job
from tests.runtime.stage import Play
from tests.runtime.watch import keys_of
from tests.support.ports import free_port
from tests.support.redis_forms import SentinelTrio
from tests.support.wait import wait_for

from .conftest import MakeStore
from .programs import NAMESPACE, assert_no_overlap, lasting, lives, short_runs


def test_the_url_with_a_database_and_a_sentinel_that_is_away(
    trio: SentinelTrio, make_store: MakeStore
) -> None:
    hosts = [f"127.0.0.1:{free_port()}", *(f"127.0.0.1:{s.port}" for s in trio.sentinels)]
    store = make_store(f"redis+sentinel://{','.join(hosts)}/{trio.service}/3")

    store.claim([ask(job("purge"), "run-1")])

    with trio.master().client(3) as client:
        assert b"run-1" == client.get("{shop}:job:purge:lease")


def test_a_handed_in_client_of_sentinel(trio: SentinelTrio, make_store: MakeStore) -> None:
    sentinel = Sentinel([("127.0.0.1", s.port) for s in trio.sentinels], socket_timeout=5)
    store = make_store(own_client(sentinel.master_for(trio.service, db=4), 1.0))

    store.claim([ask(job("purge"), "run-1")])

    with trio.master().client(4) as client:
        assert b"run-1" == client.get("{shop}:job:purge:lease")
    with pytest.raises(ConfigurationError, match=r"sentinel\.master_for\('mymaster'\)"):
        own_client(sentinel.slave_for(trio.service), 1.0)


def test_a_service_that_nobody_knows_is_quoted(trio: SentinelTrio, make_store: MakeStore) -> None:
    store = make_store(trio.url.replace(trio.service, "other"))

    with pytest.raises(
        StoreError, match=r"no Sentinel names a master of 'other'.*does not know it"
    ):
        store.claim([])


def test_a_master_that_became_a_replica_is_left_at_the_next_call(
    trio: SentinelTrio, make_store: MakeStore
) -> None:
    store = make_store(trio.url)
    store.claim([])
    old = trio.master()
    with trio.sentinels[0].client() as client:
        client.execute_command("SENTINEL", "FAILOVER", trio.service)

    def claimed() -> bool:
        try:
            store.claim([])
        except StoreError:
            return False
        return trio.master() is not old

    wait_for(claimed, message="a claim at the new master")


def test_a_failover_while_jobs_run(trio: SentinelTrio) -> None:
    """Hub and keeper follow the new master, in a patched process and in a plain one."""
    old = trio.master()
    with old.client() as client:
        wait_for(lambda: client.info("replication")["connected_slaves"] == 2, message="replicas")
    with ExitStack() as stack:
        plays = [
            stack.enter_context(Play(lives, patched=patched, redis_url=trio.url, keys=[None]))
            for patched in (True, False)
        ]
        wait_for(lambda: lasting(plays) and short_runs(plays), message="the first runs")
        run = lasting(plays)["lasting-0"]
        with old.client() as client:
            client.set("after the claim", 1)
            # Both: Sentinels promote either.
            wait_for(lambda: client.wait(2, 1000) == 2, message="the replicas to have it")

        old.kill()
        killed = time.monotonic()
        wait_for(lambda: trio.master() is not old, message="a new master")
        runs = wait_for(lambda: short_runs(plays, after=killed), message="a run after the failover")
        print(f"first run {min(runs['short-0'])[0] - killed:.1f} s after the master was killed")

        # What kept the lease on the old one keeps it on the new one.
        key = keys_of(NAMESPACE, "lasting-0").lease
        with trio.master().client() as client:
            left = client.pttl(key)
            wait_for(lambda: client.pttl(key) > left, message="a renewal at the new master")
            assert run.encode() == client.get(key)
        for play in plays:
            play.say("end")
        state = keys_of(NAMESPACE, "lasting-0").state
        with trio.master().client() as client:
            wait_for(lambda: client.hget(state, "outcome") == b"succeeded", message="its end")
        for play in plays:
            play.say("stop")
            play.end()
        assert {"lasting-0": run} == lasting(plays)
        assert_no_overlap(plays)
        for play in plays:
            lines = play.log("WARNING")
            assert 1 == sum("Could not check and run jobs" in line for line in lines), lines
            assert 1 == sum("is back" in line for line in lines), lines
