"""The errors: one root to catch, and apart from it what is thrown into a run."""

from __future__ import annotations

import inspect

import pytest

import jobrunner
from jobrunner import JobRunnerError, RunStopped, errors

CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, BaseException)
]


@pytest.mark.parametrize("error", CLASSES)
def test_each_error_has_one_of_two_roots_and_is_exported(error: type) -> None:
    assert 1 == sum(issubclass(error, root) for root in (JobRunnerError, RunStopped))
    assert error is getattr(jobrunner, error.__name__)
    assert error.__name__ in jobrunner.__all__


@pytest.mark.parametrize("error", CLASSES)
def test_each_error_says_when_it_is_raised(error: type) -> None:
    doc = inspect.getdoc(error) or ""
    assert doc.startswith(("Raised", "The root of "))


def test_except_exception_in_a_job_does_not_swallow_its_stop() -> None:
    assert not issubclass(RunStopped, Exception)


@pytest.mark.parametrize(
    ("error", "base"),
    [
        (jobrunner.InvalidJobError, ValueError),
        (jobrunner.InvalidScheduleError, ValueError),
        (jobrunner.LastRunParseError, ValueError),
        (jobrunner.UnknownJobError, LookupError),
        (jobrunner.DuplicateJobError, jobrunner.InvalidJobError),
    ],
)
def test_who_expects_the_builtin_catches_ours(error: type, base: type) -> None:
    assert issubclass(error, base)
