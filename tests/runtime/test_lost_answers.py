"""Redis did the work, and its answer was lost on the way: nothing is lost, nothing done twice."""

import re
from collections.abc import Callable

import pytest

from jobrunner import JobContext, JobRunner, Outcome, every
from tests.runtime.actor import Stage
from tests.runtime.proxy import LossyProxy
from tests.runtime.stage import Play
from tests.runtime.watch import keys_of
from tests.support.servers import RedisServer
from tests.support.wait import wait_for

Observe = Callable[..., JobRunner]

KEYS = keys_of("lossy", "once")


def once(stage: Stage, redis_url: str, check_interval: float) -> None:
    runner = JobRunner(redis_url=redis_url, namespace="lossy", check_interval=check_interval)

    @runner.job(every(hours=1))
    def once(ctx: JobContext) -> None:
        stage.say("started", run=ctx.run.id)

    runner.start()
    stage.wait_for("stop")
    runner.stop()


def claims(answer: bytes) -> bool:
    return b"claimed" in answer or b"again" in answer


@pytest.mark.parametrize("patched", [True, False], ids=["greenlet", "thread"])
def test_a_claim_without_an_answer_is_asked_again_for_the_same_run_which_takes_place_once(
    own_redis: RedisServer, observe: Observe, patched: bool
) -> None:
    with own_redis.client() as client:
        claimed = []

        def loses(answer: bytes) -> bool:
            if claims(answer):
                claimed.append(client.hget(KEYS.state, "run").decode())
            return claims(answer) and len(claimed) <= 2

        with (
            LossyProxy(own_redis, loses) as proxy,
            Play(once, patched=patched, redis_url=proxy.url(), check_interval=0.1) as play,
        ):
            run = play.wait_for("started")["run"]
            looking = observe(own_redis.url, "lossy", "once")
            wait_for(lambda: looking.history("once"), message="the record of the run")
            play.say("stop")
            play.end()

    assert 2 == proxy.lost
    assert [run] * 3 == claimed
    assert [run] == [event["run"] for event in play.events("started")]
    (entry,) = looking.history("once")
    assert (run, Outcome.SUCCEEDED) == (entry.run_id, entry.outcome)
    assert 1 == looking.status()[0].runs


def test_a_finish_without_an_answer_is_recorded_once(
    own_redis: RedisServer, observe: Observe
) -> None:
    lost: list[bytes] = []

    def loses(answer: bytes) -> bool:
        # Two times, and the millisecond of the one end: as a claim never answers.
        if re.fullmatch(rb"\*3\r\n(:\d+\r\n){3}", answer) and not lost:
            lost.append(answer)
            return True
        return False

    with (
        LossyProxy(own_redis, loses) as proxy,
        Play(once, patched=True, redis_url=proxy.url(), check_interval=0.1) as play,
    ):
        wait_for(lambda: any("is back" in line for line in play.log("WARNING")))
        play.say("stop")
        play.end()
    looking = observe(own_redis.url, "lossy", "once")
    (entry,), (status,) = looking.history("once"), looking.status()
    assert Outcome.SUCCEEDED == entry.outcome
    assert (1, 1, 0) == (status.runs, status.succeeded, status.abandoned)
    assert 1 == len(play.events("started"))


@pytest.mark.parametrize("last_run", [None, "1700000000"])
def test_a_stopping_instance_gives_back_the_claim_whose_answer_it_never_got(
    own_redis: RedisServer, observe: Observe, last_run: str | None
) -> None:
    with own_redis.client() as client:
        if last_run is not None:
            client.set(KEYS.sync_key, last_run)
        with LossyProxy(own_redis, claims) as proxy:
            # So long a check interval that the loop does not ask again before it is stopped.
            with Play(once, patched=True, redis_url=proxy.url(), check_interval=60) as play:
                wait_for(lambda: proxy.lost, message="a lost answer")
                assert client.hget(KEYS.state, "run")
                play.say("stop")
                play.end()
            assert [] == play.events("started")
            assert (1, None) == (proxy.lost, client.hget(KEYS.state, "run"))
        assert last_run == as_text(client.get(KEYS.sync_key))
        assert None is client.get(KEYS.lease)
        looking = observe(own_redis.url, "lossy", "once")
        assert [] == looking.history("once")
        assert 0 == looking.status()[0].runs

        # It is as due as before: the next instance runs it at once.
        with Play(once, patched=True, redis_url=own_redis.url, check_interval=60) as play:
            play.wait_for("started")
            play.say("stop")
            play.end()


def as_text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode()
