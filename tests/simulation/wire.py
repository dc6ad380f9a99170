"""The way from a process to Redis: it loses, delays and repeats, as the plan says."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import gevent
import redis
from gevent.event import AsyncResult
from redis.commands.core import CoreCommands

from jobrunner.errors import StoreError
from jobrunner.job import JobDefinition
from jobrunner.store.answers import Answer, Ask, Controlled, Ending, Finish
from jobrunner.store.redis import RedisStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .people import People
    from .process import Process
    from .world import World


class Call(NamedTuple):
    """What a call to Redis is about: for the history, and for the checks."""

    kind: str
    #: The jobs that it may change, each with its run id ('' for a look); of a control, with what is
    #: asked.
    about: tuple[tuple[JobDefinition, str], ...] = ()
    sent_at: float = 0.0

    def __str__(self) -> str:
        words = [f"{job.name}={run}" if run else job.name for job, run in self.about]
        return " ".join((self.kind, *words))


class Fate(NamedTuple):
    """What becomes of one call; times in seconds of the world."""

    there: float = 0.0
    back: float = 0.0
    #: '', 'request' or 'answer'.
    lost: str = ""
    #: How much later it is done once more; None: it is not.
    again: float | None = None
    #: How soon a loss is noticed; None: when the time limit is over.
    noticed: float | None = None
    #: For how long the process stands still meanwhile, and for how long its wire is cut afterwards.
    frozen: float | None = None
    cut: float | None = None
    #: Within what time the process drains, from now on.
    drains: float | None = None

    def takes(self, limit: float) -> float:
        """Seconds until the sender hears of it, or gives up."""
        if self.lost:
            return limit if self.noticed is None else self.noticed
        return min(limit, self.there + self.back)

    def __str__(self) -> str:
        given = self._asdict()
        return ", ".join(
            f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}"
            for name, value in given.items()
            if value not in ("", None, 0.0)
        )


AT_ONCE = Fate()


class Wire(CoreCommands):  # type: ignore[misc]
    """What a store takes for a Redis client."""

    def __init__(self, world: World, process: Process | People, name: str) -> None:
        self._world = world
        self._process = process
        self._rng = random.Random(f"{world.plan.seed} {process.id} {name}")
        self.connection_pool = _Pool(self)

    def execute_command(self, *command: Any, **options: Any) -> Any:
        """Send one command and wait for its answer, by the process's clocks."""
        world, process = self._world, self._process
        call = getattr(gevent.getcurrent(), "call", None) or Call(str(command[0]).lower())
        if call.kind == "control" and command[0] == "XADD":
            call = call._replace(kind="announce")
        call = call._replace(sent_at=world.time.now)
        fate = self._fate(call)
        world.watch.sent(process, call)
        if fate is AT_ONCE:
            answer = world.serve(process, call, command, options)
            if isinstance(answer, Exception):
                raise answer
            return answer
        seconds = fate.takes(world.plan.timeout)
        if fate.lost or seconds > 0.5 * world.plan.timeout:
            process.health.suffer(seconds)
        try:
            return self._wait(call, command, options, fate)
        finally:
            if fate.cut is not None:
                process.health.cut_off("before", fate.cut)

    def _wait(
        self, call: Call, command: tuple[Any, ...], options: dict[str, Any], fate: Fate
    ) -> Any:
        world = self._world
        if fate.lost or fate.again is not None or fate.there > world.plan.slowness:
            world.note("%s sends %s: %s", self._process, call, fate)
        strand = world.time.strand
        answer = AsyncResult()

        def arrive(wanted: bool) -> None:
            value = world.serve(self._process, call, command, options)
            if wanted:
                give = answer.set_exception if isinstance(value, Exception) else answer.set
                world.time.on(strand, fate.back, give, value)

        if fate.lost != "request":
            world.time.on(world.network, fate.there, arrive, not fate.lost)
            if fate.again is not None:
                world.time.on(world.network, fate.there + fate.again, arrive, False)
        if fate.frozen is not None:
            self._process.health.freeze(fate.frozen)
        if fate.drains is not None:
            hub, soon = self._process.hub, fate.there / 2
            world.time.on(hub, soon, self._process.replace_and_drain, fate.drains)
        if fate.lost and fate.noticed is not None:
            gone = redis.ConnectionError("the connection was lost")
            world.time.on(strand, fate.noticed, answer.set_exception, gone)
        try:
            return answer.get(timeout=world.plan.timeout)
        except gevent.Timeout:
            raise redis.TimeoutError("no answer in time") from None

    def _fate(self, call: Call) -> Fate:
        plan, rng = self._world.plan, self._rng
        if self._process.is_dead:
            raise redis.ConnectionError("the process is dead")
        lost = self._process.health.loses(rng)
        if lost:
            return Fate(0.01, 0.01, lost, noticed=rng.choice((None, 0.0, 0.01)))
        fault = self._process.health.fault_for(call)
        if fault is not None:
            noticed = rng.choice((None, 0.01))
            return {
                "lost request": Fate(lost="request", noticed=noticed),
                "lost answer": Fate(lost="answer", noticed=noticed),
                "late request": Fate(there=fault.size),
                "twice": Fate(again=fault.size),
                "drained call": self._drained(fault.size),
                "frozen call": Fate(0.001, 0.001, frozen=fault.size),
                "fading wire": Fate(back=rng.uniform(0.5, 0.95) * plan.timeout, cut=fault.size),
            }[fault.kind]
        stalled = self._world.stalled_until - self._world.time.now
        if stalled > 0:
            return Fate(there=stalled)
        if rng.randrange(1000) >= plan.slow_calls:
            return AT_ONCE
        # Now and then nearly the time limit, and more.
        slow = plan.slowness if rng.random() < 0.97 else plan.timeout
        return Fate(rng.uniform(0, slow), rng.uniform(0, slow))

    def _drained(self, seconds: float) -> Fate:
        """Of a call that its process gives up, and back: it may arrive after that, or twice."""
        plan, rng = self._world.plan, self._rng
        way = rng.choice(("lost", "answered", "late", "twice"))
        if way == "late":
            return Fate(plan.timeout * rng.uniform(1, 2), drains=seconds)
        if way == "twice":
            again = rng.uniform(0.01, plan.check_interval)
            return Fate(0.001, 0.01, "answer", again=again, noticed=0.005, drains=seconds)
        return Fate(0.001, 0.01, "answer" if way == "lost" else "", drains=seconds)


