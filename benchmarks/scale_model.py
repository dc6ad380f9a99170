"""What a fleet costs its Redis: a model in closed form, from a few constants that were measured.

Of a fleet of n instances with J jobs, each due once in an interval T:

* A job's due time is asked about once by every instance, for each has to know that somebody took
  it: n J / T asks a second. One of the n wins, so there are n - 1 losers a winner, whatever any
  delay. Each instance looks at each job once in RESYNC_INTERVAL R, too: n J / R looks a second.
* What can be saved is calls. Where the due times are spread (r = J / T of them a second, as good as
  by chance), an instance sleeps until the next, X, exponential with mean 1 / r, then for its delay
  D, or for the check interval c where that is shorter, and asks about all in one call: one call an
  instance in E[min(c, X + D)]. Where all are due at once, it is one call at each of these times and
  one a check interval between them.
* The first of n comes later than x after a due time if none of them has come: an instance that
  sleeps until this due time comes later with probability P(D > x), one that is in a delay for an
  earlier one with that of what is left of it, the integral of P(D > u) over u > x divided by E[D].
* Redis spends a constant on each call, ask or look, and run; so does the network. A call that
  finds Redis asleep costs more than one that finds it at work: with the share of a core that it
  works, the load, each call is less likely to wake it.

Assumed: runs are short, so that nobody asks about a run that goes on; T is longer than the delays;
no instance is short of slots; no instance is so busy that it comes late for that.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from jobrunner.engine import spread


@dataclass(frozen=True)
class Costs:
    """What one of each thing costs, in one unit (microseconds of Redis's CPU, or bytes)."""

    #: A call that claims, whatever it asks about.
    call: float
    #: A look, or an ask that loses.
    ask: float
    #: What a run takes besides its ask: its claim and its finish.
    run: float
    #: A call that finishes, whatever is in it.
    finish_call: float


@dataclass(frozen=True)
class Delay:
    """A wait that is uniform: in a `share` of all cases up to `soon` seconds, else to `longest`."""

    share: float
    soon: float
    longest: float

    @classmethod
    def none(cls, instances: int, check_interval: float) -> Delay:
        return cls(1.0, 0.0, 0.0)

    @classmethod
    def adaptive(cls, instances: int, check_interval: float) -> Delay:
        """What `jobrunner.engine.spread` draws from."""
        if instances < 2:
            return cls.none(instances, check_interval)
        longest = min(spread._LONGEST, check_interval * spread._OF_CHECK_INTERVAL)
        few = min(instances, spread._SOON)
        return cls(few / instances, min(longest, few * spread._EACH), longest)

    @property
    def parts(self) -> list[tuple[float, float]]:
        """Probability and longest wait of each of the two."""
        return [(self.share, self.soon), (1 - self.share, self.longest)]

    @property
    def mean(self) -> float:
        return sum(share * longest / 2 for share, longest in self.parts)

    def later_than(self, x: float) -> float:
        return sum(
            share * max(0.0, 1 - x / longest) for share, longest in self.parts if longest > 0
        )

    def left_later_than(self, x: float) -> float:
        """The same of what is left of a wait that is met in its course."""
        if self.mean == 0:
            return 0.0
        after = sum(
            share * max(0.0, longest - x) ** 2 / (2 * longest)
            for share, longest in self.parts
            if longest > 0
        )
        return after / self.mean


#: The ways of `benchmarks.scale_fleet`.
DELAYS: dict[str, Callable[[int, float], Delay]] = {
    "adaptive": Delay.adaptive,
    "none": Delay.none,
    "2 ms": lambda instances, check_interval: Delay(1.0, 0.002, 0.002),
}


@dataclass(frozen=True)
class Fleet:
    """One fleet, and what it asks of its Redis, a second."""

    instances: int
    jobs: int
    interval: float
    spread: bool = True
    check_interval: float = 1.0
    resync_interval: float = 60.0
    delay: str = "adaptive"

    @property
    def title(self) -> str:
        how = "spread" if self.spread else "at once"
        words = f"{self.instances} instances, {self.jobs} jobs / {self.interval:g} s, {how}"
        if self.check_interval != 1:
            words += f", checked every {self.check_interval:g} s"
        return f"{words}, delay {self.delay}"

    @property
    def _delay(self) -> Delay:
        return DELAYS[self.delay](self.instances, self.check_interval)

    @property
    def runs(self) -> float:
        return self.jobs / self.interval

    @property
    def moments(self) -> float:
        """Due times a second, those of one moment counted once."""
        return self.runs if self.spread else 1 / self.interval

    @property
    def asks(self) -> float:
        return self.instances * self.runs

    @property
    def looks(self) -> float:
        return self.instances * self.jobs / self.resync_interval

    @cached_property
    def cycle(self) -> float:
        """Seconds from one call of an instance to its next."""
        if not self.spread:
            return self.interval / math.ceil(self.interval / self.check_interval)
        rate, c = self.moments, self.check_interval
        seconds = 0.0
        for share, longest in self._delay.parts:
            # The mean of D + (1 - exp(-rate (c - D))) / rate over D from 0 to `longest`.
            grown = math.expm1(rate * longest) / (rate * longest) if longest > 0 else 1.0
            seconds += share * (longest / 2 + (1 - math.exp(-rate * c) * grown) / rate)
        return seconds

    @property
    def claim_calls(self) -> float:
        return self.instances / self.cycle

    @property
    def winning_calls(self) -> float:
        """Each takes all that has come due before the first comes."""
        return self.moments / (1 + self.moments * self.first_mean if self.spread else 1)

    @property
    def calls(self) -> float:
        """Commands of clients: a finish for every call that won something."""
        return self.claim_calls + self.winning_calls

    @property
    def losing_calls_each(self) -> float:
        """Calls that asked and won nothing, for each moment at which something is due."""
        asking = self.instances * self.moments
        if self.spread:
            # Not those at the end of a check interval in which nothing came due.
            asking = self.claim_calls * (1 - math.exp(-self.moments * self.check_interval))
        return (asking - self.winning_calls) / self.moments

    @property
    def losers(self) -> float:
        """Asks that lose, for each that wins."""
        return self.instances - 1.0

    # -- how late the first comes --------------------------------------------------------------

    def first_later_than(self, x: float) -> float:
        """The probability that nobody has come x seconds after a due time."""
        delay = self._delay
        sleeping = 1.0
        if self.spread:
            sleeping = min(1.0, max(0.0, 1 - delay.mean / self.cycle))
        one = sleeping * delay.later_than(x) + (1 - sleeping) * delay.left_later_than(x)
        return float(one**self.instances)

    @cached_property
    def first_mean(self) -> float:
        """Seconds, on average."""
        longest, steps = self._delay.longest, 300
        # Finer where it matters: near nothing.
        points = [longest * (step / steps) ** 3 for step in range(steps + 1)]
        pairs = itertools.pairwise(points)
        return sum((b - a) * self.first_later_than((a + b) / 2) for a, b in pairs)

    def first_quantile(self, q: float) -> float:
        """Seconds within which the first comes in so many of all cases."""
        low, high = 0.0, self._delay.longest
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.first_later_than(middle) > 1 - q else (low, middle)
        return high

    # -- what that costs -----------------------------------------------------------------------

    def load(self, cpu_us: Costs, busy_call_us: float) -> float:
        """The share of a core that Redis works, 1 and more where it cannot keep up; `busy_call_us`
        is what a call costs that wakes nobody.
        """
        waking = self.calls * (cpu_us.call - busy_call_us) / 1e6
        busy = self.cost(cpu_us) / 1e6 - waking
        # load = busy + waking (1 - load)
        return busy if busy > 1 else (busy + waking) / (1 + waking)

    def cost(self, costs: Costs) -> float:
        """Of all that happens in a second, in the unit of the costs."""
        return (
            self.claim_calls * costs.call
            + (self.asks + self.looks) * costs.ask
            + self.runs * costs.run
            + self.winning_calls * costs.finish_call
        )
