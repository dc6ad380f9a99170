"""The people who ask something of the fleet, on a wire of their own: from a terminal, say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gevent

from jobrunner.clock import RedisClock
from jobrunner.engine import controls
from jobrunner.errors import RefusedError, StoreError
from jobrunner.job import JobDefinition
from jobrunner.registry import Registry

from .health import Health
from .jobs import SimulatedJob
from .plan import Control
from .process import NAMESPACE
from .virtual_time import Strand
from .wire import NotingStore, Wire

if TYPE_CHECKING:
    from .world import World


class People:
    """They run no jobs; what they ask goes through the shipped controls."""

    id = "a person"
    is_dead = False
    drains_since: float | None = None

    def __init__(self, world: World) -> None:
        self.world = world
        self.hub = self.thread = Strand(self.id)
        self.hub.process = self
        #: Theirs is right.
        self.wall_error = 0.0
        self.health = Health(self)
        registry = Registry(NAMESPACE)
        self._definitions = {
            job.name: registry.register(SimulatedJob(world, job)) for job in world.plan.versions[0]
        }
        self._store = NotingStore(
            Wire(world, self, "store"),  # type: ignore[arg-type]
            namespace=NAMESPACE,
            instance=self.id,
            lease_ms=1,
            history=1,
            forget_after_ms=1,
            clock=RedisClock(trust=lambda: world.time.now),
        )

    def __str__(self) -> str:
        return self.id

    def storms(self) -> bool:
        """They do not: each call is a person's."""
        return False

    def replace_and_drain(self, seconds: float) -> None:
        """They do not drain."""

    def ask(self, control: Control) -> None:
        """Ask it, and wait for the answer as long as that takes."""
        definition = self._definitions.get(control.job)
        if definition is None:
            return  # a shorter story has the job no more
        self.world.note("%s asks: %s of %s, %g", self, control.kind, control.job, control.size)
        if control.mishap is not None:
            self.health.arm(control.mishap)
        with self.world.time.acting_for(self.hub):
            gevent.spawn(self._ask, definition, control)
            self.world.time.settle()

    def _ask(self, definition: JobDefinition, control: Control) -> None:
        try:
            self._do(definition, control)
        except (RefusedError, StoreError) as error:
            self.world.note("%s hears: %s", self, error)

    def _do(self, definition: JobDefinition, control: Control) -> None:
        store = self._store
        if control.kind in ("trigger", "queue"):
            controls.trigger(store, definition, queue=control.kind == "queue")
        elif control.kind == "pause":
            until = self.world.redis.time() + control.size if control.size else None
            controls.pause(store, definition, until, "")
        elif control.kind == "resume":
            controls.resume(store, definition)
        elif control.kind == "reset":
            controls.reset(store, definition)
        else:
            controls.cancel(store, definition)
