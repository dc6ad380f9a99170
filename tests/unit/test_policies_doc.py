"""What docs/policies.md shows is true: its table is the policies', its examples run, and what it
says of two days without a service is what happens.
"""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fakeredis
import pytest

from jobrunner import JobContext, JobRunner, Run, Schedule, cron, every
from jobrunner.policies import Policies
from jobrunner.signals import job_skipped

from .clocks import utc

PAGE = (Path(__file__).parents[2] / "docs" / "policies.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
MISSES = re.findall(r"^\| `(misfire=.*?)` \| (.*?) ?\| (.*?) ?\|$", PAGE, re.MULTILINE)


def test_the_table_is_the_policies() -> None:
    section = PAGE[PAGE.index("<!-- policies") : PAGE.index("Words:")]
    rows = re.findall(r"^\| `(\w+)` \| `(.*?)` \| (.*?) \|$", section, re.MULTILINE)

    assert [row(spec) for spec in fields(Policies)] == rows


def row(spec: Any) -> tuple[str, str, str]:
    shown = f"{spec.default:g}" if isinstance(spec.default, float) else repr(spec.default)
    return (spec.name, shown, spec.metadata["sentence"])


def test_each_policy_has_a_section() -> None:
    told = " ".join(re.findall(r"^## (.*)$", PAGE, re.MULTILINE))

    assert [] == [spec.name for spec in fields(Policies) if spec.name not in told]


def test_the_examples_run_one_after_the_other() -> None:
    names: dict[str, Any] = {}
    for block in BLOCKS:
        exec(block, names)

    runner: JobRunner = names["runner"]
    runner.redis = fakeredis.FakeRedis()
    runner.clock = lambda: utc("2026-03-01 12:00")
    registered = {job.name: job for job in runner._registry}
    assert "poll" not in registered
    assert ("eu", "reports") == registered["report_sales"].policies.tags
    assert {"invoices of acme", "invoices of globex"} < set(registered)
    images, invoices = (registered[n].job for n in ("resize_images", "invoices of acme"))
    told: list[Any] = []
    running: Any = SimpleNamespace(report=lambda *progress: told.append(progress))
    ctx = JobContext().for_run(running)
    images.run(ctx)
    assert [(0, 3, "at a.png"), (1, 3, "at b.png"), (2, 3, "at c.png")] == told
    assert "invoices of acme" == invoices.run(ctx)


class Shop:
    """A service that is deployed, and deployed again, on one Redis; `now` is its time."""

    def __init__(self) -> None:
        self.redis = fakeredis.FakeRedis()
        self.now = 0.0
        self.runs: list[Run] = []

    def deploys(self, schedule: Schedule, name: str = "report", **keywords: Any) -> JobRunner:
        runner = JobRunner(redis=self.redis, namespace="shop", clock=lambda: self.now)
        sync_key = keywords.pop("sync_key", None)
        runner.job(schedule, name=name, sync_key=sync_key, **keywords)(
            lambda ctx: self.runs.append(ctx.run)
        )
        return runner

    def ticks(self, runner: JobRunner, at: str, number: int = 4) -> list[str]:
        """What is run for then, as due times in UTC."""
        self.runs.clear()
        self.now = utc(at)
        for _ in range(number):
            runner.tick(wait=True)
        return [shown(run.due_at) for run in self.runs]


def shown(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%d %H:%M")


def days(cell: str) -> list[str]:
    return [f"2026-03-{int(day):02d} 03:00" for day in re.findall(r"(\d+) March", cell)]


def test_the_example_of_two_days_is_found() -> None:
    assert 6 == len(MISSES)


@pytest.mark.parametrize(("policies", "runs_for", "given_up"), MISSES)
def test_two_days_without_a_service(policies: str, runs_for: str, given_up: str) -> None:
    shop, keywords = Shop(), eval(f"dict({policies})")
    before = shop.deploys(cron("0 3 * * *"), **keywords)
    shop.ticks(before, "2026-03-01 12:00")
    assert ["2026-03-02 03:00"] == shop.ticks(before, "2026-03-02 03:00")
    skipped = []

    def note(sender: object, job: str, reason: str, due_at: float) -> None:
        skipped.append((reason, shown(due_at)))

    after = shop.deploys(cron("0 3 * * *"), **keywords)
    with job_skipped.connected_to(note):
        assert days(runs_for) == shop.ticks(after, "2026-03-04 10:00")

    assert [("misfired", day) for day in days(given_up)] == skipped
    assert len(skipped) == sum(after.status()[0].skips.values())
    assert [] == shop.ticks(after, "2026-03-05 02:59")
    assert ["2026-03-05 03:00"] == shop.ticks(after, "2026-03-05 03:00")


@pytest.mark.parametrize(
    ("policies", "at"),
    [({}, "10:30"), ({"misfire": "skip"}, "11:01"), ({"grace": 1700}, "11:01")],
)
def test_an_interval_goes_on_from_its_last_start(policies: dict[str, Any], at: str) -> None:
    shop = Shop()
    shop.ticks(shop.deploys(every(hours=1), **policies), "2026-03-02 10:00")
    runner = shop.deploys(every(hours=1), **policies)

    ran = [when for when in ("10:30", "11:01") if shop.ticks(runner, f"2026-03-04 {when}")]

    assert [at] == ran


def test_a_request_makes_no_due_time_good_under_all_and_does_under_once() -> None:
    for misfire, later in [("all", ["2026-03-01 14:00", "2026-03-01 15:00"]), ("once", [])]:
        shop = Shop()
        runner = shop.deploys(cron("0 * * * *"), misfire=misfire)
        shop.ticks(runner, "2026-03-01 12:30")
        shop.ticks(runner, "2026-03-01 13:00")
        runner.pause("report")
        runner.trigger("report")
        assert ["2026-03-01 15:30"] == shop.ticks(runner, "2026-03-01 15:30")

        runner.resume("report")

        assert later == shop.ticks(runner, "2026-03-01 15:31")


class TestAScheduleChanges:
    def test_an_interval_counts_from_the_stored_last_run(self) -> None:
        shop = Shop()
        shop.ticks(shop.deploys(every(hours=6)), "2026-03-01 12:00")

        due = shop.ticks(shop.deploys(every(hours=2)), "2026-03-01 14:30")

        assert ["2026-03-01 14:00"] == due

    def test_times_of_a_grid_before_its_deploy_never_count(self) -> None:
        shop = Shop()
        shop.ticks(shop.deploys(every(hours=6)), "2026-02-01 12:00")
        hourly = shop.deploys(cron("0 * * * *"))

        assert [] == shop.ticks(hourly, "2026-03-01 16:15")
        assert ["2026-03-01 17:00"] == shop.ticks(hourly, "2026-03-01 17:00")

    def test_after_a_roll_back_the_former_schedule_goes_on(self) -> None:
        shop = Shop()
        former = shop.deploys(cron("0 * * * *"))
        shop.ticks(former, "2026-03-01 16:15")
        shop.ticks(former, "2026-03-01 17:00")
        assert [] == shop.ticks(shop.deploys(cron("30 * * * *")), "2026-03-01 18:10")

        back = shop.deploys(cron("0 * * * *"))

        assert ["2026-03-01 18:00"] == shop.ticks(back, "2026-03-01 18:20")

    def test_another_name_starts_anew_unless_it_keeps_the_key(self) -> None:
        shop = Shop()
        shop.ticks(shop.deploys(every(hours=6)), "2026-03-01 12:00")

        kept = shop.deploys(every(hours=6), name="account", sync_key="{shop}:job:report")
        assert [] == shop.ticks(kept, "2026-03-01 12:30")
        anew = shop.deploys(every(hours=6), name="account")
        assert ["2026-03-01 12:30"] == shop.ticks(anew, "2026-03-01 12:30")


def test_what_is_repeated_is_never_too_late_for_its_grace() -> None:
    shop = Shop()
    runner = shop.deploys(every(hours=1), recover=True, grace=60)
    shop.ticks(runner, "2026-03-01 12:00")
    # As the instance that records a death leaves it.
    mark = {"abandoned_run": "a", "abandoned_due_ms": round(utc("2026-03-01 12:00") * 1000)}
    shop.redis.hset("{shop}:job:report:state", mapping=mark)

    due = shop.ticks(shop.deploys(every(hours=1), recover=True, grace=60), "2026-03-01 12:30")

    assert ["2026-03-01 12:00"] == due
