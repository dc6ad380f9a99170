"""What one call, ask and run cost a Redis: the constants of `benchmarks.scale_model`."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from benchmarks.results import Result
from benchmarks.scale_model import Costs, Fleet
from jobrunner import JobRunner, every
from jobrunner.run import Outcome, new_id
from jobrunner.store import scripts
from jobrunner.store.answers import ANY, Answer, Ask, Ending
from jobrunner.store.redis import RedisStore
from tests.support.servers import RedisServer

#: Jobs in the large call of each kind, and how many calls there are.
_JOBS = 100
_CALLS = 100

#: Seconds between two calls: those of a fleet do not come one upon the other either, and a Redis
#: that sleeps between them has to be woken.
_PAUSE = 0.003

#: Calls that find Redis at work: so many connections, so often.
_AT_ONCE = 50
_ROUNDS = 20

#: What clients send: all that is done is done by scripts.
_SCRIPTS = ("evalsha", "eval")

_SPENT = ("commands", "bytes_in", "bytes_out", "cpu_us")


class Meter:
    """What a Redis has spent so far, less what reading that costs."""

    def __init__(self, server: RedisServer) -> None:
        self._client: Any = server.client()
        self._readings = 0
        self._one = dict.fromkeys(_SPENT, 0.0)
        before = self.read()
        for _ in range(20):
            after = self.read()
        self._one = {what: (after[what] - before[what]) / 20 for what in _SPENT}

    def read(self) -> dict[str, float]:
        info = self._client.info("everything")
        self._readings += 1
        raw = {
            "commands": sum(
                info.get(f"cmdstat_{word}", {"calls": 0})["calls"] for word in _SCRIPTS
            ),
            "bytes_in": info["total_net_input_bytes"],
            "bytes_out": info["total_net_output_bytes"],
            "cpu_us": (info["used_cpu_user"] + info["used_cpu_sys"]) * 1e6,
        }
        return {what: raw[what] - self._readings * self._one[what] for what in _SPENT}

    def close(self) -> None:
        self._client.close()


@dataclass(frozen=True)
class Measured:
    cpu_us: Costs
    bytes_in: Costs
    bytes_out: Costs
    #: Microseconds for a call without a job that finds Redis at work.
    busy_call_us: float
    #: Microseconds a second that Redis takes when nobody asks anything.
    idle_cpu_us: float

    def load(self, fleet: Fleet) -> float:
        """The share of a core that the fleet's Redis works."""
        return fleet.load(self.cpu_us, self.busy_call_us) + self.idle_cpu_us / 1e6

    def add_to(self, result: Result) -> None:
        for what, unit in (("cpu_us", "us"), ("bytes_in", "B"), ("bytes_out", "B")):
            costs: Costs = getattr(self, what)
            for name, value in vars(costs).items():
                result.add(f"one {name}", what, [value], unit)
        result.add("one call, at work", "cpu_us", [self.busy_call_us], "us")
        result.add("idle", "cpu_us", [self.idle_cpu_us], "us/s")


def measure(server: RedisServer) -> Measured:
    """Calls without a job, with a hundred that lose, with one run and with a hundred."""
    runner = JobRunner(redis_url=server.url, namespace="fleet", mode="greenlet")
    for number in range(_JOBS):
        runner.job(every(hours=1), name=f"job {number}")(lambda ctx: None)
    state = runner._state(None)
    store: RedisStore = state.instance().store
    definitions = list(state.registry)
    meter = Meter(server)

    def ran(number: int) -> None:
        runs = [(definition, new_id()) for definition in definitions[:number]]
        now_ms = store.now_ms()
        asks = [Ask(definition, run, ANY, 0, now_ms) for definition, run in runs]
        known = [answer.known for answer in store.claim(asks) if isinstance(answer, Answer)]
        store.finish(
            [
                Ending(definition, run, claimed, Outcome.SUCCEEDED, "", 0.0)
                for (definition, run), claimed in zip(runs, known, strict=True)
            ]
        )

    def lost() -> None:
        now_ms = store.now_ms()  # as long a number as those of a fleet
        store.claim([Ask(d, new_id(), str(now_ms), now_ms, now_ms) for d in definitions])

    def each(work: Callable[[], object], calls: int) -> dict[str, float]:
        before, begun = meter.read(), time.monotonic()
        for _ in range(calls):
            work()
            time.sleep(_PAUSE)
        after, seconds = meter.read(), time.monotonic() - begun
        spent = {what: (after[what] - before[what]) / calls for what in after}
        spent["cpu_us"] -= idle * seconds / calls
        return spent

    idle = 0.0
    idle = each(lambda: time.sleep(1), 1)["cpu_us"]
    ran(_JOBS)  # the first time is dearer: each job's keys are made
    call, large = each(lambda: store.claim([]), 4 * _CALLS), each(lost, _CALLS)
    one, many = each(lambda: ran(1), 4 * _CALLS), each(lambda: ran(_JOBS), _CALLS)
    found = {}
    for what in _SPENT:
        ask = (large[what] - call[what]) / _JOBS
        run = (many[what] - one[what]) / (_JOBS - 1) - ask
        found[what] = Costs(call[what], ask, run, one[what] - call[what] - ask - run)
    busy = _busy_call_us(server, store, meter)
    meter.close()
    store.close()
    return Measured(found["cpu_us"], found["bytes_in"], found["bytes_out"], busy, idle)


def _busy_call_us(server: RedisServer, store: RedisStore, meter: Meter) -> float:
    """Many connections ask while Redis is stopped, so that it then finds all of their calls."""
    call = scripts.claim.command(store._claim_batch(store._home))
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            for _ in range(_AT_ONCE)
        ]
        before = meter.read()
        for _ in range(_ROUNDS):
            server.pause()
            for connection in connections:
                connection.sendall(call)
            server.resume()
            for connection in connections:
                connection.recv(4096)
        after = meter.read()
    return (after["cpu_us"] - before["cpu_us"]) / (_ROUNDS * _AT_ONCE)
