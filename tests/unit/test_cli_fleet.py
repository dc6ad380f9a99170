"""The commands together with an engine: what one asks, the next one shows."""

from __future__ import annotations

import pytest

from .shells import NOW, Shell


def test_next_counts_on_from_what_is_due(shell: Shell) -> None:
    shell.runner.tick(wait=True)

    dues = shell.json("next", "--count", "3")

    assert [("purge", NOW + 60), ("purge", NOW + 120), ("purge", NOW + 180)] == [
        (due["job"], due["due_unix"]) for due in dues
    ]
    assert [("report", NOW + 3600)] == [
        (due["job"], due["due_unix"]) for due in shell.json("next", "report", "--count", "1")
    ]


def test_a_run_here_is_recorded_as_any_other(shell: Shell) -> None:
    output = shell("run", "report").output

    assert output.startswith("report: succeeded after ")
    (entry,) = shell.json("history", "report")
    assert ("succeeded", 1) == (entry["outcome"], entry["attempts"])
    assert shell.json("show", "report")["running"] is None
    assert not shell.redis.exists("{shop}:job:report:lease")
    assert [] == shell.json("instances")


def test_a_run_here_that_fails_is_a_failure(shell: Shell) -> None:
    result = shell("run", "purge", code=1)

    assert "Error: purge: failed after " in result.stderr
    assert "ValueError" in result.stderr
    assert "\x1b" not in result.stderr
    (entry,) = shell.json("history", "purge", "--outcome", "failed")
    assert "ValueError" in entry["error"]
    assert [] == shell.json("history", "purge", "--outcome", "succeeded")


def test_a_job_that_another_holds_is_refused(shell: Shell) -> None:
    shell.redis.hset("{shop}:job:report:state", mapping={"run": "run-9", "instance": "two"})
    shell.redis.set("{shop}:job:report:lease", "run-9", px=30_000)
    shell.redis.set("{shop}:job:report", int(NOW))

    assert "run-9" in shell("run", "report", code=3).stderr
    assert "run-9" in shell("trigger", "report", code=3).stderr
    assert "request" in shell("trigger", "report", "--queue").output
    assert "Told run run-9 of 'report' to end." in shell("cancel", "report").output
    assert shell("list").output.splitlines()[1].endswith("running")


def test_nothing_runs_so_nothing_can_be_cancelled(shell: Shell) -> None:
    assert "is not running" in shell("cancel", "report", code=3).stderr


def test_a_request_is_shown_and_taken(shell: Shell) -> None:
    shell.runner.tick(wait=True)
    request = shell("trigger", "report").output.split()[-1].rstrip(".")
    assert request == shell.json("show", "report")["requested"]

    shell.runner.tick(wait=True)

    assert request == shell.json("history", "report", "--limit", "1")[0]["request"]


def test_a_request_that_nobody_answers_in_time_is_a_failure(shell: Shell) -> None:
    result = shell("trigger", "report", "--wait", "--timeout", "0.1", code=1)

    assert "has not ended within 0.1 s" in result.stderr


@pytest.mark.parametrize(
    ("words", "until"), [([], None), (["--for", "2h"], "2023-11-15T00:13:20.000Z")]
)
def test_a_pause_is_shown_keeps_and_ends(shell: Shell, words: list[str], until: str | None) -> None:
    shell("pause", "report", *words, "--reason", "the disk is full")

    told = shell.json("show", "report")
    assert (True, until, "the disk is full") == (
        told["paused"],
        told["paused_until"],
        told["pause_reason"],
    )
    assert "the disk is full" in shell("show", "report").output
    shell.runner.tick(wait=True)
    assert [] == shell.json("history", "report")

    shell("resume", "report")
    shell.runner.tick(wait=True)
    assert 1 == len(shell.json("history", "report"))


def test_a_paused_job_runs_here_all_the_same(shell: Shell) -> None:
    shell("pause", "report")

    assert "succeeded" in shell("run", "report").output


def test_a_reset_makes_due_what_could_not_be_read(shell: Shell) -> None:
    shell.redis.set("{shop}:job:report", "never")
    assert "cannot be read" in shell("pause", "report", code=1).stderr

    shell("reset", "report")

    shell.runner.tick(wait=True)
    assert 1 == len(shell.json("history", "report"))


def test_instances_are_those_that_checked(shell: Shell) -> None:
    assert [] == shell.json("instances")

    shell.runner.tick(wait=True)

    (one,) = shell.json("instances")
    assert shell.state.instance().id == one["id"]
    assert one["id"] in shell("instances").output


def test_what_a_live_instance_announced_is_not_pruned(shell: Shell) -> None:
    shell.runner.tick(wait=True)
    del shell.state.registry._definitions["purge"]

    output = shell("prune", "--yes").output

    assert f"the live instance {shell.state.instance().id} announced it" in output
    shell.state.instance().store.forget_instance()
    assert "'purge': removed" in shell("prune", "--yes").output
    assert [] == shell.redis.keys("{shop}:job:purge*")
