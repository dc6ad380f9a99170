"""A receiver that raises hurts nobody."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from jobrunner.signals import lease_lost, send


def test_a_receiver_that_raises_is_logged_and_the_others_are_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[tuple[Any, str]] = []

    def broken(sender: Any, **arguments: Any) -> None:
        raise ValueError("no")

    def listens(sender: Any, why: str) -> None:
        heard.append((sender, why))

    for before, after in [(broken, listens), (listens, broken)]:
        with lease_lost.connected_to(before), lease_lost.connected_to(after):
            send(lease_lost, "app", why="late")

    assert [("app", "late")] * 2 == heard
    assert 2 == sum(record.levelno == logging.ERROR for record in caplog.records)
