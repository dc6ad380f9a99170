"""Times and durations in words, and back; what state a job is in."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import click
import pytest

from jobrunner.faces.cli import words
from jobrunner.run import Outcome, Progress

from .shells import NOW, status

VIENNA = ZoneInfo("Europe/Vienna")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, "-"),
        (math.nan, "-"),
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3599.7, "1 h"),
        (7500, "2 h 5 min"),
        (86400, "1 d"),
        (90000, "1 d 1 h"),
        (-5, "-5.0 s"),
    ],
)
def test_durations(seconds: float | None, told: str) -> None:
    assert told == words.duration(seconds)


def test_moments_name_their_timezone() -> None:
    assert "-" == words.moment(None)
    assert "2023-11-14 22:13:20 UTC" == words.moment(NOW, words.zone("UTC"))
    assert "2023-11-14 23:13:20 CET" == words.moment(NOW, words.zone("Europe/Vienna"))
    assert "1e+18" == words.moment(1e18)


@pytest.mark.parametrize(
    ("ahead", "told"), [(90, "in 1 min 30 s"), (-90, "1 min 30 s ago"), (0.2, "now")]
)
def test_how_far_a_time_is(ahead: float, told: str) -> None:
    assert told == words.from_now(NOW + ahead, NOW)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "-"),
        ({"last_outcome": Outcome.TIMED_OUT}, "timed_out"),
        ({"running": "run-1", "problem": "x", "paused": True}, "running"),
        (
            {"running": "run-1", "progress": Progress(2, 5, "tenant 4", NOW)},
            "running, 40 %, tenant 4",
        ),
        ({"running": "run-1", "progress": Progress(2, None, "", NOW)}, "running, 2"),
        ({"problem": "the last run is 'x'", "paused": True}, "the last run is 'x'"),
        ({"enabled": False, "paused": True}, "off"),
        ({"paused": True, "last_outcome": Outcome.FAILED}, "paused"),
        ({"requested": "r", "last_outcome": Outcome.FAILED}, "requested"),
        ({"quarantined_until": NOW, "last_outcome": Outcome.ABANDONED}, "quarantined"),
        ({"overdue_since": NOW, "last_outcome": Outcome.FAILED}, "overdue"),
    ],
)
def test_what_is_most_worth_knowing(changes: dict[str, Any], told: str) -> None:
    assert told == words.state_of(status(**changes))


@pytest.mark.parametrize(
    ("done", "total", "part"),
    [
        (2, 5, 0.4),
        (7, 5, 1.0),
        (-1, 5, 0.0),
        (2, None, None),
        (2, 0, None),
        (2, math.inf, None),
        (math.nan, 5, None),
    ],
)
def test_the_part_that_is_done(done: float, total: float | None, part: float | None) -> None:
    assert part == words.fraction(Progress(done, total, "", NOW))


class TestReading:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("90s", 90), ("1.5h", 5400), ("1h30m", 5400), ("2d", 172800), ("45", 45), ("1h 5m", 3900)],
    )
    def test_a_length_of_time(self, text: str, seconds: float) -> None:
        assert seconds == words.Duration().convert(text, None, None)

    @pytest.mark.parametrize("text", ["", "0", "-5", "soon", "5w", "nan", "inf", "1e99", "h"])
    def test_what_is_none(self, text: str) -> None:
        with pytest.raises(click.BadParameter, match="no length of time; write 90s"):
            words.Duration().convert(text, None, None)

    @pytest.mark.parametrize(
        ("text", "at"),
        [
            ("2023-12-24 18:00", datetime(2023, 12, 24, 17, tzinfo=UTC)),
            ("2023-12-24T18:00:00+00:00", datetime(2023, 12, 24, 18, tzinfo=UTC)),
            ("2023-12-24", datetime(2023, 12, 23, 23, tzinfo=UTC)),
            # It is 23:13 in Vienna.
            ("23:30", datetime(2023, 11, 14, 22, 30, tzinfo=UTC)),
            ("7:05", datetime(2023, 11, 15, 6, 5, tzinfo=UTC)),
        ],
    )
    def test_a_time_in_the_timezone_of_the_settings(self, text: str, at: datetime) -> None:
        asked = words.Moment().convert(text, None, None)

        assert at.timestamp() == words.unix_of(asked, NOW, VIENNA)

    @pytest.mark.parametrize("text", ["", "tomorrow", "25:00", "7:5", "2023-13-01"])
    def test_what_is_no_time(self, text: str) -> None:
        with pytest.raises(click.BadParameter, match="no time; write '2026-12-24 18:00'"):
            words.Moment().convert(text, None, None)
