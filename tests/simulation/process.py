"""One process of the fleet: a real scheduler, executor and keeper, and the ways it can fail."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

import gevent

from jobrunner import JobContext
from jobrunner.clock import RedisClock
from jobrunner.engine.executor import ActiveRun, Executor
from jobrunner.engine.keeper import LeaseKeeper
from jobrunner.engine.scheduler import Scheduler
from jobrunner.hosting import drain
from jobrunner.registry import Registry

from .health import Health
from .jobs import SimulatedJob
from .plan import JobPlan
from .virtual_time import Strand
from .wire import NotingStore, Wire

if TYPE_CHECKING:
    from .world import World

NAMESPACE = "shop"

#: Calls that a process may send within a check interval; more is a storm.
MOST_CALLS = 60


class Process:
    """A process of the service, wired as `hosting.instance` wires one."""

    def __init__(self, world: World, slot: int, jobs: tuple[JobPlan, ...], number: int) -> None:
        plan = world.plan
        self.world = world
        self.slot = slot
        self.id = f"i{number}"
        rng = random.Random(f"{plan.seed} {self.id}")
        rate = rng.choice((1.0, 1.0, rng.uniform(0.99, 1.01)))
        self.hub = Strand(self.id, rate)
        self.thread = Strand(f"{self.id}'s keeper", rate)
        self.hub.process = self.thread.process = self
        self._booted = rng.uniform(0, 1e6)
        #: How wrong its wall clock is.
        self.wall_error = rng.choice((0.0, rng.uniform(-7200, 7200)))
        self.registry = Registry(NAMESPACE)
        self.definitions = {
            job.name: self.registry.register(SimulatedJob(world, job)) for job in jobs
        }
        self.health = Health(self)
        self.drains_since: float | None = None
        #: Redis's time when it started.
        self.started = world.redis.time()
        #: When it last had no slot free.
        self.full_at = 0.0
        self._calls: deque[float] = deque(maxlen=MOST_CALLS)
        self._wire(world)

    def __str__(self) -> str:
        return self.id

    def trust(self) -> float:
        """Its clock for leases."""
        return self._booted + self.world.time.now * self.hub.rate

    @property
    def is_dead(self) -> bool:
        return self.hub.dead

    def start(self) -> None:
        """Begin, as a started runner does."""
        self.world.note("%s starts with %s", self, list(self.definitions))
        self.world.watch.deployed(self)
        with self.world.time.acting_for(self.hub):
            self.keeper.start()
            gevent.spawn(_loop_around, self.keeper.expire)
            gevent.spawn(_loop_around, self.executor.remind)
            gevent.spawn(self.scheduler.loop)
            self.world.time.settle()

    def drain(self, seconds: float) -> None:
        """Stop as a server does that is told to: drain, and then the process ends."""
        if self.drains_since is None and not self.is_dead:
            self.world.note("%s drains within %.3f s", self, seconds)
            self.drains_since = self.world.time.now
            with self.world.time.acting_for(self.hub):
                gevent.spawn(self._drain, seconds)
                self.world.time.settle()

    def replace_and_drain(self, seconds: float) -> None:
        """Drain, and have another process in its place."""
        if self.world.serving[self.slot] is self:
            self.world.start_process(self.slot)
        self.drain(seconds)

    def die(self) -> None:
        """Vanish, without a `finally`."""
        self.hub.dead = self.thread.dead = True

    def storms(self) -> bool:
        """Count a call; whether there were too many lately."""
        calls = self._calls
        calls.append(self.world.time.now)
        lately = calls[-1] - calls[0] < self.world.plan.check_interval
        return len(calls) == MOST_CALLS and lately

    def could_work_since(self) -> float | None:
        """Since when nothing has kept it from its work; None: something does, or it is ending."""
        ending = self.is_dead or self.drains_since is not None
        return None if ending else self.health.well_since()

    # -- the parts ---------------------------------------------------------------------------

    def _wire(self, world: World) -> None:
        plan = world.plan
        self.clock = NotingClock(self)
        self.store = self._store("store")
        self.keeper: LeaseKeeper[ActiveRun] = LeaseKeeper(
            self._store("keeper"),
            lease=plan.lease,
            trust=self.trust,
            on_lost=lambda lease, why: self.executor.tell(lease, why),
            on_failure=self.store.link.failed,
        )
        self.executor = Executor(
            self.store,
            self.keeper,
            context=JobContext(session_factory=world.sessions),
            scope=nullcontext,
            slots=plan.runs_at_once,
            in_threads=False,
            trust=self.trust,
            instance=self.id,
            check_interval=plan.check_interval,
        )
        self.scheduler = Scheduler(
            self.registry,
            self.store,
            self.executor,
            self.keeper,
            instance=self.id,
            clock=self.clock,
            check_interval=plan.check_interval,
            resync_interval=plan.resync_interval,
            quarantine_after=plan.quarantine_after,
        )

    def _store(self, name: str) -> NotingStore:
        plan = self.world.plan
        return NotingStore(
            Wire(self.world, self, name),  # type: ignore[arg-type]
            namespace=NAMESPACE,
            instance=self.id,
            lease_ms=int(plan.lease * 1000),
            history=1000,
            forget_after_ms=60_000,
            clock=self.clock,
        )

    def _drain(self, seconds: float) -> None:
        drain.drain(
            self.scheduler,
            self.executor,
            self.keeper,
            self.store,
            deadline=self.trust() + seconds,
            trust=self.trust,
        )
        self.world.note("%s has ended", self)
        self.world.watch.drained(self)
        self.die()


class NotingClock(RedisClock):
    """Redis's time as the process knows it, and since when it knows that: a world second."""

    def __init__(self, process: Process) -> None:
        super().__init__(trust=process.trust)
        self._process = process
        self.heard_at = -1.0

    def heard(self, redis_ms: float, sent_at: float) -> None:
        ago = (self.trust() - sent_at) / self._process.hub.rate
        self.heard_at = self._process.world.time.now - ago
        super().heard(redis_ms, sent_at)


def _loop_around(step: Callable[[], float]) -> None:
    while True:
        gevent.sleep(step())
