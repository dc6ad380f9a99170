"""The fastest loop that keeps what the library keeps, written without it: batches of 500, each
claimed in one call, a greenlet a run, and the finishes of what has ended in one call.

Claims and finishes go on beside one another, each on a connection of its own: while Redis works
on one batch, this process runs another. Keys are encoded once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from .base import Command, Scenario, command, settle
from .burst import tell

BATCH = 500

#: Claims under way at once: fewer leave Redis idle, more gain nothing.
CLAIMERS = 2

LEASE_MS, HISTORY = 30_000, 100

#: The keys of one job, after its name: k, state, lease, history.
PARTS = (b"", b":state", b":lease", b":history")

#: KEYS for each job: k, state, lease. ARGV: instance, lease in ms, then for each job: run id, the
#: last ms at which it is early. Answer: now in ms, then for each job its token, or nil.
CLAIM = """
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local now_ms = string.format('%.0f', math.floor(micros / 1000))
local answers = { now_ms }
for i = 0, #KEYS / 3 - 1 do
  local k, state, lease = KEYS[3 * i + 1], KEYS[3 * i + 2], KEYS[3 * i + 3]
  local run, early_until = ARGV[2 * i + 3], tonumber(ARGV[2 * i + 4])
  local last = redis.call('GET', k)
  local held = redis.call('HMGET', state, 'run', 'last_ms', 'token')
  local last_ms = tonumber(held[2]) or -1
  if last and tonumber(last) ~= math.floor(last_ms / 1000) then
    last_ms = last * 1000 + 999  -- somebody else has written it
  end
  if held[1] or tonumber(now_ms) <= early_until or tonumber(now_ms) <= last_ms then
    answers[i + 2] = false
  else
    local token = string.format('%.0f', math.max((tonumber(held[3]) or 0) + 1, micros))
    redis.call('HSET', state, 'run', run, 'instance', ARGV[1], 'token', token,
      'last_ms', now_ms, 'due_ms', early_until)
    redis.call('SET', k, time[1])
    redis.call('SET', lease, run, 'PX', ARGV[2])
    answers[i + 2] = token
  end
end
return answers
"""

#: KEYS for each run: state, lease, history. ARGV: instance, entries of a history, then for each
#: run: its id, token, due ms, started ms. Answer: how many were still ours.
FINISH = """
local time = redis.call('TIME')
local now_ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local ours = 0
for i = 0, #KEYS / 3 - 1 do
  local state, lease, history = KEYS[3 * i + 1], KEYS[3 * i + 2], KEYS[3 * i + 3]
  local run = ARGV[4 * i + 3]
  if redis.call('HGET', state, 'run') == run then
    redis.call('HSET', state, 'finished_ms', now_ms, 'outcome', 'succeeded')
    redis.call('HDEL', state, 'run', 'instance')
    redis.call('DEL', lease)
    redis.call('XADD', history, 'MAXLEN', ARGV[2], '*', 'run', run, 'token', ARGV[4 * i + 4],
      'instance', ARGV[1], 'due_ms', ARGV[4 * i + 5], 'started_ms', ARGV[4 * i + 6],
      'finished_ms', now_ms, 'outcome', 'succeeded', 'error', '')
    ours = ours + 1
  end
end
return ours
"""


def commands(scenario: Scenario) -> list[Command]:
    return [command("limit_loop", ours=True)]


def main() -> None:
    from gevent import monkey

    monkey.patch_all()

    scenario = Scenario.here()
    loop = Loop(scenario)
    loop.round()  # not measured, as for the library: its jobs have run before
    settle()
    before = time.perf_counter()
    loop.round()
    tell(scenario.record, time.perf_counter() - before)


class Claimed(NamedTuple):
    """A run of ours."""

    job: int
    run: bytes
    token: bytes
    due: bytes
    started: bytes


class Protocol:
    """The two calls."""

    def __init__(self, scenario: Scenario) -> None:
        import redis

        self._redis = redis.Redis.from_url(scenario.redis)
        self._claim, self._finish = (self._redis.script_load(text) for text in (CLAIM, FINISH))
        self._instance, self._runs = b"limit-0123456789", 0
        keys = [
            [b"{limit}:job:" + name.encode() + part for part in PARTS] for name in scenario.names
        ]
        self._claim_keys = [of_job[:3] for of_job in keys]
        self._finish_keys = [of_job[1:] for of_job in keys]

    def claim(self, start: int, end: int) -> list[Claimed]:
        """Of the jobs from `start` to before `end`, the runs that are ours now."""
        due = b"%d" % (time.time() * 1000 - 1)
        keys = [key for of_job in self._claim_keys[start:end] for key in of_job]
        runs = [b"%s-%d" % (self._instance, self._runs + i) for i in range(end - start)]
        self._runs += len(runs)
        words = [word for run in runs for word in (run, due)]
        now, *tokens = self._redis.evalsha(
            self._claim, len(keys), *keys, self._instance, LEASE_MS, *words
        )
        return [
            Claimed(job, run, token, due, now)
            for job, run, token in zip(range(start, end), runs, tokens, strict=True)
            if token is not None
        ]

    def finish(self, ended: list[Claimed]) -> None:
        keys: list[bytes] = []
        words: list[bytes] = []
        for claimed in ended:
            keys += self._finish_keys[claimed.job]
            words += (claimed.run, claimed.token, claimed.due, claimed.started)
        ours = self._redis.evalsha(self._finish, len(keys), *keys, self._instance, HISTORY, *words)
        if ours != len(ended):
            raise RuntimeError(f"{len(ended) - ours} of {len(ended)} runs were not ours")


class Loop:
    """Claims everything that is due, runs it, records it."""

    def __init__(self, scenario: Scenario) -> None:
        from gevent.event import Event

        self._jobs = scenario.jobs
        self._protocol = Protocol(scenario)
        self._ended: list[Claimed] = []
        self._some_ended = Event()
        self._recorded = 0

    def round(self) -> None:
        """One run of each job."""
        import gevent

        self._recorded = 0
        recording = gevent.spawn(self._record)
        starts = iter(range(0, self._jobs, BATCH))
        for _ in range(CLAIMERS):
            gevent.spawn(self._claim, starts)
        recording.get()

    def _claim(self, starts: Iterator[int]) -> None:
        import gevent

        for start in starts:
            end = min(start + BATCH, self._jobs)
            for claimed in self._protocol.claim(start, end):
                gevent.spawn(self._run, claimed)

    def _run(self, claimed: Claimed) -> None:
        self._ended.append(claimed)
        self._some_ended.set()

    def _record(self) -> None:
        while self._recorded < self._jobs:
            self._some_ended.wait()
            self._some_ended.clear()
            while self._ended:
                ended, self._ended = self._ended[:BATCH], self._ended[BATCH:]
                self._protocol.finish(ended)
                self._recorded += len(ended)


if __name__ == "__main__":
    main()
