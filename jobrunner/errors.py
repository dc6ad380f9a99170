"""Every error of the library: what was wrong, quoted, and how to mend it.

`JobRunnerError` is the root of what a caller may want to catch. `RunStopped` stands apart
on purpose: it is thrown *into* a run that has to end, and derives from `BaseException` so
that the `except Exception` around one item of a job's loop does not swallow it.
"""

from __future__ import annotations


class JobRunnerError(Exception):
    """The root of the library's errors."""


class ConfigurationError(JobRunnerError):
    """Raised when a setting, or the lack of one, makes the request impossible."""


class InvalidJobError(JobRunnerError, ValueError):
    """Raised at registration when a job's name, key, schedule or `run` cannot work."""


class InvalidScheduleError(JobRunnerError, ValueError):
    """Raised when a schedule is made from something that gives no due times."""


class DuplicateJobError(InvalidJobError):
    """Raised at registration when a different job already has the name or one of the keys."""


class RefusedError(JobRunnerError):
    """Raised when a control cannot be had now: the job is running, or nothing of it runs."""


class InvalidRequestError(JobRunnerError, ValueError):
    """Raised when a control or a question is given something that it cannot take."""


class UnknownJobError(JobRunnerError, LookupError):
    """Raised when no job of that name is registered here."""


class LastRunParseError(JobRunnerError, ValueError):
    """Raised, or reported, when what Redis holds for one job cannot be read."""


class StoreError(JobRunnerError):
    """Raised when Redis is away, slow, read-only or refuses: nothing was decided."""

    #: The slots of a Redis Cluster that it is about; empty: the whole.
    slots: tuple[int, ...] = ()


class RunStopped(BaseException):
    """The root of what is thrown into a run that has to end now; let it pass."""


class LeaseLostError(RunStopped):
    """Raised inside a run whose lease is lost or can no longer be trusted."""


class RunInterruptedError(RunStopped):
    """Raised inside a run that outlived the drain timeout of its stopping instance."""


class RunTimedOutError(RunStopped):
    """Raised inside a run whose attempt has taken longer than the job's timeout."""


class RunCancelledError(RunStopped):
    """Raised inside a run that a person has cancelled."""


class StaleRunError(RunStopped):
    """Raised inside a fenced run that is superseded by a newer one: it commits nothing more."""