class NotingStore(RedisStore):
    """The store, which says of each call what it is about."""

    def claim(self, asks: Sequence[Ask], *, ahead_ms: int = 0) -> list[Answer | StoreError]:
        kind = "claim" if any(ask.run_id for ask in asks) else "look" if asks else "heartbeat"
        with _about(kind, [(ask.definition, ask.run_id) for ask in asks]):
            return super().claim(asks, ahead_ms=ahead_ms)

    @property
    def takes_rows(self) -> bool:
        """Each call is one command here, of which something may become."""
        return False

    def give_back(self, claims: Sequence[tuple[JobDefinition, str]]) -> list[bool | StoreError]:
        with _about("give back", claims):
            return super().give_back(claims)

    def renew(self, runs: Sequence[tuple[JobDefinition, str]]) -> list[bool | StoreError]:
        with _about("renew", runs):
            return super().renew(runs)

    def control(self, definition: JobDefinition, what: str, *arguments: str) -> Controlled:
        with _about("control", [(definition, what)]):
            return super().control(definition, what, *arguments)

    def finish(self, endings: Sequence[Ending]) -> list[Finish | StoreError]:
        with _about("finish", [(ending.definition, ending.run_id) for ending in endings]):
            return super().finish(endings)


@contextmanager
def _about(kind: str, about: Sequence[tuple[JobDefinition, str]]) -> Iterator[None]:
    # On the greenlet: several of a process may wait for Redis at once.
    greenlet = gevent.getcurrent()
    greenlet.call = Call(kind, tuple(about))
    try:
        yield
    finally:
        greenlet.call = None


class _Pool:
    """As much of a connection pool as a store asks about."""

    connection_class = redis.Connection

    def __init__(self, wire: Wire) -> None:
        self.connection_kwargs: dict[str, Any] = {}
        self._wire = wire

    def get_connection(self, *command: str) -> _Connection:
        return _Connection(self._wire)

    def release(self, connection: _Connection) -> None:
        """Each call has one of its own."""

    def disconnect(self) -> None:
        """There is nothing to close."""


class _Connection:
    """Takes commands as the protocol has them, and gives their answers."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._commands: list[list[str]] = []

    def send_packed_command(self, written: Sequence[bytes]) -> None:
        self._commands += _commands_of(b"".join(written))

    def read_response(self) -> Any:
        name, digest, number, *rest = self._commands.pop(0)
        return self._wire.execute_command(name, digest, int(number), *rest)

    def disconnect(self) -> None:
        """What was not read is lost with it."""


def _commands_of(written: bytes) -> list[list[str]]:
    commands, at = [], 0

    def number() -> int:
        nonlocal at
        end = written.index(b"\r\n", at)
        found, at = int(written[at + 1 : end]), end + 2
        return found

    while at < len(written):
        words = []
        for _ in range(number()):
            length = number()
            words.append(written[at : at + length].decode())
            at += length + 2
        commands.append(words)
    return commands
