"""The short ways to a due time say what the long ones say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobrunner import InvalidJobError, Schedule, any_of, cron, every, except_on
from jobrunner.engine import agenda, due
from jobrunner.engine.due import LONG_AGO_MS, Due, due_again
from jobrunner.job import FunctionJob, JobDefinition
from jobrunner.schedules.wall import next_due_ms
from jobrunner.store.answers import Known, Touched

from .agendas import NOON, agenda_of

DAY_MS = 24 * 3_600_000

SCHEDULES = [
    every(milliseconds=250),
    every(minutes=10),
    every(minutes=10, after="finish"),
    every(minutes=5, align=True),
    cron("*/7 * * * *"),
    cron("0 3 * * *", tz="Europe/Vienna"),
    any_of(cron("0 3 * * *"), cron("*/40 * * * *")),
    any_of(every(minutes=10), cron("0 3 * * *")),
    except_on(cron("0 */6 * * *"), [date(2023, 11, 15)]),
]
POLICIES: list[dict[str, Any]] = [
    {},
    {"timeout": 5},
    {"grace": 60},
    {"misfire": "skip"},
    {"misfire": "all"},
    {"recover": True},
    {"jitter": 30},
    {"expect": 60},
]


def defined(schedule: Schedule, **policies: Any) -> JobDefinition:
    return JobDefinition.of(FunctionJob(lambda ctx: None, schedule, name="a", **policies), "shop")


def all_jobs() -> Iterator[JobDefinition]:
    for schedule in SCHEDULES:
        for policies in POLICIES:
            # Some policies are refused for a schedule that follows from its runs.
            with suppress(InvalidJobError):
                yield defined(schedule, **policies)


JOBS = list(all_jobs())
TOUCHES = [None, Touched("", "", ""), Touched("-", "", ""), Touched("", "1-0", "")]
#: What else may be the case, besides that there was a last start.
ODD = ["", "running", "touched", "in row", "abandoned", "quarantined", "put off", "to tell"]
moments = st.integers(NOON - 3 * DAY_MS, NOON + 3 * DAY_MS)
profile = settings(derandomize=True, database=None, deadline=None, max_examples=600)


def the_long_way(*of: Any) -> Due:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(due, "ordinarily_due_ms", lambda *of: None)
        return due_again(*of)


@profile
@given(
    job=st.sampled_from(JOBS),
    last_ms=moments | st.none(),
    now_ms=moments,
    since_ms=moments | st.just(LONG_AGO_MS),
    first_seen_ms=moments | st.sampled_from([None, LONG_AGO_MS]),
    finished_ms=moments | st.none(),
    abandoned_ms=moments | st.none(),
    running=st.sampled_from([None, "run-1"]),
    touched=st.sampled_from(TOUCHES),
)
def test_a_job_is_due_again_when_the_long_way_says(
    job: JobDefinition,
    last_ms: int | None,
    now_ms: int,
    since_ms: int,
    first_seen_ms: int | None,
    finished_ms: int | None,
    abandoned_ms: int | None,
    running: str | None,
    touched: Touched | None,
) -> None:
    known = Known(
        last_ms,
        first_seen_ms,
        running,
        0,
        abandoned_due_ms=abandoned_ms,
        served_ms=last_ms,
        finished_ms=finished_ms,
        touched=touched,
    )

    assert the_long_way(job, known, now_ms, since_ms) == due_again(job, known, now_ms, since_ms)


class Learnt:
    """What an agenda has concluded, with what was put off and what is to be told before."""

    def __init__(self, job: JobDefinition, not_before_ms: int, to_tell: bool) -> None:
        self._agenda = agenda_of(job)
        self._entry = self._agenda.everything()[0]
        self._entry.not_before_ms = not_before_ms
        self._entry.in_future = True
        if to_tell:
            self._entry.tell("when", NOON)

    def conclusions(self, known: Known, now_ms: int) -> list[Any]:
        entry = self._entry
        self._agenda.learn(entry, known, now_ms)
        names = ("at_ms", "computed_from", "due_ms", "early_until_ms", "known", "in_future", "note")
        return [getattr(entry, name) for name in (*names, "not_before_ms")]


@profile
@given(
    job=st.sampled_from(JOBS) | st.sampled_from([defined(schedule) for schedule in SCHEDULES]),
    last_ms=st.integers(NOON - 3 * DAY_MS, NOON) | moments | st.none(),
    now_ms=st.integers(NOON, NOON + 3 * DAY_MS) | moments,
    odd=st.sampled_from(ODD),
    odd_ms=moments,
)
def test_what_is_learnt_in_short_is_what_the_long_way_learns(
    job: JobDefinition, last_ms: int | None, now_ms: int, odd: str, odd_ms: int
) -> None:
    known = Known(
        last_ms,
        NOON,
        "run-1" if odd == "running" else None,
        500,
        abandoned_in_row=5 if odd in ("in row", "quarantined") else 0,
        abandoned_ms=odd_ms if odd in ("abandoned", "quarantined") else None,
        touched=Touched(str(odd_ms), "", "") if odd == "touched" else None,
    )
    before = odd_ms if odd == "put off" else LONG_AGO_MS, odd == "to tell"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(agenda, "_is_plain", lambda entry, known: False)
        long = Learnt(job, *before).conclusions(known, now_ms)

    assert long == Learnt(job, *before).conclusions(known, now_ms)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_the_short_way_is_taken_where_nothing_but_the_start_counts(schedule: Schedule) -> None:
    job = defined(schedule)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(due, "_after_misfires", lambda *of: "the long way")
        found = due_again(job, Known(NOON, NOON, None, 0), NOON)

    assert (schedule.counts_from == "finish") == (found == "the long way")


@profile
@given(
    schedule=st.sampled_from(["* * * * *", "*/20 1-3 * * *", "0 3 * * *", "0 0 29 2 *"]),
    after_ms=st.integers(0, 4_102_444_800_000),
    fixed=st.booleans(),
)
def test_a_clock_that_never_changes_is_searched_by_no_changes(
    schedule: str, after_ms: int, fixed: bool
) -> None:
    pattern = cron(schedule)._times  # type: ignore[attr-defined]

    # The same clock, by a name of which nobody can tell it.
    expected = next_due_ms(pattern, ZoneInfo("Etc/UCT"), after_ms, fixed=fixed)
    assert expected == next_due_ms(pattern, ZoneInfo("UTC"), after_ms, fixed=fixed)
