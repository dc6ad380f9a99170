"""The conditions of jobs: what they answer, what they raise, and that nobody waits for them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import fakeredis
import gevent
import pytest
from flask import Flask, current_app
from gevent.event import Event

from jobrunner import JobRunner, cron, every
from jobrunner.engine.conditions import Conditions
from jobrunner.run import Skip
from jobrunner.signals import job_skipped

NOON = 1_700_000_000.0


class Slow:
    """A condition that answers when it may."""

    def __init__(self, answer: object = True) -> None:
        self.answer = answer
        self.asked = 0
        self.may_answer = Event()

    def __call__(self) -> object:
        self.asked += 1
        self.may_answer.wait()
        return self.answer

    def answers(self) -> None:
        self.may_answer.set()
        gevent.idle()


def raises(error: BaseException) -> Callable[[], object]:
    def condition() -> object:
        raise error

    return condition


class TestAsked:
    @pytest.mark.parametrize("in_threads", [False, True])
    @pytest.mark.parametrize(
        ("said", "answer"), [(True, True), (False, False), (None, False), ("yes", True), (0, False)]
    )
    def test_what_it_says_at_once_counts_at_once(
        self, said: object, answer: bool, in_threads: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("jobrunner.engine.conditions.PATIENCE", 30.0)

        assert answer is Conditions(in_threads=in_threads).ask("purge", lambda: said, 1)

    @pytest.mark.parametrize("error", [ValueError("no flag"), SystemExit(), gevent.GreenletExit()])
    def test_what_it_raises_is_a_no_and_is_logged(
        self, error: BaseException, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert Conditions().ask("purge", raises(error), 1) is False

        (record,) = caplog.records
        assert "Job purge: its condition raised" == record.getMessage()
        assert record.exc_info is not None
        assert error is record.exc_info[1]

    def test_what_cannot_be_true_or_false_is_a_no(self, caplog: pytest.LogCaptureFixture) -> None:
        class Neither:
            def __bool__(self) -> bool:
                raise TypeError("neither")

        assert Conditions().ask("purge", Neither, 1) is False
        assert 1 == len(caplog.records)

    def test_it_is_asked_within_the_scope(self) -> None:
        inside: list[str] = []

        @contextmanager
        def scope() -> Iterator[None]:
            inside.append("in")
            yield
            inside.append("out")

        assert Conditions(scope).ask("purge", lambda: inside == ["in"], 1)
        assert ["in", "out"] == inside


class TestSlow:
    def test_nobody_waits_and_it_is_asked_once(self) -> None:
        conditions, slow = Conditions(), Slow()

        assert [None] * 3 == [conditions.ask("purge", slow, 1) for _ in range(3)]
        assert conditions.ask("report", lambda: True, 1) is True

        assert 1 == slow.asked
        slow.answers()

    @pytest.mark.parametrize("answer", [True, False])
    def test_it_is_told_when_the_answer_has_come(self, answer: bool) -> None:
        conditions, slow = Conditions(), Slow(answer)
        told: list[str] = []
        conditions.on_change = told.append
        conditions.ask("purge", slow, 1)

        slow.answers()

        assert ["purge"] == told
        assert answer is conditions.ask("purge", slow, 1)
        # For one question one answer.
        assert 1 == slow.asked
        assert answer is conditions.ask("purge", slow, 1)
        assert 2 == slow.asked

    def test_an_error_that_comes_late_is_told_as_well(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        conditions, may_raise, told = Conditions(), Event(), list[str]()

        def condition() -> object:
            may_raise.wait()
            raise ValueError("no flag")

        conditions.on_change = told.append
        assert conditions.ask("purge", condition, 1) is None
        may_raise.set()
        gevent.idle()

        assert ["purge"] == told
        assert conditions.ask("purge", condition, 1) is False
        assert 1 == len(caplog.records)

    def test_it_decides_about_nothing_later(self) -> None:
        """The job may have run elsewhere meanwhile: then it is the next due time's turn."""
        conditions, slow = Conditions(), Slow(True)
        conditions.ask("purge", slow, 1)
        slow.answers()

        slow.answer = False

        assert conditions.ask("purge", slow, 2) is False
        assert 2 == slow.asked

    def test_nor_about_a_job_that_took_its_place(self) -> None:
        conditions, slow = Conditions(), Slow(True)
        conditions.ask("purge", slow, 1)
        slow.answers()

        assert conditions.ask("purge", lambda: False, 1) is False


class Shop:
    """One application, whose clock the test moves; its runner is not started."""

    def __init__(self, **options: Any) -> None:
        self.now = NOON
        self.ran: list[str] = []
        self.app = Flask("shop")
        self.redis = fakeredis.FakeRedis()
        self.runner = JobRunner(redis=self.redis, clock=lambda: self.now, **options)

    def job(self, name: str, when: Callable[[], object] | None = None, **policies: Any) -> None:
        schedule = policies.pop("schedule", every(minutes=1))

        @self.runner.job(schedule, name=name, when=when, **policies)
        def run(ctx: Any) -> None:
            self.ran.append(name)

    def begin(self) -> Any:
        self.runner.init_app(self.app)
        instance = self.app.extensions["jobrunner"].instance()
        self.executor, self.scheduler = instance.executor, instance.scheduler
        return self.scheduler

    def check(self) -> list[str]:
        """One check of a loop; what ran."""
        self.ran.clear()
        runs = self.scheduler.tick()
        self.executor.join(runs)
        self.executor.finishes.record(runs)
        return sorted(self.ran)

    def status(self, name: str) -> Any:
        return next(status for status in self.runner.status() if status.name == name)


