"""What docs/schedules.md shows is true: its examples run, its New York table is as it says."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from jobrunner import Schedule, cron

from .clocks import between, utc

PAGE = (Path(__file__).parents[2] / "docs" / "schedules.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)

#: The local night of each column, in UTC.
NIGHTS = [("2026-03-08 05:01", "2026-03-08 08:00"), ("2026-11-01 04:01", "2026-11-01 08:00")]


def test_the_examples_run_one_after_the_other() -> None:
    names: dict[str, object] = {}
    for block in BLOCKS:
        exec(block, names)

    assert len(BLOCKS) >= 7
    schedules = {name: value for name, value in names.items() if isinstance(value, Schedule)}
    assert {"on_the_clock", "opening", "on_workdays", "polling", "quiet"} == set(schedules)
    workdays = schedules["on_workdays"].next_after(utc("2026-01-02 12:00"))  # a Friday
    assert utc("2026-01-05 03:00") == workdays
    assert [date(2026, 12, 24), date(2026, 12, 25)] == names["christmas"]


ROWS = re.findall(r"^\| `(\S+ \S+ \* \* \*)` \| (.*UTC.*) \| (.*UTC.*) \|$", PAGE, re.MULTILINE)


def test_the_table_is_found() -> None:
    assert ["30 1 * * *", "30 2 * * *", "0 * * * *"] == [row[0] for row in ROWS]


@pytest.mark.parametrize(("expression", "spring", "autumn"), ROWS)
def test_the_table_of_new_york(expression: str, spring: str, autumn: str) -> None:
    schedule = cron(expression, tz="America/New_York")
    for told, night in zip((spring, autumn), NIGHTS, strict=True):
        dues = [due[len("2026-01-01 ") :] for due in between(schedule, *night)]
        assert re.findall(r"\d\d:\d\d", told.split("(")[0]) == dues
