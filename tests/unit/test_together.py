"""Several instances of one application on one Redis: who runs what, and what people may do."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import fakeredis
import gevent
import pytest
from flask import Flask
from gevent.event import Event

from jobrunner import Job, JobContext, JobRunner, Outcome, StoreError, UnknownJobError, cron, every
from jobrunner.job import FunctionJob
from jobrunner.run import Skip
from jobrunner.signals import job_skipped

NOON = 1_700_000_000.0
MINUTE = 60.0


class Member:
    """One instance, which checks when it is told to."""

    def __init__(self, fleet: Fleet, name: str, **options: Any) -> None:
        self.ran: list[tuple[str, Any]] = []
        self.may_end = Event()
        self.may_end.set()
        self._runs: list[Any] = []
        self.name = name
        self._fleet = fleet
        self.app = Flask(name)
        options = {"clock": lambda: fleet.now, "namespace": "shop", **options}
        self.runner = JobRunner(redis=fleet.redis, **options)
        self.runner.init_app(self.app)
        self.state = self.app.extensions["jobrunner"]

    def job(self, name: str = "purge", schedule: Any = None, **options: Any) -> None:
        """Register a job that notes its keywords, and ends when it may."""

        @self.runner.job(schedule or every(minutes=1), name=name, **options)
        def run(ctx: Any, **keywords: Any) -> None:
            self.ran.append((name, keywords))
            self.may_end.wait()

    def check(self, wait: bool = True) -> list[str]:
        """One check of its loop; the jobs it ran, or with `wait=False` began to run."""
        before = len(self.ran)
        instance = self.state.instance()
        self._runs += instance.scheduler.tick()
        if wait:
            self._see_them_end()
        else:
            gevent.idle()
        return [name for name, _ in self.ran[before:]]

    def tell_the_ends(self) -> None:
        self.may_end.set()
        self._see_them_end()

    def _see_them_end(self) -> None:
        executor = self.state.instance().executor
        executor.join(self._runs)
        executor.finishes.record(self._runs)
        self._runs.clear()


class Fleet:
    def __init__(self) -> None:
        self.redis = fakeredis.FakeRedis()
        self.now = NOON
        self.members: list[Member] = []

    def member(self, name: str = "one", **options: Any) -> Member:
        self.members.append(Member(self, name, **options))
        return self.members[-1]

    def two(self, **options: Any) -> tuple[Member, Member]:
        """Two instances that know the same job."""
        one, two = self.member("one"), self.member("two")
        for member in (one, two):
            member.job(**options)
        return one, two


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    fleet = Fleet()
    yield fleet
    for member in fleet.members:
        member.tell_the_ends()
        member.runner.stop(timeout=0, app=member.app)


class TestWhoRunsIt:
    def test_one_with_all_its_tags(self, fleet: Fleet) -> None:
        plain = fleet.member("plain")
        web = fleet.member("web", tags=("web",))
        both = fleet.member("both", tags=("web", "reports"))
        for member in (plain, web, both):
            member.job(tags=("reports", "web"))

        assert [[], [], ["purge"]] == [member.check() for member in (plain, web, both)]
        assert [False, False, True] == [m.runner.status()[0].runs_here for m in fleet.members]

    @pytest.mark.parametrize(
        ("instances", "runs"), [("web-*", True), (("db-1", "web-1"), True), ("db-*", False)]
    )
    def test_one_whose_host_is_named(
        self, fleet: Fleet, instances: Any, runs: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("platform.node", lambda: "web-1")
        one = fleet.member()
        one.job(instances=instances)

        assert (["purge"] if runs else []) == one.check()
        assert runs is one.runner.status()[0].runs_here

    def test_or_one_with_a_tag_that_is_named(self, fleet: Fleet) -> None:
        one, two = fleet.member(), fleet.member("two", tags=("reports-2",))
        for member in (one, two):
            member.job(instances="reports-*")

        assert [[], ["purge"]] == [one.check(), two.check()]

    def test_nobody_while_it_is_switched_off(self, fleet: Fleet) -> None:
        one = fleet.member()
        one.job(enabled=False)
        one.job("report")

        assert ["report"] == one.check()
        assert [False, True] == [status.enabled for status in one.runner.status()]

    def test_also_what_is_requested(self, fleet: Fleet) -> None:
        plain, reports = fleet.member("plain"), fleet.member("reports", tags=("reports",))
        for member in (plain, reports):
            member.job(tags="reports")
            member.check()
        plain.runner.trigger("purge")

        assert [[], ["purge"]] == [plain.check(), reports.check()]


class TestRequests:
    def test_one_of_them_answers_it(self, fleet: Fleet) -> None:
        one, two = fleet.two()
        assert [["purge"], []] == [one.check(), two.check()]
        one.runner.trigger("purge")

        assert [["purge"], [], []] == [two.check(), one.check(), two.check()]

    def test_of_an_instance_that_is_not_started_another_runs_it(self, fleet: Fleet) -> None:
        """The other one is, and hears of it with its next check."""
        asking = fleet.member("asking", clock=None)
        asking.job(schedule=cron("0 0 1 1 *"))
        ran = Event()
        at_work = fleet.member("at work", clock=None, mode="greenlet", check_interval=0.02)

        @at_work.runner.job(cron("0 0 1 1 *"), name="purge")
        def purge(ctx: JobContext) -> str:
            ran.set()
            return ctx.run.instance

        at_work.runner.start()
        request = asking.runner.trigger("purge")
        assert ran.wait(timeout=30)

        entry = asking.runner.trigger("purge", wait=True, queue=True, timeout=30)
        assert entry is not None
        assert not isinstance(entry, str)
        assert entry.instance == at_work.state.instance().id
        assert request in [one.request for one in asking.runner.history("purge")]
        assert [] == asking.ran

    def test_it_is_not_forgotten_when_the_next_call_fails(
        self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One call hears of it, and the next is to ask about it: the stream tells it once."""
        one, two = fleet.two()
        one.check()
        two.check()
        one.runner.trigger("purge")
        store = two.state.instance().store
        real, calls = store.claim, list[int]()

        def claim(asks: Any, **how: Any) -> Any:
            calls.append(len(asks))
            if len(calls) == 2:
                raise StoreError("Redis is away")
            return real(asks, **how)

        monkeypatch.setattr(store, "claim", claim)
        with pytest.raises(StoreError):
            two.check()

        assert ["purge"] == two.check()

    def test_nor_that_everything_is_to_be_looked_at(
        self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, two = fleet.two()
        one.check()
        two.check()
        one.runner.trigger("purge")
        fleet.redis.xadd("{shop}:control", {"job": "purge"}, maxlen=1, approximate=False)
        store = two.state.instance().store
        real, calls = store.claim, list[int]()

        def claim(asks: Any, **how: Any) -> Any:
            calls.append(len(asks))
            if len(calls) == 2:
                raise StoreError("Redis is away")
            return real(asks, **how)

        monkeypatch.setattr(store, "claim", claim)
        with pytest.raises(StoreError):
            two.check()

        assert ["purge"] == two.check()


class TestPauseAndReset:
    def test_everybody_keeps_to_a_pause_and_hears_of_its_end(self, fleet: Fleet) -> None:
        one, two = fleet.two()
        one.check()
        one.runner.pause("purge", reason="the disk is full")
        fleet.now += 10 * MINUTE
        assert [[], []] == [one.check(), two.check()]
        status = two.runner.status()[0]
        assert (True, "the disk is full") == (status.paused, status.pause_reason)
        assert {Skip.PAUSED: 1} == status.skips

        two.runner.resume("purge")

        assert [["purge"], []] == [one.check(), two.check()]

    def test_a_pause_ends_by_itself(self, fleet: Fleet) -> None:
        one, two = fleet.two()
        two.runner.pause("purge", until=NOON + MINUTE)
        assert [[], []] == [one.check(), two.check()]

        fleet.now += MINUTE
        assert [[], []] == [one.check(), two.check()]
        fleet.now += 0.001
        assert ["purge"] == one.check()

    def test_a_reset_makes_it_due_also_for_those_who_knew_better(self, fleet: Fleet) -> None:
        one, two = fleet.two(schedule=cron("0 0 1 1 *"))
        assert [[], []] == [one.check(), two.check()]

        one.runner.reset("purge")

        assert [["purge"], []] == [two.check(), one.check()]


class TestCancel:
    def test_where_it_runs_it_is_stopped(self, fleet: Fleet) -> None:
        one, two = fleet.two()
        one.may_end.clear()
        one.check(wait=False)

        two.runner.cancel("purge")
        one.check(wait=False)
        gevent.idle()

        (entry,) = two.runner.history("purge")
        assert Outcome.CANCELLED == entry.outcome

    def test_though_the_job_was_taken_away_there(self, fleet: Fleet) -> None:
        one, two = fleet.two()
        one.may_end.clear()
        one.check(wait=False)
        one.runner.unregister("purge")
        one.check(wait=False)

        two.runner.cancel("purge")
        one.check(wait=False)
        gevent.idle()

        (entry,) = two.runner.history("purge")
        assert Outcome.CANCELLED == entry.outcome
        assert two.check() == []


class TestWhileRunning:
    def test_what_is_taken_away_ends_as_it_will_and_does_not_run_again(self, fleet: Fleet) -> None:
        one = fleet.member()
        one.job()
        one.may_end.clear()
        assert ["purge"] == one.check(wait=False)
        one.runner.unregister("purge")
        assert [] == one.check(wait=False)

        one.tell_the_ends()

        fleet.now += 10 * MINUTE
        assert [] == one.check()
        with pytest.raises(UnknownJobError):
            one.runner.trigger("purge")
        one.job()
        assert [Outcome.SUCCEEDED] == [entry.outcome for entry in one.runner.history("purge")]
        assert ["purge"] == one.check()

    def test_what_takes_its_place_waits_for_the_run_that_goes_on(self, fleet: Fleet) -> None:
        one, seen = fleet.member(), list[str]()
        one.job()
        one.may_end.clear()
        one.check(wait=False)

        one.runner.replace(
            FunctionJob(lambda ctx: seen.append("new"), every(seconds=5), name="purge")
        )
        fleet.now += 6
        assert [] == one.check(wait=False)
        assert [] == seen
        one.tell_the_ends()
        one.check()

        assert ["new"] == seen
        assert 2 == len(one.runner.history("purge"))

    def test_a_job_that_comes_is_run_with_the_next_check(self, fleet: Fleet) -> None:
        one = fleet.member()
        assert [] == one.check()
        one.job("late")

        assert ["late"] == one.check()

    def test_a_wrong_one_takes_nobody_s_place(self, fleet: Fleet) -> None:
        class Unfinished(Job):
            name = "purge"
            interval = 5

        one = fleet.member()
        one.job()

        with pytest.raises(Exception, match="purge"):
            one.runner.replace(Unfinished())

        assert ["purge"] == one.check()


def test_one_function_is_a_job_for_each_set_of_parameters(fleet: Fleet) -> None:
    one = fleet.member()
    for tenant in ("acme", "globex"):
        one.job(f"purge {tenant}", parameters={"tenant": tenant, "days": 30})

    one.check()

    assert [
        ("purge acme", {"tenant": "acme", "days": 30}),
        ("purge globex", {"tenant": "globex", "days": 30}),
    ] == sorted(one.ran)


class TestRecovery:
    def test_of_a_run_that_lived_for_longer_than_the_grace(self, fleet: Fleet) -> None:
        """What was in time once is not late because its instance died."""
        one, two = fleet.two(recover=True, misfire="skip", grace=5)
        one.may_end.clear()
        assert ["purge"] == one.check(wait=False)
        two.check()
        fleet.now += 30
        fleet.redis.delete("{shop}:job:purge:lease")

        assert ["purge"] == two.check()
        assert [] == two.check()

    def test_a_quarantine_is_told_with_the_check_that_finds_it(self, fleet: Fleet) -> None:
        heard: list[Any] = []

        def listen(sender: Any, **arguments: Any) -> None:
            heard.append((arguments["reason"], arguments["due_at"]))

        with job_skipped.connected_to(listen):
            for name in ("first", "second", "third"):
                dies = fleet.member(name)
                dies.job(recover=True)
                dies.may_end.clear()
                assert ["purge"] == dies.check(wait=False)
                fleet.redis.delete("{shop}:job:purge:lease")
            one = fleet.member()
            one.job(recover=True)
            assert [] == one.check()

        assert [(Skip.QUARANTINED, NOON)] == heard
        assert {Skip.QUARANTINED: 1} == one.runner.status()[0].skips


def test_a_success_that_does_not_come_is_told_once_in_the_fleet(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = fleet.two(schedule=cron("0 0 1 1 *"), expect=30)
    for member in (one, two):
        member.check()
    fleet.now += 30

    with caplog.at_level(logging.ERROR, "jobrunner"):
        for _ in range(2):
            for member in (one, two):
                member.check()

    assert ["Job purge is overdue: it has had no success for 30 s"] == [
        record.getMessage() for record in caplog.records
    ]
    assert fleet.now == one.runner.status()[0].overdue_since
    one.runner.trigger("purge")
    one.check()
    assert one.runner.status()[0].overdue_since is None
