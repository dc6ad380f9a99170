"""How long a job waits whose last runs were abandoned."""

from __future__ import annotations

import pytest

from jobrunner.quarantine import quarantined_until_ms

MINUTE = 60_000


@pytest.mark.parametrize("in_row", [0, 1, 2])
def test_fewer_abandoned_runs_than_the_setting_do_not_make_it_wait(in_row: int) -> None:
    assert quarantined_until_ms(in_row, 1000, 3) is None


@pytest.mark.parametrize(
    ("in_row", "minutes"), [(3, 1), (4, 2), (5, 4), (6, 8), (8, 32), (9, 60), (10, 60), (5000, 60)]
)
def test_the_pause_doubles_up_to_an_hour(in_row: int, minutes: int) -> None:
    assert 1000 + minutes * MINUTE == quarantined_until_ms(in_row, 1000, 3)


def test_a_state_that_does_not_say_when_makes_nobody_wait() -> None:
    assert quarantined_until_ms(9, None, 3) is None
