"""Every timezone, through every clock change until 2040: the next time is always later."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

from jobrunner import Schedule, cron, every
from jobrunner.schedules import shifted

from .clocks import changes

SCHEDULES: list[Schedule] = [
    *(cron("*/20 * * * *"), cron("30 * * * *"), cron("0 0 * * *"), cron("30 1 * * *")),
    *(cron("15,45 2 * * *"), cron("20 */2 * * *"), cron("*/20 1-3 * * SUN"), cron("0 3 13 * 5")),
    *(cron("*/15 30 1 * * *"), cron("@monthly"), cron("59 23 L * *")),
    *(every(minutes=n, align=True) for n in (5, 60, 90, 1440, 2 * 1440)),
    shifted(cron("30 * * * *"), "purge", jitter_ms=600_000, spread_ms=None),
]


def all_changes() -> dict[tuple[int, int, int], str]:
    """Each clock change through 2040, as instant and offsets, with a timezone that has it."""
    found = {}
    for tz in sorted(available_timezones()):
        zone = ZoneInfo(tz)
        for change in changes(tz):
            before, after = (
                datetime.fromtimestamp(second, zone).utcoffset() for second in (change - 1, change)
            )
            assert before is not None
            assert after is not None
            key = change, int(before.total_seconds()), int(after.total_seconds())
            found.setdefault(key, tz)
    return found


def test_the_next_time_is_later_and_none_is_passed_over() -> None:
    found = all_changes()
    assert len(found) > 500
    bound: dict[str, list[Schedule]] = {}
    for (change, before, after), tz in found.items():
        if tz not in bound:
            bound[tz] = [schedule.in_timezone(tz) for schedule in SCHEDULES]
        size = abs(after - before)
        # Before, around and after; in both passes of what is repeated; and a little beside.
        moments = sorted(
            change + beside + part
            for beside in (-size, 0, size)
            for part in (-3600, -size // 2, -1, -0.5, 0, 0.25, 1, size // 2, 3600)
        )
        for schedule in bound[tz]:
            dues = [schedule.next_after(moment) for moment in moments]
            for (early, first), (late, second) in pairwise(zip(moments, dues, strict=True)):
                assert early < first, (tz, str(schedule), early)
                assert late < second, (tz, str(schedule), late)
                # A due time that is still ahead is still the next one.
                assert second == first if late < first else second > first, (tz, str(schedule))


def test_three_o_clock_comes_every_day_in_every_timezone() -> None:
    for tz in sorted(available_timezones()):
        schedule, zone = cron("0 3 * * *").in_timezone(tz), ZoneInfo(tz)
        moment = 1_790_000_000.0
        for _ in range(3):
            due = schedule.next_after(moment)
            assert moment < due <= moment + 25 * 3600, tz
            assert 3 == datetime.fromtimestamp(due, zone).hour, tz
            moment = due
