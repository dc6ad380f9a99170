"""The two clocks, which never mix.

*Redis seconds* decide what is due: Redis's own clock, read inside the scripts and estimated
here between two answers; or the runner's injected clock, when a test sets one.

*Trust seconds* measure leases, timeouts and waits: a clock of this machine that goes on
while it is suspended. It is captured at import, so that no test's frozen time stops it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

#: Returns Unix seconds.
Clock = Callable[[], float]


def _capture_trust_clock() -> Clock:
    if not hasattr(time, "clock_gettime"):  # Windows
        return time.monotonic
    read = time.clock_gettime
    # Linux's CLOCK_MONOTONIC stands still during suspend, and Redis's leases do not.
    clock_id = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return partial(read, clock_id)


#: By so much one clock may go faster than another: NTP lets each of them gain or lose 500 parts per
#: million (adjtimex(2)).
_MOST_DRIFT = 0.001

#: Seconds since an arbitrary moment, never stopping and never going back.
trust_seconds: Clock = _capture_trust_clock()


class RedisClock:
    """Redis's time here, in milliseconds: estimated, or what an injected clock says.

    `injected` is read late, each time: it returns the runner's clock, or None when Redis's
    time rules.
    """

    def __init__(
        self, injected: Callable[[], Clock | None] = lambda: None, trust: Clock = trust_seconds
    ) -> None:
        self._injected = injected
        self.trust = trust
        self._offset_ms: float | None = None
        #: The same by the call that took least to get there.
        self._quickest_ms: float | None = None
        #: What it is at least, by the answer that took least to come back.
        self._surest_ms = -math.inf
        #: Trust second of the last answer.
        self._heard_at = 0.0

    def injected_ms(self) -> int | None:
        """Milliseconds by the injected clock, for the scripts; None: they read Redis's."""
        clock = self._injected()
        return None if clock is None else round(clock() * 1000)

    def now_ms(self) -> int | None:
        """What a script sent now would read; None before the first answer of Redis."""
        return self.at_ms(self.trust())

    def ms_until(self, moment_ms: int) -> float | None:
        """Milliseconds, with their fraction, until a script that is sent then would read
        `moment_ms`, or little more; None before the first answer of Redis.
        """
        injected = self.injected_ms()
        if injected is not None:
            return float(moment_ms - injected)
        if self._quickest_ms is None:
            return None
        return moment_ms - self.trust() * 1000 - self._quickest_ms

    def reached_at(self, moment_ms: int) -> float:
        """The trust second from which on Redis's clock shows `moment_ms` or more, for sure."""
        return (moment_ms - self._surest_ms) / 1000

    def surely_ms(self) -> float:
        """What Redis's clock shows by now at least; what the injected one says counts at once."""
        if self.injected_ms() is not None:
            return math.inf
        return self.trust() * 1000 + self._surest_ms

    def at_ms(self, sent_at: float) -> int | None:
        """What a script reads that is sent at that trust second."""
        injected = self.injected_ms()
        if injected is not None:
            return injected
        return None if self._offset_ms is None else int(sent_at * 1000 + self._offset_ms)

    def heard(self, redis_ms: float, sent_at: float) -> None:
        """Learn from an answer that Redis's clock said `redis_ms` to a call sent at `sent_at`.

        Counted from the sending, not from the reply, so that what the answer tells is as of its
        question, however long the call took and this process has stood still since.

        When to send the *next* call so that it arrives at a given time goes by the call that took
        least to get there: one that comes a part of a millisecond early is refused. And whether a
        time has come goes by the answer that took least to come back: what that told had been so.
        """
        now = self.trust()
        self._offset_ms = most = redis_ms - sent_at * 1000
        least = redis_ms - now * 1000  # as if the answer had taken no time
        if self._quickest_ms is None:
            self._quickest_ms, self._surest_ms = most, least
        else:
            drift = (now - self._heard_at) * 1000 * _MOST_DRIFT
            self._quickest_ms = max(least, min(most, self._quickest_ms + drift))
            self._surest_ms = min(most, max(least, self._surest_ms - drift))
        self._heard_at = now
