"""Lets a plan happen: the processes, the one Redis, the faults, and the watch that looks on."""

from __future__ import annotations

import logging
import time as system_time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import gevent
from redis.exceptions import RedisError

from jobrunner.engine import controls as controls_module
from jobrunner.engine import keeper as keeper_module
from jobrunner.engine import scheduler as scheduler_module

from . import faults
from .database import empty_sessions
from .people import People
from .plan import Plan
from .process import Process
from .server import EPOCH, Server
from .thread import VirtualThread
from .virtual_time import Strand, VirtualTime
from .watch import Broken, Watch
from .wire import Call

logger = logging.getLogger("jobrunner")


class World:
    """One story, from its beginning to its end. `aloud` keeps what happened, in `history`."""

    def __init__(self, plan: Plan, *, aloud: bool = False, own_scripting: bool = True) -> None:
        self.plan = plan
        self.time = VirtualTime()
        self.network = Strand("the network")
        self.redis = Server(lambda: self.time.now, own_scripting=own_scripting)
        fenced = any(job.fenced for version in plan.versions for job in version)
        self.sessions = empty_sessions() if fenced else None
        self.history: list[str] = []
        self._aloud = aloud
        #: Every process there ever was, by its id.
        self.processes: dict[str, Process] = {}
        #: The one that serves at each slot.
        self.serving: list[Process] = []
        self.version = 0
        #: How many calls Redis has done.
        self.calls = 0
        #: Until when Redis does nothing that it is asked.
        self.stalled_until = 0.0
        self.is_over = False
        self.watch = Watch(self)

    def run(self) -> None:
        """Let it happen; raises `Broken` as soon as a promise is."""
        with self._installed():
            try:
                self._begin()
                self._until(self.plan.trouble)
                faults.end_all(self)
                self._until(self.plan.trouble + self.plan.quiet)
                self._end()
            except Broken as broken:
                self.note("BROKEN: %s", broken)
                raise
            finally:
                self._tear_down()

    def note(self, text: str, *words: object) -> None:
        """A line of the history."""
        if self._aloud and not self.is_over:
            self.history.append(f"{self.time.now:8.3f}  {text % words}")

    def start_process(self, slot: int, version: int | None = None) -> Process:
        """Start a process at a slot; who serves there goes on until somebody ends it."""
        self.version = self.version if version is None else version
        number = len(self.processes) + 1
        process = Process(self, slot, self.plan.versions[self.version], number)
        self.processes[process.id] = process
        self.serving[slot:] = [process, *self.serving[slot + 1 :]]
        process.start()
        return process

    def serve(
        self,
        process: Process | People,
        call: Call,
        command: tuple[Any, ...],
        options: dict[str, Any],
    ) -> Any:
        """What Redis does with a command that has arrived, and its answer, also an error."""
        self.calls += 1
        try:
            answer = self.redis.serve(command, options)
        except RedisError as error:
            return error
        self.watch.served(process, call, answer)
        return answer

    def live(self) -> list[Process]:
        return [process for process in self.processes.values() if not process.is_dead]

    # -- the course of things ----------------------------------------------------------------

    def _begin(self) -> None:
        for fault in self.plan.faults:
            faults.plant(self, fault)
        people = People(self)
        for control in self.plan.controls:
            self.time.at(control.at, people.ask, control)
        for slot in range(self.plan.slots):
            self.start_process(slot)

    def _until(self, moment: float) -> None:
        while self.time.step(moment):
            self.watch.look()
        self.watch.look()

    def _end(self) -> None:
        """Drain everybody, with time enough for every run."""
        patience = 4 * self.plan.lease
        for process in self.live():
            process.drain(patience)
        self._until(self.time.now + patience + 10)
        self.watch.look_back()

    def _tear_down(self) -> None:
        self.is_over = True
        for process in self.processes.values():
            process.die()
        gevent.killall(self._greenlets, block=False)
        self.time.settle()

    @contextmanager
    def _installed(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(self.time.installed())
            stack.enter_context(self.redis.installed())
            ids, requests = iter(range(1, 10**6)), iter(range(1, 10**6))
            self._greenlets: list[gevent.Greenlet] = []
            patches: list[tuple[Any, str, Any]] = [
                (keeper_module, "_KeeperThread", self._thread),
                (
                    scheduler_module,
                    "new_ids",
                    lambda number: [f"r{next(ids)}" for _ in range(number)],
                ),
                (controls_module, "new_id", lambda: f"q{next(requests)}"),
                # Nothing of the engine may go by the wall clock of its process: it is wrong.
                (system_time, "time", self._wall_clock),
                (gevent, "spawn", self._spawn),
                (gevent.get_hub(), "handle_error", self._uncaught),
            ]
            for where, name, value in patches:
                stack.enter_context(patched(where, name, value))
            stack.enter_context(_heard(self._logged))
            yield

    def _thread(self, *steps: Any) -> VirtualThread:
        return VirtualThread(self.time, self.time.strand.process.thread, *steps)

    def _wall_clock(self) -> float:
        process = self.time.strand.process
        return EPOCH + self.time.now + (0.0 if process is None else process.wall_error)

    def _spawn(self, *arguments: Any, **keywords: Any) -> gevent.Greenlet:
        greenlet = gevent.Greenlet.spawn(*arguments, **keywords)
        self._greenlets.append(greenlet)
        return greenlet

    def _uncaught(self, context: object, kind: object, error: object, trace: object) -> None:
        if not self.is_over:
            self.watch.object_to(7, f"{context} raised {error!r}")

    def _logged(self, record: logging.LogRecord) -> None:
        self.note("%s: %s", record.levelname.lower(), record.getMessage())
        if record.levelno >= logging.ERROR and not self.is_over:
            self.watch.heard(record)


@contextmanager
def patched(where: Any, name: str, value: Any) -> Iterator[None]:
    """Another value inside for an attribute of a module, a class or an object."""
    before = where.__dict__.get(name)
    setattr(where, name, value)
    try:
        yield
    finally:
        if before is None:
            delattr(where, name)
        else:
            setattr(where, name, before)


class _Ear(logging.Handler):
    def __init__(self, hear: Callable[[logging.LogRecord], None]) -> None:
        super().__init__()
        self.emit = hear  # type: ignore[method-assign]


@contextmanager
def _heard(hear: Callable[[logging.LogRecord], None]) -> Iterator[None]:
    """The library's log is heard, and by nobody else."""
    ear = _Ear(hear)
    before = logger.propagate, logger.level
    logger.addHandler(ear)
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.removeHandler(ear)
        logger.propagate = before[0]
        logger.setLevel(before[1])
