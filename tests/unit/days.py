"""A service through days: instances on one fakeredis, under one clock that the test moves."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import fakeredis
import pytest

from jobrunner import JobRunner, Run, Schedule
from jobrunner.signals import job_overdue, job_skipped
from jobrunner.status import JobStatus

from .clocks import shown, utc

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0

#: What a version of the code has: the schedule and the policies of each job, by its name.
Code = dict[str, tuple[Schedule, dict[str, Any]]]


def job(schedule: Schedule, **policies: Any) -> tuple[Schedule, dict[str, Any]]:
    return schedule, policies


class Days:
    """The service. All its instances look at the same moment: whoever asks second must find that
    somebody has run it.
    """

    def __init__(self) -> None:
        self.redis = fakeredis.FakeRedis(decode_responses=True)
        self.now = utc("2026-01-10 12:00")
        self.instances: list[JobRunner] = []
        self.runs: list[Run] = []
        #: Job, reason and due time of every skip that an instance told; jobs found overdue.
        self.skips: list[tuple[str, str, str]] = []
        self.overdue: list[tuple[str, str]] = []
        #: What the runs raise.
        self.error: Exception | None = None

    # -- instances ---------------------------------------------------------------------------

    def start(self, code: Code, number: int = 2) -> list[JobRunner]:
        """More instances, with a memory of their own and empty, that look at once."""
        new = [self.instance(code) for _ in range(number)]
        self.instances += new
        self.look()
        return new

    def deploy(self, code: Code, number: int = 2) -> None:
        """New instances in the place of the old ones, which go on until the new ones are there."""
        old = list(self.instances)
        self.start(code, number)
        self.stop(old)

    def stop(self, instances: list[JobRunner] | None = None) -> None:
        """Stop these instances; by default all."""
        for instance in list(self.instances if instances is None else instances):
            instance.stop()
            self.instances.remove(instance)

    def look(self) -> None:
        """A check of every instance, all at this moment."""
        for instance in self.instances:
            instance.tick(wait=True)

    def instance(self, code: Code) -> JobRunner:
        runner = JobRunner(redis=self.redis, namespace="shop", clock=lambda: self.now)
        for name, (schedule, policies) in code.items():
            runner.job(schedule, name=name, **policies)(self._run)
        return runner

    def _run(self, ctx: Any) -> None:
        self.runs.append(ctx.run)
        if self.error is not None:
            raise self.error

    # -- time --------------------------------------------------------------------------------

    def go_to(self, moment: str, *, looks_every: float = 10 * MINUTE) -> None:
        """Let time pass until then (UTC), with a look of everybody so often."""
        end = utc(moment)
        while self.now < end:
            self.now = min(end, self.now + looks_every)
            self.look()

    def sleep_until(self, moment: str) -> None:
        """Let time pass in which nobody looks."""
        assert self.now <= utc(moment)
        self.now = utc(moment)

    # -- what happened -----------------------------------------------------------------------

    def due_times(self, name: str) -> list[str]:
        """What the runs of a job were due for, in their order, as UTC."""
        return [shown(run.due_at) for run in self.runs if run.job == name]

    def starts(self, name: str) -> list[str]:
        return [shown(run.started_at) for run in self.runs if run.job == name]

    def status(self, name: str) -> JobStatus:
        (status,) = (one for one in self.instances[0].status() if one.name == name)
        return status

    def hear_skip(self, sender: object, job: str, reason: str, due_at: float) -> None:
        self.skips.append((job, reason, shown(due_at)))

    def hear_overdue(self, sender: object, job: str, since: float) -> None:
        self.overdue.append((job, shown(since)))


@pytest.fixture
def days(caplog: pytest.LogCaptureFixture) -> Iterator[Days]:
    caplog.set_level(logging.INFO, logger="jobrunner")
    days = Days()
    with ExitStack() as stack:
        stack.enter_context(job_skipped.connected_to(days.hear_skip))
        stack.enter_context(job_overdue.connected_to(days.hear_overdue))
        yield days
    days.stop()


def at(day: int, time: str) -> str:
    """A time of a day of January 2026, as the tests write moments."""
    return (
        datetime.fromisoformat(f"2026-01-{day:02} {time}").replace(tzinfo=UTC).isoformat(" ")[:16]
    )
