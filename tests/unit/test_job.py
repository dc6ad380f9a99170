"""A job is checked when it is registered, and what cannot work is quoted."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from jobrunner import InvalidJobError, InvalidScheduleError, Job, Schedule, cron, every
from jobrunner.job import FunctionJob, JobDefinition
from jobrunner.schedules import shifted
from jobrunner.store.wire import bulk


class Purge(Job):
    name = "purge sessions"
    interval = timedelta(minutes=5)

    def run(self, ctx: object) -> None: ...


def purge(ctx: object) -> str:
    return f"purged for {ctx}"


def define(**attributes: Any) -> JobDefinition:
    """The definition of a job like `Purge` with other attributes."""
    return JobDefinition.of(type("Other", (Purge,), attributes)(), "shop")


def test_a_class_with_an_interval() -> None:
    definition = JobDefinition.of(Purge(), "shop")

    assert "purge sessions" == definition.name
    assert every(minutes=5) == definition.schedule
    assert "{shop}:job:purge sessions" == definition.keys.sync_key
    assert f"{__name__}.Purge" == definition.origin


def test_a_class_with_a_schedule_and_a_key() -> None:
    definition = define(interval=None, schedule=cron("0 3 * * *"), sync_key="PURGE_LAST_RUN")

    assert cron("0 3 * * *", tz="UTC") == definition.schedule
    assert "PURGE_LAST_RUN" == definition.keys.sync_key


def test_a_schedule_without_a_timezone_goes_by_the_runner_s() -> None:
    job = Purge()
    job.interval, job.schedule = None, cron("0 3 * * *")

    definition = JobDefinition.of(job, "shop", "Europe/Vienna")

    assert cron("0 3 * * *", tz="Europe/Vienna") == definition.schedule


def test_jitter_and_spread_move_the_due_times_by_the_job_s_name() -> None:
    hourly = cron("0 * * * *", tz="UTC")
    definition = define(interval=None, schedule=hourly, jitter=5, spread=600)

    assert shifted(hourly, definition.name, jitter_ms=5000, spread_ms=600_000) == (
        definition.schedule
    )
    assert shifted(hourly, definition.name, spread_ms=None) == (
        define(interval=None, schedule=hourly, spread=True).schedule
    )


def test_what_has_no_grid_cannot_be_made_good() -> None:
    with pytest.raises(InvalidJobError, match=r"misfire = 'all' and the schedule every 5 minutes"):
        define(misfire="all", interval=300)


def test_what_is_set_on_the_instance_counts() -> None:
    job = Purge()
    job.name = "purge of tenant 7"
    job.interval = 2.5

    definition = JobDefinition.of(job, "shop")

    assert ("purge of tenant 7", every(seconds=2.5)) == (definition.name, definition.schedule)


def test_a_function_is_a_job_by_its_name() -> None:
    job = FunctionJob(purge, every(minutes=5))

    assert "purge" == JobDefinition.of(job, "shop").name
    assert f"{__name__}.purge" == job.origin()
    assert "purged for ctx" == job.run("ctx")  # type: ignore[arg-type]


def test_a_function_may_have_another_name_and_key() -> None:
    definition = JobDefinition.of(
        FunctionJob(purge, every(minutes=5), name="clean up", sync_key="CLEAN"), "shop"
    )

    assert ("clean up", "CLEAN") == (definition.name, definition.keys.sync_key)


def test_a_callable_without_a_name_must_be_given_one() -> None:
    nameless = functools.partial(purge, "ctx")
    with pytest.raises(InvalidJobError, match=r"functools\.partial.*name='…'"):
        FunctionJob(nameless, every(minutes=5))

    assert "named" == FunctionJob(nameless, every(minutes=5), name="named").name


def test_what_is_not_callable_is_no_job() -> None:
    with pytest.raises(InvalidJobError, match="'purge': decorate a function"):
        FunctionJob("purge", every(minutes=5))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "a\x00", "\ud800", None, 7, b"purge"])
def test_a_name_must_be_printable_text(name: Any) -> None:
    with pytest.raises(InvalidJobError) as caught:
        define(name=name)

    assert f"Other.name is {name!r}" in str(caught.value)


def test_a_job_without_a_name_is_told_so() -> None:
    class Nameless(Job):
        interval = 5

        def run(self, ctx: object) -> None: ...

    with pytest.raises(InvalidJobError, match=r"Nameless\.name is None"):
        JobDefinition.of(Nameless(), "shop")


def test_a_job_without_run_is_told_so() -> None:
    class Idle(Job):
        name = "idle"
        interval = 5

    with pytest.raises(InvalidJobError, match=r"'idle' has no run: define `def run\(self, ctx\)"):
        JobDefinition.of(Idle(), "shop")


def test_a_job_needs_one_schedule() -> None:
    with pytest.raises(InvalidJobError, match=r"'purge sessions' has schedule = None.*every\("):
        define(interval=None)
    with pytest.raises(InvalidJobError, match=r"has both interval = .*every 7 seconds"):
        define(schedule=every(seconds=7))


@pytest.mark.parametrize("schedule", ["*/5 * * * *", 300, timedelta(minutes=5), object()])
def test_a_schedule_that_is_none_is_quoted(schedule: Any) -> None:
    with pytest.raises(InvalidJobError) as caught:
        define(interval=None, schedule=schedule)

    assert f"schedule = {schedule!r}" in str(caught.value)


@pytest.mark.parametrize("interval", [0, -1, timedelta(0), "5 minutes"])
def test_an_interval_that_cannot_be_is_quoted(interval: Any) -> None:
    with pytest.raises(InvalidScheduleError) as caught:
        define(interval=interval)

    assert f"interval = {interval!r}" in str(caught.value)


def test_a_sync_key_that_cannot_be_is_quoted() -> None:
    with pytest.raises(InvalidJobError, match=r"sync_key = 'a}b'"):
        define(sync_key="a}b")


def test_the_class_itself_is_no_job() -> None:
    with pytest.raises(InvalidJobError, match=r"Purge is a class: register Purge\(\)"):
        JobDefinition.of(Purge, "shop")  # type: ignore[arg-type]


@pytest.mark.parametrize("job", [purge, "purge", None])
def test_what_is_no_job_is_quoted(job: Any) -> None:
    with pytest.raises(InvalidJobError) as caught:
        JobDefinition.of(job, "shop")

    assert repr(job) in str(caught.value)


def test_each_run_gets_a_copy_that_shares_what_its_attributes_refer_to() -> None:
    job = Purge()
    job.seen = []  # type: ignore[attr-defined]
    definition = JobDefinition.of(job, "shop")

    copy = definition.copy_job()
    copy.name = "changed"
    copy.seen.append(1)  # type: ignore[attr-defined]

    assert (Purge, "purge sessions", [1]) == (type(copy), job.name, job.seen)  # type: ignore[attr-defined]


@pytest.mark.parametrize("sync_key", ["schlüssel", "{schlüssel}", "{shop}:purge"])
def test_the_keys_are_written_as_a_command_has_them(sync_key: str) -> None:
    keys = define(sync_key=sync_key).keys

    assert "".join(map(bulk, keys.all())) == keys.written


@pytest.mark.parametrize(
    "schedule",
    [
        lambda: every(hours=1),
        lambda: every(hours=1, align=True),
        lambda: cron("0 3 * * *"),
    ],
)
def test_what_many_jobs_share_is_one_object(schedule: Callable[[], Schedule]) -> None:
    one, other = (
        JobDefinition.of(FunctionJob(purge, schedule(), name=name), "shop")
        for name in ("one", "other")
    )

    assert one.schedule is other.schedule
    assert one.origin is other.origin
    assert one.policies is other.policies


def test_a_schedule_of_the_user_s_own_will_do() -> None:
    class AtNoon(Schedule):
        def next_after(self, unix_seconds: float) -> float:
            return unix_seconds // 86400 * 86400 + 129_600

        def __str__(self) -> str:
            return "at noon"

    assert "at noon" == str(define(interval=None, schedule=AtNoon()).schedule)
