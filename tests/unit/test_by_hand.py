"""Runs in a process where nobody ticks; and what controls refuse, with the mend."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import fakeredis
import gevent
import pytest
from flask import Flask

from jobrunner import (
    InvalidRequestError,
    JobContext,
    JobRunner,
    Outcome,
    RefusedError,
    StoreError,
    cron,
    every,
)
from jobrunner.store.redis import RedisStore

NOON = 1_700_000_000.0
MINUTE = 60.0


class Two:
    """Two processes of one application, neither of them started."""

    def __init__(self) -> None:
        self.redis = fakeredis.FakeRedis()
        self.now = NOON
        self.apps: list[Flask] = []

    def runner(self, function: Callable[[JobContext], object], **policies: Any) -> JobRunner:
        runner = JobRunner(redis=self.redis, clock=lambda: self.now, check_interval=0.02)
        schedule = policies.pop("schedule", every(minutes=1))
        runner.job(schedule, name="purge", **policies)(function)
        self.apps.append(Flask("shop"))
        runner.init_app(self.apps[-1])
        return runner


@pytest.fixture
def two() -> Two:
    return Two()


def endless(ctx: JobContext) -> None:
    while True:
        gevent.sleep(0.001)
        ctx.check()


def test_a_run_of_a_tick_that_waits_is_cancelled_from_another_process(two: Two) -> None:
    here, there = two.runner(endless), two.runner(endless)
    gevent.spawn_later(0.02, there.cancel, "purge")

    here.tick(wait=True)

    (entry,) = here.history("purge")
    assert Outcome.CANCELLED == entry.outcome


def test_a_run_by_hand_is_cancelled_from_another_process(two: Two) -> None:
    here, there = two.runner(endless), two.runner(endless)
    gevent.spawn_later(0.02, there.cancel, "purge")

    entry = two.apps[0].extensions["jobrunner"].run_here("purge")

    assert Outcome.CANCELLED == entry.outcome
    assert here.history("purge") == [entry]


def test_a_claim_by_hand_without_an_answer_holds_nothing(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.runner(lambda ctx: None)
    state = two.apps[0].extensions["jobrunner"]
    real = RedisStore.claim

    def claim(self: RedisStore, asks: Any) -> Any:
        real(self, asks)
        raise StoreError("no answer in time")

    with monkeypatch.context() as patch:
        patch.setattr(RedisStore, "claim", claim)
        with pytest.raises(StoreError, match="no answer in time"):
            state.run_here("purge")

    assert (0, None) == (state.status()[0].runs, state.status()[0].last_run)
    assert Outcome.SUCCEEDED == state.run_here("purge").outcome


def test_a_job_that_is_switched_off_takes_no_request(two: Two) -> None:
    runner = two.runner(lambda ctx: None, enabled=False)

    with pytest.raises(RefusedError, match=r"job 'purge' is switched off \(enabled=False\)"):
        runner.trigger("purge")


@pytest.mark.parametrize("until", ["soon", True, -1, float("nan"), timedelta(hours=1)])
def test_a_pause_ends_at_a_moment(two: Two, until: Any) -> None:
    runner = two.runner(lambda ctx: None)

    with pytest.raises(InvalidRequestError, match=r"until=.*: it must be Unix seconds"):
        runner.pause("purge", until=until)
    assert not runner.status()[0].paused


def test_an_outcome_is_one_of_the_words(two: Two) -> None:
    runner = two.runner(lambda ctx: None)

    with pytest.raises(InvalidRequestError, match=r"outcome='nope': it must be one of 'succeeded'"):
        runner.history("purge", outcome="nope")


class TestUpcoming:
    def test_what_is_late_is_due_now(self, two: Two) -> None:
        runner = two.runner(lambda ctx: None)
        runner.tick(wait=True)
        two.now = NOON + 10 * MINUTE

        expected = [(two.now + n * MINUTE, "purge") for n in range(3)]
        assert expected == runner.upcoming(3)

    def test_what_is_paused_is_due_when_that_is_over_or_not_at_all(self, two: Two) -> None:
        runner = two.runner(lambda ctx: None)
        end = datetime.fromtimestamp(NOON + 30 * MINUTE, UTC)

        runner.pause("purge", until=end)
        assert [(NOON + 30 * MINUTE, "purge")] == runner.upcoming(1)
        runner.pause("purge")
        assert [] == runner.upcoming(1)


def test_no_more_is_made_good_than_the_cap_also_by_an_instance_that_lived_through_it(
    two: Two,
) -> None:
    dues: list[float] = []
    runner = two.runner(
        lambda ctx: dues.append(ctx.run.due_at),
        schedule=cron("* * * * *", tz="UTC"),
        misfire="all",
        max_catch_up=1,
    )
    two.now = NOON - NOON % 60
    runner.tick(wait=True)  # seen first
    runner.tick(wait=True)
    two.now += 10 * MINUTE + 1

    for _ in range(3):
        runner.tick(wait=True)

    assert [two.now - 1] == dues
