"""A claim that comes a little before its time: its run starts at that, and all else is as ever."""

from __future__ import annotations

import pytest

from jobrunner import cron
from jobrunner.job import JobDefinition
from jobrunner.store.answers import OF_REQUEST, Answer, Status

from .controlling import look, trigger
from .fleet import MINUTE, NOON, Fleet, ask, job

#: When a job that ran at noon may start again, and how far ahead of that it is claimed.
NEXT, AHEAD = NOON + MINUTE + 1, 10


@pytest.fixture
def ran(fleet: Fleet, purge: JobDefinition) -> JobDefinition:
    """A job that ran at noon; it is four milliseconds before its next time."""
    fleet.claimed(purge, "run-0")
    fleet.finish(purge, "run-0")
    fleet.now_ms = NEXT - 4
    return purge


def stored(fleet: Fleet, purge: JobDefinition) -> tuple[str | None, dict[str, str]]:
    return fleet.client.get(purge.keys.sync_key), fleet.client.hgetall(purge.keys.state)


def test_its_run_starts_at_its_time(fleet: Fleet, ran: JobDefinition) -> None:
    answer = fleet.claim(ran, "run-1", NOON, ahead_ms=AHEAD)

    assert Status.CLAIMED == answer.status
    assert (NEXT, NOON + MINUTE) == (answer.known.last_ms, answer.due_ms)
    last, state = stored(fleet, ran)
    assert (str(NEXT // 1000), str(NEXT)) == (last, state["last_ms"])
    assert NEXT == fleet.look(ran, NEXT).known.last_ms


def test_the_whole_way_says_so_too(fleet: Fleet, ran: JobDefinition) -> None:
    """As for a job that somebody has paused, and whose pause is over."""
    fleet.client.hset(ran.keys.state, "paused", NOON)
    answer = fleet.claim(ran, "run-1", NOON, ahead_ms=AHEAD)

    assert (Status.CLAIMED, False) == (answer.status, answer.is_plain)
    assert (NEXT, NOON + MINUTE) == (answer.known.last_ms, answer.due_ms)
    last, state = stored(fleet, ran)
    assert (str(NEXT // 1000), str(NEXT)) == (last, state["last_ms"])


@pytest.mark.parametrize("paused", [str(NOON), ""])
@pytest.mark.parametrize("before_ms", [1, AHEAD])
def test_by_so_much_it_may_come_too_soon(
    fleet: Fleet, ran: JobDefinition, before_ms: int, paused: str
) -> None:
    if paused:
        fleet.client.hset(ran.keys.state, "paused", paused)  # no plain case any more
    fleet.now_ms = NEXT - before_ms
    assert Status.CLAIMED == fleet.claim(ran, "run-1", NOON, ahead_ms=AHEAD).status


@pytest.mark.parametrize("paused", [str(NOON), ""])
def test_and_by_no_more(fleet: Fleet, ran: JobDefinition, paused: str) -> None:
    if paused:
        fleet.client.hset(ran.keys.state, "paused", paused)
    fleet.now_ms = NEXT - AHEAD - 1
    before = stored(fleet, ran)[0]

    answer = fleet.claim(ran, "run-1", NOON, ahead_ms=AHEAD)

    assert (Status.EARLY, NOON, None) == (answer.status, answer.known.last_ms, answer.known.running)
    assert before == stored(fleet, ran)[0]


def test_who_does_not_wait_for_it_is_not_granted_it(fleet: Fleet, ran: JobDefinition) -> None:
    assert Status.EARLY == fleet.claim(ran, "run-1", NOON).status


def test_what_comes_at_its_time_starts_when_it_is_claimed(fleet: Fleet, ran: JobDefinition) -> None:
    fleet.now_ms = NEXT + 3
    assert NEXT + 3 == fleet.claim(ran, "run-1", NOON, ahead_ms=AHEAD).known.last_ms


def test_a_look_sees_what_is_so_now(fleet: Fleet, ran: JobDefinition) -> None:
    assert Status.EARLY == fleet.claim(ran, "", NOON, ahead_ms=AHEAD).status


def test_others_find_it_held_and_the_next_time_counts_from_the_start(
    fleet: Fleet, ran: JobDefinition
) -> None:
    fleet.claim(ran, "run-1", NOON, ahead_ms=AHEAD)
    held = fleet.claim(ran, "run-2", NEXT, store=fleet.two, ahead_ms=AHEAD)
    assert (Status.HELD, NEXT) == (held.status, held.known.last_ms)

    fleet.now_ms = NEXT
    fleet.finish(ran, "run-1")
    for ms, status in (
        (NEXT + MINUTE - AHEAD, Status.EARLY),
        (NEXT + MINUTE + 1 - AHEAD, Status.CLAIMED),
    ):
        fleet.now_ms = ms
        assert status == fleet.claim(ran, "run-2", NEXT, store=fleet.two, ahead_ms=AHEAD).status


def test_a_due_time_of_a_grid_is_served_once(fleet: Fleet) -> None:
    report = job("report", cron("* * * * *"))
    minute = NOON - NOON % MINUTE + MINUTE
    fleet.now_ms = minute - MINUTE
    fleet.claimed(report, "run-0", None)
    fleet.finish(report, "run-0")
    fleet.now_ms = minute - 3

    answer = fleet.claim(report, "run-1", minute - MINUTE, ahead_ms=AHEAD)
    assert (Status.CLAIMED, minute, minute) == (
        answer.status,
        answer.due_ms,
        answer.known.last_ms,
    )
    fleet.now_ms = minute
    fleet.finish(report, "run-1")

    again = fleet.claim(report, "run-2", minute, ahead_ms=AHEAD)
    assert Status.EARLY == again.status
    assert minute + MINUTE == ask(report, "run-2", minute).due_ms


def test_a_paused_job_is_early_and_no_due_time_of_it_is_skipped_yet(
    fleet: Fleet, ran: JobDefinition
) -> None:
    fleet.client.hset(ran.keys.state, "paused", NEXT - 2)
    answer = fleet.claim(ran, "run-1", NOON, ahead_ms=AHEAD)
    assert (Status.EARLY, "") == (answer.status, answer.noted)

    fleet.now_ms = NEXT
    assert Status.CLAIMED == fleet.claim(ran, "run-1", NOON, ahead_ms=AHEAD).status


def test_what_somebody_still_runs_is_no_skip_yet(fleet: Fleet, ran: JobDefinition) -> None:
    fleet.now_ms = NEXT
    fleet.claimed(ran, "run-1", NOON)
    fleet.now_ms = NEXT + MINUTE - 3

    answer = fleet.claim(ran, "run-2", NEXT, ahead_ms=AHEAD)
    assert (Status.HELD, "") == (answer.status, answer.noted)


def test_given_back_it_is_as_due_as_before(fleet: Fleet, ran: JobDefinition) -> None:
    before = fleet.client.get(ran.keys.sync_key)
    fleet.claim(ran, "run-1", NOON, ahead_ms=AHEAD)
    assert fleet.give_back(ran, "run-1")

    assert before == fleet.client.get(ran.keys.sync_key)
    assert NOON == look(fleet, ran).last_ms
    assert Status.CLAIMED == fleet.claim(ran, "run-2", NOON, ahead_ms=AHEAD).status


def test_asked_for_again_it_tells_the_same_start(fleet: Fleet, ran: JobDefinition) -> None:
    fleet.claim(ran, "run-1", NOON, ahead_ms=AHEAD)
    again = fleet.claim(ran, "run-1", NOON)

    assert (Status.AGAIN, NEXT) == (again.status, again.known.last_ms)


def test_what_a_person_asks_for_is_not_put_off(fleet: Fleet, ran: JobDefinition) -> None:
    fleet.now_ms = NOON + MINUTE // 2
    trigger(fleet, ran, "request-1")
    wanted = ask(ran, "run-1", NOON)._replace(due_ms=OF_REQUEST)
    (answer,) = fleet.one.claim([wanted], ahead_ms=AHEAD)

    assert isinstance(answer, Answer)
    assert (Status.CLAIMED, fleet.now_ms) == (answer.status, answer.known.last_ms)
