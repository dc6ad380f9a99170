"""Signals, as Flask's: what an application may listen to beside the log.

Each is sent with the application (the runner, without Flask) as its sender. A receiver that
raises is logged and hurts nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from blinker import NamedSignal, Namespace

#: Sends a signal with its arguments; the sender is known already.
Notify = Callable[..., None]

logger = logging.getLogger("jobrunner")

_signals = Namespace()

#: A run lost its lease, or cannot trust it any more, and is being stopped. Arguments: `run`, the
#: `Run`; `why`, in words.
lease_lost = _signals.signal("lease-lost")

#: A job's last runs were abandoned one after the other, and it waits. Arguments: `job`, its name;
#: `abandoned_in_row`; `until`, Redis's Unix seconds.
job_quarantined = _signals.signal("job-quarantined")


def send(signal: NamedSignal, sender: Any, **arguments: Any) -> None:
    """Call the receivers of `signal`; one that raises is logged, and the others are called."""
    for receiver in list(signal.receivers_for(sender)):
        try:
            receiver(sender, **arguments)
        except Exception:
            logger.exception("a receiver of the signal %r raised", signal.name)


def send_nothing(signal: NamedSignal, **arguments: Any) -> None:
    """A `Notify` for parts that stand alone."""
