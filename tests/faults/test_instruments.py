"""The faults do what they say: a clock that jumps, a disk that is full, a proxy that lies."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.faults.proxy import (
    Once,
    Proxy,
    Rule,
    Verdict,
    half_closes,
    hangs_up,
    passes,
    swallows,
)
from tests.faults.servers import FaultyRedis
from tests.faults.shifted_clock import ShiftedClock, compiled_in
from tests.support.aside import environment
from tests.support.wait import wait_for

TELL = """
import sys, time
for _ in sys.stdin:
    print(time.time(), time.monotonic(), flush=True)
"""


def test_only_the_wall_clock_of_one_process_jumps(tmp_path: Path) -> None:
    clock = ShiftedClock(compiled_in(tmp_path), tmp_path / "clock")
    with subprocess.Popen(
        [sys.executable, "-c", TELL],
        env=environment(**clock.environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for hours in (0, 1, -1, 0):
            clock.shift(3600 * hours)
            child.stdin.write("now\n")
            wall, monotonic = map(float, child.stdout.readline().split())
            assert pytest.approx(3600 * hours, abs=60) == wall - time.time()
            assert pytest.approx(0, abs=60) == monotonic - time.monotonic()
        child.stdin.close()


def test_a_full_disk_refuses_writes_until_it_has_room(faulty_redis: FaultyRedis) -> None:
    refusals: list[str] = []

    def writes() -> bool:
        try:
            return bool(client.set("key", "value"))
        except redis.ResponseError as error:
            refusals.append(str(error))
            return False

    with faulty_redis.client() as client:
        assert writes()
        faulty_redis.fill_disk()
        wait_for(lambda: not writes(), message="a refusal")
        assert faulty_redis.refuses_writes
        faulty_redis.empty_disk()
        wait_for(writes, message="a write")
        faulty_redis.trust_disk()
    assert {"MISCONF"} == {refusal.split()[0] for refusal in refusals}


def test_a_crash_loses_nothing_unless_it_is_told_to(faulty_redis: FaultyRedis) -> None:
    with faulty_redis.client() as client:
        client.set("key", "value")
    faulty_redis.crash()
    faulty_redis.start()
    with faulty_redis.client() as client:
        assert b"value" == client.get("key")
    faulty_redis.crash()
    faulty_redis.lose()
    faulty_redis.start()
    with faulty_redis.client() as client:
        assert client.get("key") is None


@pytest.fixture
def ask(faulty_redis: FaultyRedis) -> Callable[..., object]:
    """Count once through a proxy with these rules: the answer, or the kind of error."""

    def asked(question: Rule = passes, answer: Rule = passes) -> object:
        with Proxy(faulty_redis.port) as proxy:
            client = redis.Redis.from_url(
                proxy.url, socket_timeout=0.3, retry=Retry(NoBackoff(), 0), protocol=2
            )
            with client:
                client.ping()
                proxy.on_question, proxy.on_answer = question, answer
                try:
                    return client.incr("count")
                except redis.RedisError as error:
                    return type(error)

    return asked


def test_a_proxy_loses_questions_or_answers(
    ask: Callable[..., object], faulty_redis: FaultyRedis
) -> None:
    lost = []
    once = Once(lambda piece: piece.startswith(b":"), Verdict.HANG_UP, lambda: lost.append(1))
    assert 1 == ask()
    assert redis.TimeoutError is ask(question=swallows)
    assert redis.ConnectionError is ask(question=hangs_up)
    assert 2 == ask()
    assert redis.TimeoutError is ask(answer=swallows)
    assert redis.ConnectionError is ask(answer=hangs_up)
    assert redis.ConnectionError is ask(answer=half_closes)
    assert redis.ConnectionError is ask(answer=once)
    assert [1] == lost
    # The server did the work of each whose answer was lost.
    assert 7 == ask(answer=once)