class TestInATick:
    def test_true_runs_and_false_does_not(self) -> None:
        shop = Shop()
        shop.job("yes", lambda: True)
        shop.job("no", lambda: False)
        shop.job("raises", raises(ValueError("no flag")))
        shop.begin()

        assert ["yes"] == shop.check()

    def test_the_application_is_at_hand(self) -> None:
        shop = Shop()
        shop.job("purge", lambda: current_app.config["MAY_PURGE"])
        shop.app.config["MAY_PURGE"] = True
        shop.begin()

        assert ["purge"] == shop.check()

    def test_what_is_not_due_is_not_asked(self) -> None:
        shop, asked = Shop(), list[float]()

        def condition() -> bool:
            asked.append(shop.now)
            return True

        shop.job("purge", condition)
        shop.begin()
        shop.check()
        shop.now += 60

        assert [] == shop.check()
        assert [NOON] == asked

    def test_a_slow_one_holds_up_no_other_job(self) -> None:
        shop, slow = Shop(), Slow()
        shop.job("slow", slow)
        shop.job("quick", lambda: True)
        shop.job("without")
        shop.begin()

        assert ["quick", "without"] == shop.check()
        assert [] == shop.check()
        assert 1 == slow.asked
        slow.answers()

    def test_its_answer_leads_to_the_run_at_once(self) -> None:
        """The clock stands still: nobody waits for the check interval."""
        shop, slow = Shop(), Slow()
        shop.job("slow", slow)
        scheduler = shop.begin()
        shop.check()
        assert not scheduler._pauses.alarm.is_rung

        slow.answers()

        assert scheduler._pauses.alarm.is_rung
        assert ["slow"] == shop.check()
        assert 1 == slow.asked

    def test_also_where_the_last_start_was_set_meanwhile(self) -> None:
        """The claim is told so, and asks again in the same check."""
        shop, slow = Shop(), Slow()
        shop.job("slow", slow)
        shop.begin()
        shop.check()
        shop.redis.set("{shop}:job:slow", int(NOON) - 600)

        slow.answers()

        assert ["slow"] == shop.check()

    def test_no_that_comes_late_is_asked_again_after_the_check_interval(self) -> None:
        shop, slow = Shop(check_interval=5.0), Slow(False)
        shop.job("slow", slow)
        shop.begin()
        shop.check()
        slow.answers()
        assert [] == shop.check()
        slow.answer = True

        shop.now += 4.999
        assert [] == shop.check()
        shop.now += 0.001
        assert ["slow"] == shop.check()

    def test_after_no_it_is_asked_again_after_the_check_interval_and_by_a_person_at_once(
        self,
    ) -> None:
        shop, said = Shop(check_interval=5.0), [False]
        shop.job("purge", lambda: said[0])
        shop.begin()
        shop.check()
        said[0] = True
        assert [] == shop.check()

        shop.runner.tick(wait=True)

        assert ["purge"] == shop.ran

    def test_a_request_waits_for_it_too(self) -> None:
        shop, said = Shop(), [True]
        shop.job("purge", lambda: said[0])
        shop.begin()
        shop.check()
        said[0] = False
        shop.runner.trigger("purge")
        assert [] == shop.check()
        assert shop.status("purge").requested
        said[0] = True
        shop.now += 1

        assert ["purge"] == shop.check()
        assert {} == shop.status("purge").skips

    def test_a_due_time_that_passes_is_told_once(self, caplog: pytest.LogCaptureFixture) -> None:
        shop, heard = Shop(), list[Any]()

        def listen(sender: Any, **arguments: Any) -> None:
            heard.append(arguments)

        shop.job("purge", lambda: False, schedule=cron("* * * * *"))
        shop.begin()
        with job_skipped.connected_to(listen), caplog.at_level(logging.INFO, "jobrunner"):
            for _ in range(4):
                shop.check()
                shop.now += 20

        due_at = NOON + 40  # NOON is 20 seconds after a minute
        assert [{"job": "purge", "reason": Skip.WHEN, "due_at": due_at}] == heard
        assert {Skip.WHEN: 1} == shop.status("purge").skips
        assert ["Job purge was due and not run: when"] == [
            record.getMessage() for record in caplog.records if "not run" in record.getMessage()
        ]

    def test_beside_misfires_each_is_asked_and_told_once(self) -> None:
        """A second note must not make the first one new again."""
        shop, asked = Shop(), list[float]()

        def condition() -> bool:
            asked.append(shop.now)
            return False

        shop.job("purge", condition, schedule=cron("* * * * *"), misfire="skip", grace=90)
        shop.begin()
        shop.check()
        shop.now += 280

        shop.check()
        first = len(asked)
        shop.now += 1
        shop.check()

        assert first + 1 == len(asked)
        skips = shop.status("purge").skips
        assert (3, 1) == (skips[Skip.MISFIRED], skips[Skip.WHEN])
