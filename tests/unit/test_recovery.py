"""What follows when an instance dies in the middle of a run: recovery and quarantine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fakeredis
import gevent
import pytest
from flask import Flask

from jobrunner import JobRunner, Outcome, Run, every
from jobrunner.signals import job_quarantined

MINUTE = 60.0
NOON = 1_700_000_000.0


class Shop:
    """Instances of one application on one Redis; `now` is the time of them all."""

    def __init__(self, **policies: Any) -> None:
        self.redis = fakeredis.FakeRedis(decode_responses=True)
        self.now = NOON
        self.policies = policies
        self.runs: list[Run] = []
        self.hangs = False
        self.error: Exception | None = None
        self._hanging: list[gevent.Greenlet] = []
        #: The runner does not keep them alive.
        self._apps: list[Flask] = []

    def instance(self) -> JobRunner:
        runner = JobRunner(redis=self.redis, clock=lambda: self.now)

        @runner.job(every(minutes=10), name="purge", **self.policies)
        def purge(ctx: Any) -> None:
            self.runs.append(ctx.run)
            if self.hangs:
                self._hanging.append(gevent.getcurrent())
                gevent.sleep(3600)
            if self.error is not None:
                raise self.error

        self._apps.append(Flask("shop"))
        runner.init_app(self._apps[-1])
        return runner

    def dies_in_a_run(self) -> None:
        """A new instance claims the job and is not heard of again; its lease ends."""
        self.hangs, before = True, len(self.runs)
        self.instance().tick()
        gevent.idle()
        self.hangs = False
        assert before + 1 == len(self.runs)
        self.redis.delete("{shop}:job:purge:lease")

    def clean_up(self) -> None:
        for greenlet in self._hanging:
            # Not through the runner: what is dead records nothing.
            gevent.kill(greenlet)


@pytest.fixture
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    shop = Shop(**getattr(request, "param", {}))
    yield shop
    shop.clean_up()


recovering = pytest.mark.parametrize("shop", [{"recover": True}], indirect=True)


def test_an_abandoned_run_waits_for_the_next_due_time(shop: Shop) -> None:
    shop.dies_in_a_run()
    runner = shop.instance()

    runner.tick(wait=True)
    assert [Outcome.ABANDONED] == [entry.outcome for entry in runner.history("purge")]
    assert 1 == len(shop.runs)

    shop.now += 10 * MINUTE + 0.001
    runner.tick(wait=True)
    assert 2 == len(shop.runs)


@recovering
def test_one_that_recovers_is_run_again_at_once_with_its_due_time(shop: Shop) -> None:
    shop.now = NOON
    shop.instance().tick(wait=True)
    shop.now += 15 * MINUTE
    shop.dies_in_a_run()
    shop.now += 1
    runner = shop.instance()

    runner.tick(wait=True)

    _, abandoned, repeated = shop.runs
    assert NOON + 10 * MINUTE == abandoned.due_at == repeated.due_at
    assert shop.now == repeated.started_at
    assert abandoned.token < repeated.token
    assert [Outcome.SUCCEEDED, Outcome.ABANDONED, Outcome.SUCCEEDED] == [
        entry.outcome for entry in runner.history("purge")
    ]


@pytest.mark.parametrize("shop", [{"recover": True, "misfire": "skip"}], indirect=True)
def test_one_that_skips_what_is_late_is_run_again_all_the_same(shop: Shop) -> None:
    """Its due time was not missed: a run for it had begun in time."""
    shop.dies_in_a_run()
    shop.now += 5 * MINUTE
    runner = shop.instance()

    runner.tick(wait=True)

    abandoned, repeated = shop.runs
    assert abandoned.due_at == repeated.due_at
    assert shop.now == repeated.started_at


@recovering
def test_it_is_repeated_once_and_not_again(shop: Shop) -> None:
    shop.dies_in_a_run()
    runner = shop.instance()
    runner.tick(wait=True)

    for _ in range(3):
        shop.now += MINUTE
        runner.tick(wait=True)

    assert 2 == len(shop.runs)


@recovering
def test_three_deaths_in_a_row_make_it_wait_longer_and_longer(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Any] = []

    def listen(sender: Any, **arguments: Any) -> None:
        heard.append((sender.name, arguments))

    with job_quarantined.connected_to(listen):
        for _ in range(3):
            shop.dies_in_a_run()
        runner = shop.instance()
        runner.tick(wait=True)

    assert 3 == len(shop.runs)
    until = NOON + MINUTE
    assert [("shop", {"job": "purge", "abandoned_in_row": 3, "until": until})] == heard
    assert any(
        record.levelname == "ERROR" and "purge is quarantined for 60 s" in record.getMessage()
        for record in caplog.records
    )
    (status,) = runner.status()
    assert (until, until) == (status.quarantined_until, status.next_due)

    shop.now = until
    runner.tick(wait=True)
    assert 3 == len(shop.runs)

    shop.now += 0.001
    shop.dies_in_a_run()
    runner.tick(wait=True)
    (status,) = runner.status()
    assert pytest.approx(shop.now + 2 * MINUTE) == status.quarantined_until


@recovering
@pytest.mark.parametrize("error", [None, ValueError("no")])
def test_a_run_that_ends_while_its_instance_lives_ends_the_quarantine(
    shop: Shop, error: Exception | None
) -> None:
    for _ in range(3):
        shop.dies_in_a_run()
    runner = shop.instance()
    runner.tick()
    shop.now += MINUTE + 0.001
    shop.error = error

    runner.tick(wait=True)

    assert 4 == len(shop.runs)
    (status,) = runner.status()
    assert status.quarantined_until is None
    shop.now += 10 * MINUTE + 0.001
    shop.error = None
    shop.dies_in_a_run()
    runner.tick(wait=True)
    assert 6 == len(shop.runs)


def test_one_that_does_not_recover_is_quarantined_too(shop: Shop) -> None:
    for _ in range(3):
        shop.dies_in_a_run()
        shop.now += 10 * MINUTE + 0.001
    runner = shop.instance()

    runner.tick(wait=True)

    assert 3 == len(shop.runs)
    (status,) = runner.status()
    assert pytest.approx(shop.now + MINUTE) == status.quarantined_until


def test_an_instance_that_did_not_know_of_the_deaths_waits_as_well(shop: Shop) -> None:
    """It computed the due time from the last start alone; the claim tells it better."""
    for _ in range(2):
        shop.dies_in_a_run()
        shop.now += 10 * MINUTE + 0.001
    shop.hangs = True
    shop.instance().tick()
    gevent.idle()
    shop.hangs = False
    knows_the_last_start = shop.instance()
    knows_the_last_start.tick()
    shop.redis.delete("{shop}:job:purge:lease")
    shop.instance().tick()  # somebody else records it

    shop.now += MINUTE
    knows_the_last_start.tick(wait=True)
    assert 3 == len(shop.runs)
