"""Start processes that a Ctrl-C in the terminal does not reach, and that do not outlive us."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import IO

#: Linux: "send me this signal when my parent dies", however it dies.
PR_SET_PDEATHSIG = 1


def start_process(
    command: list[str], *, env: Mapping[str, str] | None = None, output: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own; its output goes to `output`, or where ours goes.

    The terminal sends Ctrl-C to everything in its foreground. These processes get TERM from us
    instead, one after the other: while the workers drain, they still need Redis.
    """
    return subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output else None,
        start_new_session=True,
        preexec_fn=partial(become_child, parent_death_signal()),
    )


def parent_death_signal() -> Callable[[], object] | None:
    """Return what makes a new process end with its parent, or None where there is no such thing."""
    if sys.platform != "linux":
        return None
    return partial(ctypes.CDLL(None).prctl, PR_SET_PDEATHSIG, signal.SIGTERM)


def become_child(end_with_parent: Callable[[], object] | None) -> None:
    """Run in the new process, before its program is loaded."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # what we hold back, it shall receive
    if end_with_parent is not None:
        end_with_parent()
