"""What ails one process: standing still, a cut wire, calls that go wrong. And since when not."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

from .plan import Fault
from .virtual_time import Strand

if TYPE_CHECKING:
    from .people import People
    from .process import Process
    from .wire import Call


class Trouble(NamedTuple):
    """Times of the world between which something was wrong: with the `hub`, with a `thread`, with
    the `wire`, or with one `call`.
    """

    since: float
    until: float
    what: str


class Health:
    """The faults that a process suffers from, and those it has got over."""

    def __init__(self, process: Process | People) -> None:
        self._process = process
        self._time = process.world.time
        self._born_at = self._time.now
        #: How calls fail now: '', `before` the server's work, `after` it, or `either`.
        self._cut = ""
        self._cuts = 0
        self._cut_since = 0.0
        self._stopped_since: dict[Strand, float] = {}
        self._armed: list[Fault] = []
        self._troubles: list[Trouble] = []

    # -- faults ------------------------------------------------------------------------------

    def freeze(self, seconds: float, *, hub_alone: bool = False) -> None:
        """Stand still for a while, threads and all; or the hub alone, and the threads go on."""
        hub, thread = self._process.hub, self._process.thread
        for strand in (hub,) if hub_alone else (hub, thread):
            strand.stops += 1
            self._stopped_since.setdefault(strand, self._time.now)
            self._time.at(self._time.now + seconds, self._go_on, strand)

    def cut_off(self, how: str, seconds: float) -> None:
        """Let calls fail for a while: `before` the server's work, `after` it, or `either`."""
        if not self._cut:
            self._cut_since = self._time.now
        self._cut = how
        self._cuts += 1
        self._time.at(self._time.now + seconds, self._mend_one)

    def arm(self, fault: Fault) -> None:
        """Let it befall the next call of its kind."""
        self._armed.append(fault)

    def suffer(self, seconds: float) -> None:
        """A call goes wrong, or takes long."""
        self._troubles.append(Trouble(self._time.now, self._time.now + seconds, "call"))

    def recover(self) -> None:
        """Nothing is wrong any more."""
        self._armed.clear()
        self._mend()
        for strand in list(self._stopped_since):
            while strand.stops:
                self._go_on(strand)

    # -- what becomes of a call --------------------------------------------------------------

    def loses(self, rng: random.Random) -> str:
        """What is lost of a call now: '', `request` or `answer`."""
        if not self._cut:
            return ""
        ways = {"before": "request", "after": "answer"}
        return ways.get(self._cut) or rng.choice(("request", "answer"))

    def fault_for(self, call: Call) -> Fault | None:
        """The fault that this call meets."""
        for fault in self._armed:
            if fault.how in ("any", call.kind):
                self._armed.remove(fault)
                return fault
        return None

    # -- how it has been ---------------------------------------------------------------------

    def well_since(self) -> float | None:
        """Since when nothing has been wrong; None: something is."""
        if self._stopped_since or self._cut:
            return None
        return max((trouble.until for trouble in self._troubles), default=self._born_at)

    def was_well_since(self, since: float) -> bool:
        """Whether nothing has been wrong since then, but for calls that were under way."""
        if self._cut or self._stopped_since:
            return False
        return all(
            trouble.since < since if trouble.what == "call" else trouble.until <= since
            for trouble in self._troubles
        )

    def longest_well(self, since: float, until: float, *, hub: bool) -> float:
        """The longest time in a row, between two moments, in which nothing was wrong with wire
        and keeper; nor, with `hub`, with the hub.
        """
        troubles = [trouble[:2] for trouble in self._troubles if hub or trouble.what != "hub"]
        if self._cut:
            troubles.append((self._cut_since, until))
        for strand, stopped in self._stopped_since.items():
            if hub or strand is self._process.thread:
                troubles.append((stopped, until))
        longest, at = 0.0, max(since, self._born_at)
        for begin, end in sorted(troubles):
            longest = max(longest, min(begin, until) - at)
            at = max(at, end)
        return max(longest, until - at)

    def _go_on(self, strand: Strand) -> None:
        """One reason to stand still is gone."""
        if not strand.stops:
            return
        self._time.go_on(strand)
        if not strand.stops:
            self._process.world.note("%s goes on", strand)
            what = "hub" if strand is self._process.hub else "thread"
            since = self._stopped_since.pop(strand)
            self._troubles.append(Trouble(since, self._time.now, what))

    def _mend_one(self) -> None:
        self._cuts -= 1
        if self._cuts <= 0:
            self._mend()

    def _mend(self) -> None:
        if self._cut:
            self._cut, self._cuts = "", 0
            self._troubles.append(Trouble(self._cut_since, self._time.now, "wire"))
