"""`flask jobs prune`: what it says, what it asks, and what it leaves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .shells import NASTY, Shell, instance, raw_controls

JOBS = "{shop}:jobs"


@pytest.fixture
def left(shell: Shell) -> Shell:
    """Two jobs that are registered and ran, and one, `old`, that is not and did."""
    shell.answers("instances", [])
    shell.runner.tick(wait=True)
    announce(shell, "old", "OLD", instances=["dead"])
    shell.redis.set("OLD", 1_600_000_000)
    shell.redis.hset("{OLD}:state", "runs", 3)
    shell.redis.xadd("{OLD}:history", {"instance": "dead"})
    return shell


def announce(shell: Shell, name: str, sync_key: str, **more: Any) -> None:
    told = {"schedule": "every hour", "sync_key": sync_key, "origin": "shop.jobs.old", **more}
    shell.redis.hset(JOBS, name, json.dumps(told))


def is_there(shell: Shell) -> bool:
    keys = shell.redis.exists("OLD", "{OLD}:state", "{OLD}:history")
    assert keys in (0, 3)
    assert bool(keys) is shell.redis.hexists(JOBS, "old")
    # Whatever happens to the old one.
    assert {"report", "purge"} <= set(shell.redis.hkeys(JOBS))
    assert shell.redis.exists("{shop}:job:report", "{shop}:job:report:state") == 2
    return bool(keys)


def test_dry_run_only_says(left: Shell) -> None:
    output = left("prune", "--dry-run").output

    (row,) = (line for line in output.splitlines() if line.startswith("old"))
    assert row.split("  ")[1:] == ["shop.jobs.old", "goes, with OLD and what belongs to it"]
    assert is_there(left)


def test_it_asks(left: Shell) -> None:
    result = left("prune", typed="n\n", code=1)
    assert "Remove one job? [y/N]" in result.output
    assert is_there(left)

    output = left("prune", typed="y\n").output
    assert "'old': removed" in output
    assert not is_there(left)


def test_yes_does_not_ask(left: Shell) -> None:
    output = left("prune", "--yes").output

    assert "?" not in output
    assert not is_there(left)
    assert "Every job that is announced in 'shop' is registered here." in left("prune").output


def test_what_a_live_instance_announced_or_ran_stays(left: Shell) -> None:
    left.answers("instances", [instance(id="dead")])

    output = left("prune", "--yes").output

    assert "stays: the live instance dead announced it" in output
    assert is_there(left)
    announce(left, "old", "OLD", instances=["another"])
    assert "stays: the live instance dead has run it" in left("prune", "--yes").output
    assert is_there(left)


def test_with_live_instances_it_says_what_it_cannot_know(left: Shell) -> None:
    left.answers("instances", [instance(id="alive")])

    assert "1 instances live" in left("prune", "--dry-run").output


def test_what_is_held_is_refused_and_the_rest_goes(left: Shell) -> None:
    announce(left, "older", "OLDER")
    left.redis.set("OLDER", 5)
    left.redis.set("{OLD}:lease", "run-1", px=30_000)

    result = left("prune", "--yes", code=3)

    assert "'old': stays: somebody holds its lease" in result.output
    assert "'older': removed" in result.output
    assert is_there(left)
    assert not left.redis.exists("OLDER")


def test_a_renamed_job_keeps_its_keys(left: Shell) -> None:
    announce(left, "report-of-old", "{shop}:job:report")

    output = left("prune", "--yes").output

    assert "its keys are those of 'report', and stay" in output
    assert not left.redis.hexists(JOBS, "report-of-old")
    assert not is_there(left)


def test_two_former_jobs_of_one_key_both_go(left: Shell) -> None:
    announce(left, "older", "OLD")

    left("prune", "--yes")

    assert not left.redis.hexists(JOBS, "older")
    assert not is_there(left)


def test_keys_of_the_namespace_never_go(left: Shell) -> None:
    announce(left, "evil", JOBS)

    left("prune", "--yes")

    assert {"report", "purge"} == set(left.redis.hkeys(JOBS))


def test_what_stands_in_a_definition_does_not_reach_the_terminal(left: Shell) -> None:
    announce(left, NASTY, "OTHER", origin=NASTY, instances=[NASTY])

    result = left("prune", "--yes")

    assert [] == raw_controls(result.output)
    assert [NASTY] != left.redis.hkeys(JOBS)
    assert not left.redis.hexists(JOBS, NASTY)


@pytest.mark.parametrize("rich", [True, False])
def test_on_a_terminal(left: Shell, rich: bool) -> None:
    announce(left, NASTY, "OTHER")
    left.on_a_terminal(rich=rich)

    output = left("prune", "--dry-run").output

    assert rich is ("─" in output)
    assert "\x1b]0;" not in output
    assert "[red]x[/red]" in output
