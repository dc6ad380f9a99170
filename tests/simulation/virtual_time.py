"""Virtual time: timers that fire in order, as fast as we can, and a gevent hub that waits by them.

What waits in the engine waits for a timer of the hub's loop: a sleep, an event with a time limit,
a join. In `VirtualTime.installed` that loop hands out virtual timers, so nothing of the engine
has to know. Greenlets that are ready still run by the hub, in its order, which is always the same.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import gevent

from jobrunner.engine import timely

#: A moment's worth of pending callbacks; more is a loop that does not end.
_MOST_ROUNDS = 10_000


class Strand:
    """What stops and goes on as one: a process's hub, a native thread of it, or the network."""

    def __init__(self, name: str, rate: float = 1.0) -> None:
        self.name = name
        #: Seconds by its clocks, for each second of the world.
        self.rate = rate
        #: How many reasons there are for it to stand still.
        self.stops = 0
        self.dead = False
        #: The process that it is of.
        self.process: Any = None
        #: The timers that came due meanwhile. Kept for ever when dead: a greenlet that nobody
        #: refers to would be ended by the garbage collector, `finally` blocks and all.
        self.missed: list[Timer] = []

    def __repr__(self) -> str:
        return self.name


class Timer:
    """Something that is to happen."""

    __slots__ = ("args", "at", "function", "in_hub", "off", "strand")

    def __init__(
        self, at: float, strand: Strand, in_hub: bool, function: Callable[..., Any], args: Any
    ) -> None:
        self.at = at
        self.strand = strand
        self.in_hub = in_hub
        self.function = function
        self.args = args
        self.off = False


class VirtualTime:
    """The world's time, in seconds since its beginning."""

    def __init__(self) -> None:
        self.now = 0.0
        self.nowhere = Strand("the world")
        #: Whose code is running: what it starts belongs to it.
        self.strand = self.nowhere
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._loop: Any = None
        self._hub: Any = None

    def at(self, when: float, function: Callable[..., Any], *args: Any) -> Timer:
        """Call `function` at that moment, in nobody's name."""
        return self.put(Timer(when, self.nowhere, False, function, args))

    def on(self, strand: Strand, delay: float, function: Callable[..., Any], *args: Any) -> Timer:
        """Call `function` on that strand, after `delay` seconds of the world."""
        return self.put(Timer(self.now + delay, strand, False, function, args))

    def put(self, timer: Timer) -> Timer:
        heapq.heappush(self._timers, (timer.at, next(self._order), timer))
        return timer

    @contextmanager
    def acting_for(self, strand: Strand) -> Iterator[None]:
        """What is started inside belongs to that strand."""
        before, self.strand = self.strand, strand
        try:
            yield
        finally:
            self.strand = before

    def go_on(self, strand: Strand) -> None:
        """One reason to stand still is gone; after the last, what was missed happens now."""
        strand.stops -= 1
        if strand.stops or strand.dead:
            return
        missed, strand.missed = strand.missed, []
        for timer in missed:
            timer.at = self.now
            self.put(timer)

    def step(self, until: float) -> bool:
        """Let happen what is next, and all that follows from it at the same moment; False when
        nothing is left before `until`.
        """
        timers = self._timers
        while timers and timers[0][2].off:
            heapq.heappop(timers)
        if not timers or timers[0][0] > until:
            self.now = max(self.now, until)
            return False
        self.now = max(self.now, timers[0][0])
        while timers and timers[0][0] <= self.now:
            timer = heapq.heappop(timers)[2]
            if not timer.off:
                self._fire(timer)
        return True

    def _fire(self, timer: Timer) -> None:
        strand = timer.strand
        if strand.dead or strand.stops:
            strand.missed.append(timer)
            return
        timer.off = True
        with self.acting_for(strand):
            if timer.in_hub:
                self._loop.run_callback(timer.function, *timer.args)
            else:
                timer.function(*timer.args)
            self.settle()

    def settle(self) -> None:
        """Run the hub until every greenlet waits."""
        loop, switch = self._loop, gevent.getcurrent().switch
        for _ in range(_MOST_ROUNDS):
            loop.run_callback(switch)
            self._hub.switch()
            if not loop.ready:
                return
        raise AssertionError("greenlets do not come to rest")

    @contextmanager
    def installed(self) -> Iterator[None]:
        """The hub of this thread waits by virtual time inside."""
        gevent.sleep(0)  # so that the hub is running already, on its own loop
        hub = self._hub = gevent.get_hub()
        real = hub.loop
        hub.loop = self._loop = _Loop(real, self)
        step, timely.step = timely.step, gevent.sleep  # whose timers are as fine as need be
        try:
            yield
        finally:
            hub.loop, timely.step = real, step


class _Loop:
    """A gevent loop whose timers are virtual; in all else the real one."""

    def __init__(self, real: Any, time: VirtualTime) -> None:
        self._real = real
        self._time = time
        self.run_callback = real.run_callback
        self.ready = real._callbacks

    def timer(self, seconds: float, *_: Any, **__: Any) -> _LoopTimer:
        return _LoopTimer(self, self._time, seconds)

    def update_now(self) -> None:
        """The real one would read the system's clock."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class _LoopTimer:
    """What gevent waits by: the interface of a loop's timer."""

    __slots__ = ("_seconds", "_time", "_timer", "loop")

    pending = False

    def __init__(self, loop: _Loop, time: VirtualTime, seconds: float) -> None:
        self.loop = loop
        self._time = time
        self._seconds = seconds
        self._timer: Timer | None = None

    def start(self, callback: Callable[..., Any], *args: Any, **_: Any) -> None:
        time = self._time
        at = time.now + self._seconds / time.strand.rate
        self._timer = time.put(Timer(at, time.strand, True, callback, args))

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.off = True
            self._timer = None

    close = stop

    @property
    def active(self) -> bool:
        return self._timer is not None and not self._timer.off

    def __enter__(self) -> _LoopTimer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
