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

#: An instance has started, and has stopped. Arguments: `instance`, its id.
instance_started = _signals.signal("instance-started")
instance_stopped = _signals.signal("instance-stopped")

#: A run was claimed by this instance. Arguments: `run`, the `Run`.
job_claimed = _signals.signal("job-claimed")

#: The code of a run begins, once an attempt. Arguments: `run`.
job_started = _signals.signal("job-started")

#: An attempt failed, and another one follows. Arguments: `run`; `error`, the exception; `pause`,
#: the seconds until then.
job_retrying = _signals.signal("job-retrying")

#: A run ended well. Arguments: `run`; `result`, what the job returned.
job_succeeded = _signals.signal("job-succeeded")

#: A run ended otherwise. Arguments: `run`; `error`, the exception; `outcome`, an `Outcome`.
job_failed = _signals.signal("job-failed")

#: A due time passed without a run. Arguments: `job`, its name; `reason`, a `Skip`; `due_at`,
#: Redis's Unix seconds. Sent once for a due time and reason, by the instance that noticed first.
job_skipped = _signals.signal("job-skipped")

#: A job has had no success for longer than it expects. Arguments: `job`, its name; `since`,
#: Redis's Unix seconds of the last success (or of when the fleet first saw it). Sent once until
#: it succeeds, by the instance that noticed first.
job_overdue = _signals.signal("job-overdue")

#: A run lost its lease, or cannot trust it any more, and is being stopped. Arguments: `run`, the
#: `Run`; `why`, in words.
lease_lost = _signals.signal("lease-lost")

#: A job's last runs were abandoned one after the other, and it waits. Arguments: `job`, its name;
#: `abandoned_in_row`; `until`, Redis's Unix seconds.
job_quarantined = _signals.signal("job-quarantined")


def send(signal: NamedSignal, sender: Any, **arguments: Any) -> None:
    """Call the receivers of `signal`; one that raises is logged, and the others are called."""
    if not signal.receivers:
        return  # the common case, on the way of every run
    for receiver in list(signal.receivers_for(sender)):
        try:
            receiver(sender, **arguments)
        except Exception:
            logger.exception("a receiver of the signal %r raised", signal.name)


def send_nothing(signal: NamedSignal, **arguments: Any) -> None:
    """A `Notify` for parts that stand alone."""
