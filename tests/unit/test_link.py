"""The link to Redis: one line when it goes, one when it is back."""

from __future__ import annotations

import logging

import pytest

from jobrunner.store.link import Link, TooFewReplicasError


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "jobrunner")


def test_it_is_up_until_a_call_was_not_done(caplog: pytest.LogCaptureFixture) -> None:
    link = Link("Redis at cache:6379", lambda: 100.0)
    assert link.up

    link.answered()

    assert link.up
    assert [] == caplog.records


def test_however_often_it_fails_and_answers_it_is_one_line_each(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 100.0
    link = Link("Redis at cache:6379", lambda: now)

    for _ in range(3):
        link.failed(ConnectionError("refused"))
        assert not link.up
    (gone,) = caplog.records
    caplog.clear()
    now = 108.25
    for _ in range(3):
        link.answered()
        assert link.up

    (back,) = caplog.records
    assert (
        "Could not check and run jobs: Redis at cache:6379: ConnectionError: refused"
        == gone.getMessage()
    )
    assert "Redis at cache:6379 is back after 8.2 s: jobs are checked again" == back.getMessage()
    for record in (gone, back):
        assert "jobrunner" == record.name
        assert logging.INFO < record.levelno


def test_it_is_down_while_one_slot_does_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    link = Link("Redis at cache:6379", lambda: 100.0)

    link.failed(ConnectionError("refused"), (1,))
    link.failed(ConnectionError("refused"), (2,))
    link.answered((3,))
    link.answered((1,))
    assert not link.up
    link.answered((2,))

    assert link.up
    assert 2 == len(caplog.records)


def test_that_replicas_are_missing_is_over_with_a_claim_that_they_have(
    caplog: pytest.LogCaptureFixture,
) -> None:
    link = Link("Redis at cache:6379", lambda: 100.0)

    for _ in range(2):
        link.failed(TooFewReplicasError("0 of 1"), (1,))
        link.answered((1,))
        assert not link.up
    link.answered((1,), replicated=True)

    assert link.up
    assert 2 == len(caplog.records)


def test_the_next_time_it_is_told_again(caplog: pytest.LogCaptureFixture) -> None:
    link = Link("Redis at cache:6379", lambda: 100.0)

    for _ in range(2):
        link.failed(TimeoutError("no answer"))
        link.answered()

    assert 4 == len(caplog.records)
