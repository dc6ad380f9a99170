"""The short ways of claim and finish: they do what the whole ways do, on whatever stands in Redis.

Each state of affairs is put there twice: one copy goes through the script as it is, the other
through the same script without its short way.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from jobrunner.errors import StoreError
from jobrunner.job import JobDefinition
from jobrunner.run import Outcome
from jobrunner.store import scripts
from jobrunner.store.answers import Answer, Ask, Ending, Finish, Known
from jobrunner.store.servers import OneServer, Reply

from .fleet import MINUTE, NOON, Fleet

#: Of each seed.
TRIALS = 150

#: What a run of ours, claimed at NOON, has left in the state; then what may stand there besides,
#: or instead.
PLAIN = {
    "first_seen_ms": str(NOON - MINUTE),
    "last_ms": str(NOON),
    "due_ms": str(NOON - 1),
    "served_ms": str(NOON - 1),
    "token": "1699999999000000",
    "runs": "7",
    "run": "",
    "instance": "one",
    "before": f"{NOON // 1000 - 60}\n{NOON - MINUTE}\n{NOON - MINUTE - 1}\n\n\n\n",
    "finished_ms": str(NOON + 5),
    "outcome": "succeeded",
    "error": "",
    "succeeded_ms": str(NOON + 5),
    "count_succeeded": "7",
}
ODD: dict[str, list[str | None]] = {
    "first_seen_ms": [None, "", "x", "-1000000000000000"],
    "last_ms": [None, "", "x", "0", "-1500", str(NOON + 1), str(NOON - 1000), f"0{NOON}", "1.5"],
    "due_ms": [None, "", "x"],
    "served_ms": [None, "x", str(NOON + MINUTE)],
    "token": [None, "x", *["9007199254740990"] * 4, "1.5", str(10**17)],
    "runs": [None, "", "x", "9007199254740991"],
    "run": [None, "run-0", "run-1", "x y"],
    "instance": [None, ""],
    "before": [None, "", "x", "a\nb"],
    "finished_ms": [None, "x"],
    "succeeded_ms": [None, "x"],
    "count_succeeded": [None, "x", "-3"],
    "abandoned_run": ["dead", ""],
    "abandoned_due_ms": [str(NOON - 1), "x"],
    "abandoned_in_row": ["1", "0", "x"],
    "abandoned_ms": [str(NOON), "x"],
    "given_back": ["run-1", "run-2 run-1", "run-2", ""],
    "paused": ["-", str(NOON + 10**9), str(NOON - 1), ""],
    "trigger": ["request-1", ""],
    "request": ["request-1", ""],
    "cancel": ["run-1", "run-0", ""],
    "overdue_ms": [str(NOON), "x"],
    "progress": ['{"done":1}', ""],
    "result": ["1", ""],
}
KS = [None, "x", "", str(NOON // 1000 - 1), "-2", f"0{NOON // 1000}", ["a list"]]
LEASES = [None, "run-1", "somebody", ["a list"]]
HISTORIES = [["a list"]]


class Affairs:
    """What stands in Redis of one job, drawn by chance: mostly plain, with something odd."""

    def __init__(self, chance: random.Random, *, running: str) -> None:
        self.state: dict[str, str] = {**PLAIN, "run": running}
        self.k: Any = str(NOON // 1000)
        self.lease: Any = running or None
        self.history: Any = None
        for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
            self._one_odd(chance)

    def _one_odd(self, chance: random.Random) -> None:
        what = chance.choice([*ODD, "token", "k", "k", "lease", "history"])
        if what == "first_seen_ms" and self.state.get("run"):
            return  # its claim has written that
        if what in ODD:
            value = chance.choice(ODD[what])
            if value is None:
                self.state.pop(what, None)
            else:
                self.state[what] = value
        else:
            setattr(self, what, chance.choice({"k": KS, "lease": LEASES}.get(what, HISTORIES)))

    def put(self, client: Any, definition: JobDefinition) -> None:
        keys = definition.keys
        client.delete(*keys.all())
        client.hset(keys.state, mapping=self.state)
        for key, value in ((keys.sync_key, self.k), (keys.lease, self.lease)):
            if isinstance(value, list):
                client.rpush(key, *value)
            elif value is not None:
                client.set(key, value)
        if self.lease is not None and not isinstance(self.lease, list):
            client.pexpire(keys.lease, 30_000)
        if self.history is not None:
            client.rpush(keys.history, *self.history)


def standing(client: Any, definition: JobDefinition) -> dict[str, Any]:
    """What stands there now, as far as it means something: nobody's run has no other fields; a
    token is one of now, or one that was there before.
    """
    keys = definition.keys
    state = client.hgetall(keys.state)
    if not state.get("run"):
        state = {k: v for k, v in state.items() if k not in ("run", "instance", "before")}
    if state.get("token", "").isdecimal() and abs(int(state["token"]) / 1e6 - now(client)) < 3600:
        state["token"] = "of now"
    return {
        "state": state,
        "k": value(client, keys.sync_key),
        "lease": value(client, keys.lease),
        "history": value(client, keys.history),
    }


def now(client: Any) -> float:
    seconds, _ = client.time()
    return float(seconds)


def value(client: Any, key: str) -> Any:
    kind = client.type(key)
    if kind == "stream":
        return [dict(fields) for _, fields in client.xrange(key)]
    if kind == "list":
        return client.lrange(key, 0, -1)
    return client.get(key)


class Ways:
    """A store, with and without the short way of one script."""

    def __init__(self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch, name: str, way: str) -> None:
        self._fleet = fleet
        self._patch, self._name = monkeypatch, name
        self._scripts = (getattr(scripts, name), without(scripts.Script(name), way))
        self.short = 0
        run = OneServer.run

        def counting(server: OneServer, *arguments: Any) -> dict[int, Reply]:
            replies = run(server, *arguments)
            self.short += sum(isinstance(reply.value[-1], int) for reply in replies.values())
            return replies

        monkeypatch.setattr(OneServer, "run", counting)

    def both(self, affairs: Affairs, job: JobDefinition, act: Callable[[], Any]) -> list[Any]:
        """What comes of `act`, by the one way and by the other."""
        found = []
        for script in self._scripts:
            affairs.put(self._fleet.client, job)
            self._patch.setattr(scripts, self._name, script)
            found.append((act(), standing(self._fleet.client, job)))
        self._patch.setattr(scripts, self._name, self._scripts[0])
        return found

    def compare(
        self,
        job: JobDefinition,
        chance: random.Random,
        running: str,
        question: Callable[[Known], Any],
        call: Callable[[list[Any]], list[Any]],
    ) -> None:
        """Many states of affairs, and for each a question: both ways say and do the same."""
        for _ in range(TRIALS):
            affairs = Affairs(chance, running=running)
            affairs.put(self._fleet.client, job)
            asked = question(self._fleet.look(job).known)

            one, other = self.both(affairs, job, lambda: seen(call([asked])[0]))  # noqa: B023

            assert one == other, (vars(affairs), asked)
        assert TRIALS * 0.05 < self.short < TRIALS * 0.7


def without(script: scripts.Script, way: str) -> scripts.Script:
    """The script with a short way that leaves everything to the whole one."""
    head, body = script.source.split(f"local function {way}(", 1)
    parameters, rest = body.split(")", 1)
    script.source = f"{head}local function {way}({parameters}) if true then return nil end{rest}"
    script.digest = "0" * 40  # the server knows no such script, and is sent the source
    return script


def seen(answer: Answer | Finish | StoreError) -> Any:
    """An answer, but for the token, which follows from when it was asked, and for its way."""
    return answer._replace(token=0, is_plain=False) if isinstance(answer, Answer) else answer


@pytest.mark.parametrize("seed", range(4))
def test_a_claim(
    fleet: Fleet, purge: JobDefinition, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance, ways = random.Random(seed), Ways(fleet, monkeypatch, "claim", "claim_plainly")

    def asked(known: Known) -> Ask:
        moments = [0, MINUTE - 10, MINUTE - 5, MINUTE, MINUTE + 1, MINUTE + 1, 2 * MINUTE]
        fleet.now_ms = NOON + chance.choice(moments)
        return Ask(
            purge,
            "run-1",
            chance.choice([known.version, known.version, str(NOON), "*", "?"]),
            chance.choice([NOON + MINUTE, NOON - 1]),
            chance.choice([NOON + MINUTE, NOON + MINUTE, 0, -1, -2, NOON - 1]),
            chance.choice(["", "", "", f"misfired:{NOON}"]),
            known,
        )

    # Of an instance that claims ahead, and of one that does not.
    ways.compare(purge, chance, "", asked, partial(fleet.one.claim, ahead_ms=seed % 2 * 10))


@pytest.mark.parametrize("seed", range(4))
def test_a_finish(
    fleet: Fleet, purge: JobDefinition, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance, ways = random.Random(seed), Ways(fleet, monkeypatch, "finish", "finish_plainly")

    def ended(known: Known) -> Ending:
        return Ending(
            purge,
            "run-1",
            known,
            chance.choice([Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.FAILED]),
            chance.choice(["", "", "", "ValueError: x"]),
            fleet.trust - chance.choice([0, 0.5, 90]),
            chance.choice([1, 1, 1, 2]),
            chance.choice(["", "", "", "Traceback"]),
            chance.choice(["", "", "", "1"]),
        )

    ways.compare(purge, chance, "run-1", ended, fleet.one.finish)
