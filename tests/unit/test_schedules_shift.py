"""`shifted`: due times of one job moved later, the same for the whole fleet."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from datetime import date
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobrunner import InvalidScheduleError, Schedule, any_of, cron, every, except_on
from jobrunner.schedules import shifted

from .clocks import utc

START_MS = int(utc("2026-03-28 12:00") * 1000)
HOUR_MS = 3_600_000

GRIDS = [
    cron("* * * * *"),
    cron("0 * * * *", tz="Europe/Vienna"),
    cron("0,5 3 * * *", tz="Europe/Vienna"),
    cron("0,1,2 */2 * * *", tz="Australia/Lord_Howe"),
    every(minutes=5, align=True),
    any_of(cron("0 3 * * *"), cron("*/40 * * * *")),
    except_on(cron("0 */6 * * *"), [date(2026, 3, 29)]),
]
grids = st.sampled_from(GRIDS)
names = st.sampled_from([f"job {number}" for number in range(20)])
jitters = st.sampled_from([0, 1, 500, 20_000, 60_000, 600_000, 2 * HOUR_MS])
spreads = st.sampled_from([0, 1000, 60_000, HOUR_MS, 5 * HOUR_MS, None])
profile = settings(derandomize=True, database=None, deadline=None, max_examples=300)


def walk(schedule: Schedule, start_ms: int, count: int) -> list[int]:
    found = [schedule.next_due_ms(start_ms)]
    while len(found) < count:
        found.append(schedule.next_due_ms(found[-1]))
    return found


@profile
@given(grids, names, jitters, spreads)
def test_from_due_to_due_each_one_is_visited_once_and_in_order(
    base: Schedule, name: str, jitter_ms: int, spread_ms: int | None
) -> None:
    schedule = shifted(base, name, jitter_ms=jitter_ms, spread_ms=spread_ms)
    before = base.next_due_ms(START_MS) - 1
    dues, moved = walk(base, before, 21), walk(schedule, before, 20)

    visited = [max(due for due in dues if due <= late) for late in moved]

    assert dues[:20] == visited
    assert all(first < second for first, second in pairwise(moved))


@profile
@given(grids, names, jitters, spreads, st.integers(0, 4 * 24 * HOUR_MS))
def test_the_next_time_is_later_and_a_start_at_or_after_one_gives_the_next(
    base: Schedule, name: str, jitter_ms: int, spread_ms: int | None, later_ms: int
) -> None:
    schedule = shifted(base, name, jitter_ms=jitter_ms, spread_ms=spread_ms)
    moment = START_MS + later_ms

    due_ms = schedule.next_due_ms(moment)

    assert moment < due_ms
    assert due_ms == schedule.next_due_ms(due_ms - 1)
    following_ms = schedule.next_due_ms(due_ms)
    assert due_ms < following_ms == schedule.next_due_ms((due_ms + following_ms) // 2)
    assert due_ms == round(schedule.next_after(moment / 1000) * 1000)
    assert due_ms / 1000 < schedule.next_after(due_ms / 1000)
    assert due_ms - 1 == schedule.early_until_ms(due_ms)


def test_jitter_is_another_amount_each_time_within_its_limit() -> None:
    base = cron("0 * * * *")
    start_ms = START_MS + HOUR_MS // 2
    dues = walk(base, start_ms, 500)
    moved = walk(shifted(base, "purge", jitter_ms=60_000), start_ms, 500)

    amounts = [late - due for due, late in zip(dues, moved, strict=True)]

    assert all(0 <= amount < 60_000 for amount in amounts)
    assert len(set(amounts)) > 450
    # All parts of the minute are as likely: ten parts, fifty each.
    counts = Counter(amount // 6000 for amount in amounts)
    assert 10 == len(counts)
    assert max(counts.values()) < 90


def test_jitter_beyond_the_gap_is_cut_to_it() -> None:
    base = cron("* * * * *")
    dues = walk(base, START_MS, 100)
    moved = walk(shifted(base, "purge", jitter_ms=HOUR_MS), dues[0] - 1, 100)

    for (due, following), late in zip(pairwise(dues), moved[-len(dues) :], strict=False):
        assert due <= late < following


@pytest.mark.parametrize("spread_ms", [None, HOUR_MS])
def test_a_thousand_hourly_jobs_are_spread_over_the_hour(spread_ms: int | None) -> None:
    hourly = cron("0 * * * *")
    minutes = Counter(
        shifted(hourly, f"job {number}", spread_ms=spread_ms).next_due_ms(START_MS) // 60_000
        for number in range(1000)
    )

    assert 60 <= len(minutes) <= 61
    assert max(minutes.values()) <= 40


def test_spread_is_the_job_s_own_and_stays() -> None:
    moved = walk(shifted(cron("0 3 * * *"), "purge", spread_ms=None), START_MS, 5)

    assert {24 * HOUR_MS} == {second - first for first, second in pairwise(moved)}
    assert 0 < (moved[0] - 3 * HOUR_MS) % (24 * HOUR_MS) < HOUR_MS
    other = walk(shifted(cron("0 3 * * *"), "report", spread_ms=None), START_MS, 1)
    assert moved[0] != other[0]


class TestAnInterval:
    base = every(hours=2)

    def test_jitter_makes_it_longer_and_never_shorter(self) -> None:
        schedule = shifted(self.base, "purge", jitter_ms=60_000)
        dues = [schedule.next_due_ms(START_MS + n) - START_MS - n - 2 * HOUR_MS for n in range(50)]

        assert all(0 <= late < 60_000 for late in dues)
        assert len(set(dues)) > 40
        assert 0 == schedule.first_due_ms(START_MS)
        assert 100 == schedule.early_until_ms(100)
        assert not schedule.on_grid
        assert START_MS / 1000 + 7200 <= schedule.next_after(START_MS / 1000)

    @pytest.mark.parametrize(("spread_ms", "window_ms"), [(None, HOUR_MS), (60_000, 60_000)])
    def test_spread_moves_the_first_run_only(self, spread_ms: int | None, window_ms: int) -> None:
        firsts = {
            shifted(self.base, f"job {n}", spread_ms=spread_ms).first_due_ms(START_MS)
            for n in range(100)
        }
        assert len(firsts) > 90
        assert all(START_MS <= first < START_MS + window_ms for first in firsts)
        schedule = shifted(self.base, "purge", spread_ms=spread_ms)
        assert START_MS + 2 * HOUR_MS == schedule.next_due_ms(START_MS)

    def test_the_first_run_comes_within_the_interval(self) -> None:
        firsts = [
            shifted(every(seconds=10), f"job {n}", spread_ms=HOUR_MS).first_due_ms(START_MS)
            for n in range(100)
        ]
        assert all(START_MS <= first < START_MS + 10_000 for first in firsts)

    def test_beside_a_grid_each_is_moved_in_its_way(self) -> None:
        schedule = shifted(any_of(self.base, cron("0 3 * * *")), "purge", jitter_ms=60_000)
        three_ms = int(utc("2026-03-29 03:00") * 1000)

        assert 0 <= schedule.next_due_ms(three_ms - HOUR_MS) - three_ms < 60_000
        assert 0 <= schedule.next_due_ms(START_MS) - START_MS - 2 * HOUR_MS < 60_000
        assert 0 == schedule.first_due_ms(START_MS)


def test_the_whole_fleet_agrees_whatever_its_hash_seed() -> None:
    program = (
        "from jobrunner import cron; from jobrunner.schedules import shifted;"
        f"print(shifted(cron('0 * * * *'), 'purge', jitter_ms=60000, spread_ms=None)"
        f".next_due_ms({START_MS}))"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=os.path.dirname(os.path.dirname(os.path.dirname(__file__))),
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }

    here = shifted(cron("0 * * * *"), "purge", jitter_ms=60_000, spread_ms=None)
    assert {str(here.next_due_ms(START_MS))} == answers


def test_amounts_do_not_change_between_versions() -> None:
    # Instances of two versions of the library share a fleet during a deploy.
    hourly = cron("0 * * * *")
    assert 415_125 == shifted(hourly, "purge", spread_ms=None).next_due_ms(0)
    assert 5_774 == shifted(hourly, "purge", jitter_ms=60_000).next_due_ms(0)


def test_it_says_what_it_is_and_passes_on_the_rest() -> None:
    schedule = shifted(cron("0 3 * * *"), "purge", jitter_ms=30_000, spread_ms=None)

    assert "cron '0 3 * * *' in UTC, spread, up to 30 seconds later" == str(schedule)
    bound = schedule.in_timezone("Asia/Tokyo")
    assert "Asia/Tokyo" == bound.tz
    assert "at 03:00 every day in Asia/Tokyo, spread, up to 30 seconds later" == bound.explain()
    over = shifted(every(hours=1, after="finish"), "purge", spread_ms=60_000)
    assert "1 hour after the last finish, spread over 1 minute" == str(over)
    assert "finish" == over.counts_from
    assert HOUR_MS == over.future_tolerance_ms
    assert schedule.on_grid


def test_nothing_to_move_by_is_the_schedule_itself() -> None:
    base = every(hours=1)

    assert base is shifted(base, "purge")
    assert base is shifted(base, "purge", jitter_ms=0, spread_ms=0)


@pytest.mark.parametrize("amount", [{"jitter_ms": -1}, {"spread_ms": -1}])
def test_less_than_nothing_is_refused(amount: dict[str, Any]) -> None:
    with pytest.raises(InvalidScheduleError, match="moved later, never earlier"):
        shifted(every(hours=1), "purge", **amount)
