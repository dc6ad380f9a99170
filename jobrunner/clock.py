"""The two clocks, which never mix.

*Redis seconds* decide what is due: Redis's own clock, read inside the scripts and estimated
here between two answers; or the runner's injected clock, when a test sets one.

*Trust seconds* measure leases, timeouts and waits: a clock of this machine that goes on
while it is suspended. It is captured at import, so that no test's frozen time stops it.
"""

from __future__ import annotations

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
        """Milliseconds, with their fraction, until a script would read `moment_ms`; None before
        the first answer of Redis.
        """
        injected = self.injected_ms()
        if injected is not None:
            return float(moment_ms - injected)
        return (
            None if self._offset_ms is None else moment_ms - self.trust() * 1000 - self._offset_ms
        )

    def at_ms(self, sent_at: float) -> int | None:
        """What a script reads that is sent at that trust second."""
        injected = self.injected_ms()
        if injected is not None:
            return injected
        return None if self._offset_ms is None else int(sent_at * 1000 + self._offset_ms)

    def heard(self, redis_ms: float, sent_at: float) -> None:
        """Learn from an answer that Redis's clock said `redis_ms` to a call sent at `sent_at`.

        How long a call takes to get there cannot be told from its answer, and differs: the estimate
        goes by the one that took least. So it foretells what the *next* call will find at the
        earliest: a claim that is sent at its due time never arrives before it, where it would be
        refused, and hardly after it.
        """
        now = self.trust()
        # The clock was read between the two: what both of these say is for sure.
        most, least = redis_ms - sent_at * 1000, redis_ms - now * 1000
        offset = most
        if self._offset_ms is not None:
            drifted = self._offset_ms + (now - self._heard_at) * 1000 * _MOST_DRIFT
            offset = max(least, min(most, drifted))
        self._offset_ms, self._heard_at = offset, now
