"""Recurring jobs inside a web service, each run once per due time in the whole fleet."""

from .context import JobContext
from .database.fence_table import fence_table
from .errors import (
    ConfigurationError,
    DuplicateJobError,
    InvalidJobError,
    InvalidRequestError,
    InvalidScheduleError,
    JobRunnerError,
    LastRunParseError,
    LeaseLostError,
    RefusedError,
    RunCancelledError,
    RunInterruptedError,
    RunStopped,
    RunTimedOutError,
    StaleRunError,
    StoreError,
    UnknownJobError,
)
from .job import Job
from .retry import Retry
from .run import HistoryEntry, Outcome, Progress, Run, Skip
from .runner import JobRunner
from .schedules import Schedule, any_of, cron, every, except_on
from .status import InstanceStatus, JobStatus

__all__ = [
    "ConfigurationError",
    "DuplicateJobError",
    "HistoryEntry",
    "InstanceStatus",
    "InvalidJobError",
    "InvalidRequestError",
    "InvalidScheduleError",
    "Job",
    "JobContext",
    "JobRunner",
    "JobRunnerError",
    "JobStatus",
    "LastRunParseError",
    "LeaseLostError",
    "Outcome",
    "Progress",
    "RefusedError",
    "Retry",
    "Run",
    "RunCancelledError",
    "RunInterruptedError",
    "RunStopped",
    "RunTimedOutError",
    "Schedule",
    "Skip",
    "StaleRunError",
    "StoreError",
    "UnknownJobError",
    "any_of",
    "cron",
    "every",
    "except_on",
    "fence_table",
]
