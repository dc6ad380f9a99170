"""Moments that all processes of a machine agree on, whatever their wall clocks say."""

import time

#: Linux's clock that also goes on while the machine, or a process, stands still.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def moment_ms() -> float:
    """Milliseconds since the machine started."""
    return time.clock_gettime(_CLOCK) * 1000


def wall_offset_ms() -> float:
    """Unix milliseconds less `moment_ms`, in a process whose wall clock is right."""
    # The largest: whatever happens between the two readings makes it smaller.
    return max(time.time() * 1000 - moment_ms() for _ in range(5))
