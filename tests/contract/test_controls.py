"""What people ask of a job: trigger, pause, resume, reset, cancel."""

from __future__ import annotations

from typing import Any

import pytest

from jobrunner import Schedule, cron, every
from jobrunner.engine.due import due_again
from jobrunner.job import FunctionJob, JobDefinition
from jobrunner.quarantine import quarantined_until_ms
from jobrunner.run import Outcome
from jobrunner.store.answers import ANY, BY_HAND, OF_REQUEST, Ask, Status

from .controlling import ask, claim, control, knowing, look, ran, trigger
from .fleet import LONG_AGO, MINUTE, NAMESPACE, NOON, Fleet, nothing


def job(schedule: Schedule | None = None, **policies: Any) -> JobDefinition:
    written = FunctionJob(nothing, schedule or every(minutes=1), name="purge", **policies)
    return JobDefinition.of(written, NAMESPACE)


def dies(fleet: Fleet, definition: JobDefinition, run_id: str) -> None:
    """The instance of the run is not heard of again; somebody records it."""
    fleet.lease_ends(definition)
    assert run_id == ask(fleet.two, Ask(definition, "", "?", LONG_AGO, 0)).abandoned


def quarantined(fleet: Fleet, definition: JobDefinition) -> None:
    for number in range(3):
        question = Ask(definition, f"dead-{number}", ANY, LONG_AGO, BY_HAND)
        assert Status.CLAIMED == ask(fleet.one, question).status
        dies(fleet, definition, f"dead-{number}")
    assert 3 == look(fleet, definition).abandoned_in_row


