"""Due times that passed without a run: each is counted once for a reason, whoever tells it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from jobrunner.job import JobDefinition
from jobrunner.run import Outcome
from jobrunner.store.answers import UNKNOWN, Answer, Ask, Status
from jobrunner.store.redis import RedisStore

from .controlling import ask, control, knowing, look, ran
from .fleet import LONG_AGO, MINUTE, NOON, Fleet


def note(store: RedisStore, definition: JobDefinition, what: str) -> str:
    """Tell it with a look; what of it nobody had told before."""
    return ask(store, Ask(definition, "", UNKNOWN, LONG_AGO, 0, what)).noted


def count(fleet: Fleet, definition: JobDefinition, reason: str) -> int:
    return int(fleet.client.hget(definition.keys.state, f"count_skip_{reason}") or 0)


def test_of_several_instances_the_first_is_heard(fleet: Fleet, purge: JobDefinition) -> None:
    what = f"misfired:{NOON},{NOON + MINUTE}"

    assert [what, "", ""] == [note(s, purge, what) for s in (fleet.one, fleet.two, fleet.one)]

    assert 2 == count(fleet, purge, "misfired")
    state = fleet.stored(purge)["state"]
    assert ("misfired", str(NOON + MINUTE)) == (state["skip_reason"], state["skip_due_ms"])


@pytest.mark.parametrize(
    ("then", "new"),
    [
        ([NOON, NOON + MINUTE, NOON + 2 * MINUTE], [NOON + 2 * MINUTE]),
        ([NOON + 2 * MINUTE, NOON + 3 * MINUTE], [NOON + 2 * MINUTE, NOON + 3 * MINUTE]),
        ([NOON], []),
    ],
)
def test_of_a_list_what_is_known_is_left_out(
    fleet: Fleet, purge: JobDefinition, then: Sequence[int], new: Sequence[int]
) -> None:
    note(fleet.one, purge, f"misfired:{NOON},{NOON + MINUTE}")

    told = note(fleet.two, purge, f"misfired:{','.join(map(str, then))}")

    assert (f"misfired:{','.join(map(str, new))}" if new else "") == told
    assert 2 + len(new) == count(fleet, purge, "misfired")


def test_each_reason_has_a_count_of_its_own(fleet: Fleet, purge: JobDefinition) -> None:
    for reason in ("when", "misfired", "quarantined", "when"):
        note(fleet.one, purge, f"{reason}:{NOON}")

    assert [1, 1, 1] == [count(fleet, purge, r) for r in ("when", "misfired", "quarantined")]
    assert "quarantined" == fleet.stored(purge)["state"]["skip_reason"]


def test_a_note_is_taken_whatever_the_answer_is(fleet: Fleet, purge: JobDefinition) -> None:
    fleet.claimed(purge, "run-1")

    assert f"when:{NOON}" == note(fleet.two, purge, f"when:{NOON}")


def test_and_comes_with_a_claim(fleet: Fleet, purge: JobDefinition) -> None:
    question = knowing(fleet, purge, look(fleet, purge), "run-1", f"misfired:{NOON - MINUTE}")

    answer = ask(fleet.one, question)

    assert (Status.CLAIMED, f"misfired:{NOON - MINUTE}") == (answer.status, answer.noted)


@pytest.mark.parametrize("reason", ["misfired", "overdue"])
def test_times_before_a_clock_s_beginning_stop_no_job(
    fleet: Fleet, purge: JobDefinition, reason: str
) -> None:
    fleet.now_ms = -5000
    look(fleet, purge)

    told = note(fleet.one, purge, f"{reason}:-5000")

    assert ("" if reason == "misfired" else "overdue:-5000") == told


class TestHeld:
    def overtaken(self, fleet: Fleet, purge: JobDefinition) -> list[Answer]:
        """Two instances want the due time of a job that runs, over and over."""
        fleet.claimed(purge, "run-1")
        fleet.now_ms = NOON + MINUTE + 1
        question = knowing(fleet, purge, look(fleet, purge), "run-2")
        return [ask(store, question) for store in (fleet.two, fleet.one, fleet.two)]

    def test_counts_once_a_due_time(self, fleet: Fleet, purge: JobDefinition) -> None:
        answers = self.overtaken(fleet, purge)

        assert [f"held:{NOON + MINUTE}", "", ""] == [answer.noted for answer in answers]
        assert 1 == count(fleet, purge, "held")

    def test_counts_again_with_the_next_run(self, fleet: Fleet, purge: JobDefinition) -> None:
        self.overtaken(fleet, purge)
        fleet.finish(purge, "run-1")
        ask(fleet.one, knowing(fleet, purge, look(fleet, purge), "run-3"))
        assert fleet.now_ms is not None
        fleet.now_ms += MINUTE + 1

        answer = ask(fleet.two, knowing(fleet, purge, look(fleet, purge), "run-4"))

        assert (Status.HELD, 2) == (answer.status, count(fleet, purge, "held"))

    def test_is_nothing_before_the_due_time(self, fleet: Fleet, purge: JobDefinition) -> None:
        fleet.claimed(purge, "run-1")
        fleet.now_ms = NOON + MINUTE

        answer = ask(fleet.two, knowing(fleet, purge, look(fleet, purge), "run-2"))

        assert (Status.HELD, 0) == (answer.status, count(fleet, purge, "held"))

    def test_is_no_second_reason_beside_a_note(self, fleet: Fleet, purge: JobDefinition) -> None:
        fleet.claimed(purge, "run-1")
        fleet.now_ms = NOON + MINUTE + 1
        what = f"when:{NOON + MINUTE}"

        answer = ask(fleet.two, knowing(fleet, purge, look(fleet, purge), "", what))

        assert (what, 0) == (answer.noted, count(fleet, purge, "held"))


def test_paused_is_no_second_reason_beside_a_note(fleet: Fleet, purge: JobDefinition) -> None:
    ran(fleet, purge, "run-1")
    control(fleet, purge, "pause", "-", "")
    fleet.now_ms = NOON + MINUTE + 1
    what = f"misfired:{NOON + MINUTE}"

    answer = ask(fleet.one, knowing(fleet, purge, look(fleet, purge), "run-2", what))

    assert (Status.PAUSED, what) == (answer.status, answer.noted)
    assert 0 == count(fleet, purge, "paused")


class TestOverdue:
    def test_is_noted_once(self, fleet: Fleet, purge: JobDefinition) -> None:
        look(fleet, purge)
        fleet.now_ms = NOON + MINUTE
        what = f"overdue:{NOON}"

        assert [what, "", ""] == [note(s, purge, what) for s in (fleet.one, fleet.two, fleet.one)]

        assert look(fleet, purge).is_overdue
        assert str(NOON + MINUTE) == fleet.stored(purge)["state"]["overdue_ms"]
        assert "skip_reason" not in fleet.stored(purge)["state"]

    def test_of_a_success_that_has_come_meanwhile_it_is_not(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        ran(fleet, purge, "run-1")
        known = look(fleet, purge)
        fleet.now_ms = NOON + 2 * MINUTE
        ran(fleet, purge, "run-2")

        assert "" == note(fleet.two, purge, f"overdue:{known.succeeded_ms}")
        assert not look(fleet, purge).is_overdue

    def test_is_over_with_a_success(self, fleet: Fleet, purge: JobDefinition) -> None:
        look(fleet, purge)
        note(fleet.one, purge, f"overdue:{NOON}")

        fleet.claimed(purge, "run-1")
        known = fleet.finish(purge, "run-1").known

        assert (False, NOON) == (known.is_overdue, known.succeeded_ms)
        assert f"overdue:{NOON}" == note(fleet.one, purge, f"overdue:{NOON}")

    def test_not_with_a_failure(self, fleet: Fleet, purge: JobDefinition) -> None:
        look(fleet, purge)
        note(fleet.one, purge, f"overdue:{NOON}")
        fleet.claimed(purge, "run-1")

        assert fleet.finish(purge, "run-1", Outcome.FAILED).known.is_overdue
