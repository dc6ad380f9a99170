"""What the commands tell programs."""

from __future__ import annotations

import json
import math
from dataclasses import fields

import pytest

from jobrunner.faces.cli.as_json import TIMES, iso, plain, show_json
from jobrunner.faces.cli.looking import Due
from jobrunner.run import HistoryEntry, Progress, Skip
from jobrunner.status import InstanceStatus, JobStatus

from .shells import NASTY, NOW, entry, status

#: Numbers that are no times.
AMOUNTS = {"lease_left", "done", "total"}


@pytest.mark.parametrize("kind", [JobStatus, HistoryEntry, InstanceStatus, Progress, Due])
def test_every_number_with_a_fraction_is_a_time_or_an_amount(kind: type) -> None:
    numbers = {field.name for field in fields(kind) if str(field.type).startswith("float")}

    assert TIMES[kind.__name__] == numbers - AMOUNTS


def test_a_time_stands_there_twice() -> None:
    told = plain(entry())

    assert "2023-11-14T22:13:11.000Z" == told["started_at"]
    assert NOW - 9 == told["started_at_unix"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, None), (0.0, "1970-01-01T00:00:00.000Z"), (1e18, None), (math.nan, None)],
)
def test_iso(seconds: float | None, text: str | None) -> None:
    assert text == iso(seconds)


def test_it_is_json_whatever_redis_holds(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(math.nan, math.inf, NASTY, NOW)
    show_json([status(last_error=NASTY, skips={Skip.HELD: 2}, progress=progress, last_run=1e300)])
    output = capsys.readouterr().out

    assert output.replace("\n", "").isascii()
    assert output.replace("\n", "").isprintable()
    (told,) = json.loads(output)
    assert NASTY == told["last_error"]
    assert {"held": 2} == told["skips"]
    assert (None, None, NASTY) == tuple(told["progress"][n] for n in ("done", "total", "message"))
    assert (None, 1e300) == (told["last_run"], told["last_run_unix"])