class TestTrigger:
    def test_an_idle_job_runs_though_it_is_not_due(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        ran(fleet, purge, "run-1")

        assert ("done", "request-1", "") == trigger(fleet, purge, "request-1")

        known = look(fleet, purge)
        assert "request-1" == known.request
        assert OF_REQUEST == due_again(purge, known, NOON).at_ms
        answer = claim(fleet, purge, "run-2")
        assert (Status.CLAIMED, NOON) == (answer.status, answer.due_ms)
        assert "" == answer.known.request

    def test_the_run_that_answers_it_names_it_in_the_history(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        ran(fleet, purge, "run-1")
        trigger(fleet, purge, "request-1")
        ran(fleet, purge, "run-2")
        fleet.now_ms = NOON + MINUTE + 1
        ran(fleet, purge, "run-3")

        entries = fleet.one.history(purge, 10)
        assert [("run-3", None), ("run-2", "request-1"), ("run-1", None)] == [
            (entry.run_id, entry.request) for entry in entries
        ]

    def test_it_serves_no_due_time_of_the_schedule(self, fleet: Fleet) -> None:
        nightly = job(cron("0 0 * * *"))
        control(fleet, nightly, "reset")
        ran(fleet, nightly, "run-1")
        fleet.now_ms = NOON + 5000
        trigger(fleet, nightly, "request-1")

        answer = claim(fleet, nightly, "run-2")

        assert (NOON, NOON + 5000) == (answer.known.served_ms, answer.due_ms)

    def test_while_it_runs_it_is_refused(self, fleet: Fleet, purge: JobDefinition) -> None:
        fleet.claimed(purge, "run-1")
        before = fleet.stored(purge)

        assert ("held", "run-1", "one") == trigger(fleet, purge, "request-1")

        assert before == fleet.stored(purge)
        assert not fleet.client.exists("{shop}:control")

    def test_while_it_runs_it_may_wait(self, fleet: Fleet, purge: JobDefinition) -> None:
        fleet.claimed(purge, "run-1")

        assert ("done", "request-1", "") == trigger(fleet, purge, "request-1", queue=True)

        assert Status.HELD == claim(fleet, purge, "run-2", fleet.two).status
        # Who finishes hears of it with the answer.
        assert "request-1" == fleet.finish(purge, "run-1").known.request
        assert Status.CLAIMED == claim(fleet, purge, "run-2", fleet.two).status
        fleet.finish(purge, "run-2", store=fleet.two)
        assert ["request-1", None] == [e.request for e in fleet.one.history(purge, 10)]

    def test_that_waits_for_a_held_job_is_no_skip(self, fleet: Fleet, purge: JobDefinition) -> None:
        fleet.claimed(purge, "run-1")
        trigger(fleet, purge, "request-1", queue=True)

        assert "" == claim(fleet, purge, "run-2", fleet.two).noted

        assert "count_skip_held" not in fleet.stored(purge)["state"]

    def test_a_run_whose_lease_is_over_refuses_none(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        fleet.claimed(purge, "run-1")
        fleet.lease_ends(purge)

        assert "done" == trigger(fleet, purge, "request-1").status

    def test_a_second_one_joins_the_first(self, fleet: Fleet, purge: JobDefinition) -> None:
        trigger(fleet, purge, "request-1")

        assert ("done", "request-1", "") == trigger(fleet, purge, "request-2")
        assert ("done", "request-1", "") == trigger(fleet, purge, "request-3", queue=True)

        ran(fleet, purge, "run-1")
        assert Status.EARLY == claim(fleet, purge, "run-2").status

    def test_one_that_comes_while_another_is_answered_is_answered_after_it(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        trigger(fleet, purge, "request-1")
        claim(fleet, purge, "run-1")
        assert ("done", "request-2", "") == trigger(fleet, purge, "request-2", queue=True)
        fleet.finish(purge, "run-1")
        ran(fleet, purge, "run-2")

        assert ["request-2", "request-1"] == [e.request for e in fleet.one.history(purge, 10)]

    @pytest.mark.parametrize("passed_ms", [0, 1])
    @pytest.mark.parametrize("ran_before", [False, True])
    def test_of_two_that_know_it_one_takes_it(
        self, fleet: Fleet, purge: JobDefinition, passed_ms: int, ran_before: bool
    ) -> None:
        """Also where the clock stands still, and the last start tells nothing."""
        if ran_before:
            ran(fleet, purge, "run-0")
        trigger(fleet, purge, "request-1")
        one = knowing(fleet, purge, look(fleet, purge), "run-1")
        two = knowing(fleet, purge, look(fleet, purge, fleet.two), "run-2")

        assert Status.CLAIMED == ask(fleet.one, one).status
        fleet.finish(purge, "run-1")
        assert fleet.now_ms is not None
        fleet.now_ms += passed_ms

        assert Status.CHANGED == ask(fleet.two, two).status
        assert Status.EARLY == claim(fleet, purge, "run-3", fleet.two).status

    def test_of_two_that_know_it_the_second_finds_it_held(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        trigger(fleet, purge, "request-1")
        two = knowing(fleet, purge, look(fleet, purge, fleet.two), "run-2")
        claim(fleet, purge, "run-1")

        assert Status.CHANGED == ask(fleet.two, two).status
        assert Status.HELD == claim(fleet, purge, "run-2", fleet.two).status

    def test_the_same_claim_sent_twice_takes_it_once(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        trigger(fleet, purge, "request-1")
        question = knowing(fleet, purge, look(fleet, purge), "run-1")

        assert Status.CLAIMED == ask(fleet.one, question).status
        assert Status.AGAIN == ask(fleet.one, question).status

        assert "request-1" == fleet.stored(purge)["state"]["request"]

    def test_one_that_is_paused_runs_and_stays_paused(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        control(fleet, purge, "pause", "-", "")
        assert Status.PAUSED == claim(fleet, purge, "run-1").status
        trigger(fleet, purge, "request-1")

        ran(fleet, purge, "run-1")

        fleet.now_ms = NOON + MINUTE + 1
        assert Status.PAUSED == claim(fleet, purge, "run-2").status

    def test_one_that_is_quarantined_runs(self, fleet: Fleet, purge: JobDefinition) -> None:
        quarantined(fleet, purge)
        trigger(fleet, purge, "request-1")

        ran(fleet, purge, "run-1")

        assert 0 == look(fleet, purge).abandoned_in_row

    def test_one_that_was_abandoned_is_not_repeated(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        ran(fleet, purge, "run-0")
        trigger(fleet, purge, "request-1")
        claim(fleet, purge, "run-1")
        dies(fleet, purge, "run-1")

        assert "" == look(fleet, purge).request
        assert Status.EARLY == claim(fleet, purge, "run-2").status
        (entry, _) = fleet.one.history(purge, 10)
        assert ("request-1", Outcome.ABANDONED) == (entry.request, entry.outcome)

    def test_one_that_recovers_is_repeated_once(self, fleet: Fleet) -> None:
        careful = job(recover=True)
        ran(fleet, careful, "run-0")
        fleet.now_ms = NOON + 10_000
        trigger(fleet, careful, "request-1")
        claim(fleet, careful, "run-1")
        dies(fleet, careful, "run-1")

        answer = claim(fleet, careful, "run-2")

        assert (Status.CLAIMED, NOON + 10_000) == (answer.status, answer.due_ms)
        fleet.finish(careful, "run-2")
        assert Status.EARLY == claim(fleet, careful, "run-3").status

    def test_repeating_it_serves_no_due_time_of_the_schedule(self, fleet: Fleet) -> None:
        """Else the due times before it would not be made good."""
        all_of_them = job(cron("* * * * *"), misfire="all", recover=True)
        control(fleet, all_of_them, "reset")
        ran(fleet, all_of_them, "run-0")
        fleet.now_ms = NOON + 10 * MINUTE
        trigger(fleet, all_of_them, "request-1")
        claim(fleet, all_of_them, "run-1")
        dies(fleet, all_of_them, "run-1")

        ran(fleet, all_of_them, "run-2")

        assert NOON == look(fleet, all_of_them).served_ms
        # NOON is 20 seconds after a minute.
        assert NOON + 40_000 == claim(fleet, all_of_them, "run-3").due_ms

    def test_a_run_by_hand_leaves_it_there(self, fleet: Fleet, purge: JobDefinition) -> None:
        trigger(fleet, purge, "request-1")
        by_hand = Ask(purge, "run-1", ANY, LONG_AGO, BY_HAND)
        assert Status.CLAIMED == ask(fleet.one, by_hand).status
        fleet.finish(purge, "run-1")

        ran(fleet, purge, "run-2")

        assert ["request-1", None] == [e.request for e in fleet.one.history(purge, 10)]


class TestByHand:
    def test_it_asks_neither_when_nor_whether_it_is_paused(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        ran(fleet, purge, "run-1")
        control(fleet, purge, "pause", "-", "")

        answer = ask(fleet.one, Ask(purge, "run-2", ANY, LONG_AGO, BY_HAND))

        assert (Status.CLAIMED, NOON) == (answer.status, answer.due_ms)

    def test_not_while_it_runs_and_that_is_no_skip(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        fleet.claimed(purge, "run-1")

        answer = ask(fleet.two, Ask(purge, "run-2", ANY, LONG_AGO, BY_HAND))

        assert (Status.HELD, "run-1", "") == (answer.status, answer.known.running, answer.noted)


class TestPause:
    def test_nothing_of_the_schedule_runs_until_it_is_resumed(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        assert "done" == control(fleet, purge, "pause", "-", "the disk is full").status

        for minutes in (0, 10, 10_000_000):
            fleet.now_ms = NOON + minutes * MINUTE
            assert Status.PAUSED == claim(fleet, purge, "run-1").status
        assert "the disk is full" == fleet.stored(purge)["state"]["pause_reason"]

        control(fleet, purge, "resume")
        assert Status.CLAIMED == claim(fleet, purge, "run-1").status
        assert not {"paused", "pause_reason"} & set(fleet.stored(purge)["state"])

    def test_it_ends_by_itself(self, fleet: Fleet, purge: JobDefinition) -> None:
        control(fleet, purge, "pause", str(NOON + MINUTE), "lunch")
        fleet.now_ms = NOON + MINUTE - 1
        assert Status.PAUSED == claim(fleet, purge, "run-1").status

        fleet.now_ms = NOON + MINUTE

        answer = claim(fleet, purge, "run-1")
        assert (Status.CLAIMED, None) == (answer.status, answer.known.touched)
        assert not {"paused", "pause_reason"} & set(fleet.stored(purge)["state"])

    def test_a_later_one_takes_the_place_of_the_first(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        control(fleet, purge, "pause", str(NOON + 1), "lunch")
        control(fleet, purge, "pause", "-", "")
        fleet.now_ms = NOON + MINUTE

        assert Status.PAUSED == claim(fleet, purge, "run-1").status
        assert "" == fleet.stored(purge)["state"]["pause_reason"]

    def test_what_nobody_can_read_pauses_until_it_is_resumed(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        fleet.client.hset(purge.keys.state, "paused", "till tuesday")

        assert Status.PAUSED == claim(fleet, purge, "run-1").status

    def test_what_runs_goes_on(self, fleet: Fleet, purge: JobDefinition) -> None:
        fleet.claimed(purge, "run-1")
        control(fleet, purge, "pause", "-", "")

        assert fleet.renew(purge, "run-1")
        assert "finished" == fleet.finish(purge, "run-1").status

    def test_early_is_said_first(self, fleet: Fleet, purge: JobDefinition) -> None:
        ran(fleet, purge, "run-1")
        control(fleet, purge, "pause", "-", "")

        assert Status.EARLY == claim(fleet, purge, "run-2").status
        assert "count_skip_paused" not in fleet.stored(purge)["state"]

    def test_a_due_time_that_passes_is_counted_once(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        ran(fleet, purge, "run-1")
        control(fleet, purge, "pause", "-", "")
        fleet.now_ms = NOON + 3 * MINUTE
        question = knowing(fleet, purge, look(fleet, purge), "run-2")

        noted = [ask(store, question).noted for store in (fleet.one, fleet.two, fleet.one)]

        assert [f"paused:{NOON + MINUTE}", "", ""] == noted
        assert "1" == fleet.stored(purge)["state"]["count_skip_paused"]


class TestResume:
    def test_it_ends_a_quarantine(self, fleet: Fleet, purge: JobDefinition) -> None:
        quarantined(fleet, purge)
        known = look(fleet, purge)
        assert quarantined_until_ms(known.abandoned_in_row, known.abandoned_ms, 3) is not None
        before = knowing(fleet, purge, known, "run-1")

        assert "done" == control(fleet, purge, "resume").status

        after = look(fleet, purge)
        assert (0, None) == (after.abandoned_in_row, after.abandoned_ms)
        # Who knew of the quarantine asks again.
        fleet.now_ms = NOON + MINUTE + 1
        assert Status.CHANGED == ask(fleet.two, before).status
        assert Status.CLAIMED == claim(fleet, purge, "run-1").status

    def test_a_job_that_is_not_paused_stays_as_it_is(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        ran(fleet, purge, "run-1")
        before = fleet.stored(purge)

        assert "done" == control(fleet, purge, "resume").status

        assert before == fleet.stored(purge)


class TestReset:
    @pytest.mark.parametrize(
        "definition",
        [
            job(),
            job(every(minutes=1, after="finish")),
            job(every(hours=1, align=True)),
            job(cron("0 0 * * *")),
            job(cron("0 0 * * *"), misfire="skip"),
            job(cron("0 0 * * *"), misfire="all"),
        ],
        ids=lambda definition: f"{definition.schedule}, {definition.policies.misfire}",
    )
    def test_it_makes_a_job_due_at_once(self, fleet: Fleet, definition: JobDefinition) -> None:
        fleet.client.set(definition.keys.sync_key, NOON // 1000)
        assert Status.EARLY == claim(fleet, definition, "run-1").status

        assert "done" == control(fleet, definition, "reset").status

        answer = claim(fleet, definition, "run-1")
        assert (Status.CLAIMED, NOON) == (answer.status, answer.due_ms)
        fleet.finish(definition, "run-1")
        # Once: then the schedule rules again.
        fleet.now_ms = NOON + 1
        assert Status.EARLY == claim(fleet, definition, "run-2").status

    def test_while_it_runs_it_is_due_when_that_has_ended(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        fleet.claimed(purge, "run-1")
        fleet.now_ms = NOON + 5000

        assert "done" == control(fleet, purge, "reset").status

        assert Status.HELD == claim(fleet, purge, "run-2", fleet.two).status
        assert fleet.renew(purge, "run-1")
        assert fleet.finish(purge, "run-1").known.last_ms is None
        assert Status.CLAIMED == claim(fleet, purge, "run-2", fleet.two).status

    def test_the_run_that_goes_on_keeps_its_start(self, fleet: Fleet, purge: JobDefinition) -> None:
        fleet.claimed(purge, "run-1")
        fleet.now_ms = NOON + 5000
        control(fleet, purge, "reset")

        again = ask(fleet.one, Ask(purge, "run-1", "-", LONG_AGO, 0))
        fleet.finish(purge, "run-1")

        assert (Status.AGAIN, NOON) == (again.status, again.known.last_ms)
        (entry,) = fleet.one.history(purge, 10)
        assert (NOON / 1000, NOON / 1000 + 5) == (entry.started_at, entry.finished_at)

    def test_a_give_back_leaves_it_due(self, fleet: Fleet, purge: JobDefinition) -> None:
        ran(fleet, purge, "run-0")
        fleet.now_ms = NOON + 10 * MINUTE
        fleet.claimed(purge, "run-1", NOON)
        control(fleet, purge, "reset")

        assert fleet.give_back(purge, "run-1")

        known = look(fleet, purge)
        assert (None, 0) == (known.last_ms, due_again(purge, known, fleet.now_ms).at_ms)

    def test_it_ends_a_quarantine_and_leaves_a_pause(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        quarantined(fleet, purge)
        control(fleet, purge, "pause", "-", "")

        control(fleet, purge, "reset")

        assert 0 == look(fleet, purge).abandoned_in_row
        assert Status.PAUSED == claim(fleet, purge, "run-1").status

    def test_it_mends_a_key_that_cannot_be_read(self, fleet: Fleet, purge: JobDefinition) -> None:
        fleet.client.set(purge.keys.sync_key, "yesterday")

        assert "done" == control(fleet, purge, "reset").status

        assert Status.CLAIMED == claim(fleet, purge, "run-1").status

    @pytest.mark.parametrize("what", ["trigger", "pause", "resume", "cancel"])
    def test_no_other_control_touches_a_job_that_cannot_be_read(
        self, fleet: Fleet, purge: JobDefinition, what: str
    ) -> None:
        fleet.client.set(purge.keys.sync_key, "yesterday")
        before = fleet.stored(purge)

        answer = control(fleet, purge, what, "-", "")

        assert ("corrupt", True) == (answer.status, "yesterday" in answer.detail)
        assert before == fleet.stored(purge)

    @pytest.mark.parametrize("what", ["trigger", "pause", "resume", "reset", "cancel"])
    def test_a_state_of_a_wrong_type_is_told(
        self, fleet: Fleet, purge: JobDefinition, what: str
    ) -> None:
        fleet.client.set(purge.keys.state, "what is this?")

        answer = control(fleet, purge, what, "-", "")

        assert ("corrupt", True) == (answer.status, purge.keys.state in answer.detail)


class TestCancel:
    def test_nothing_runs(self, fleet: Fleet, purge: JobDefinition) -> None:
        ran(fleet, purge, "run-1")
        before = fleet.stored(purge)

        assert ("idle", "", "") == control(fleet, purge, "cancel")
        assert before == fleet.stored(purge)

    def test_a_run_whose_lease_is_over_is_nothing_that_runs(
        self, fleet: Fleet, purge: JobDefinition
    ) -> None:
        fleet.claimed(purge, "run-1")
        fleet.lease_ends(purge)

        assert "idle" == control(fleet, purge, "cancel").status

    def test_every_look_tells_which_run_it_is(self, fleet: Fleet, purge: JobDefinition) -> None:
        fleet.claimed(purge, "run-1")

        assert ("done", "run-1", "one") == control(fleet, purge, "cancel", store=fleet.two)

        for store in (fleet.one, fleet.two):
            touched = look(fleet, purge, store).touched
            assert touched is not None
            assert "run-1" == touched.cancel

    @pytest.mark.parametrize("end", ["finished", "abandoned", "given back"])
    def test_it_never_means_the_next_run(
        self, fleet: Fleet, purge: JobDefinition, end: str
    ) -> None:
        fleet.claimed(purge, "run-1")
        control(fleet, purge, "cancel")
        if end == "finished":
            fleet.finish(purge, "run-1")
        elif end == "abandoned":
            dies(fleet, purge, "run-1")
        else:
            fleet.give_back(purge, "run-1")
        fleet.now_ms = NOON + 10 * MINUTE

        answer = claim(fleet, purge, "run-2")

        assert (Status.CLAIMED, None) == (answer.status, answer.known.touched)
        assert "cancel" not in fleet.stored(purge)["state"]
