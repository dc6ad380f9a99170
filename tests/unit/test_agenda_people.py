"""What people do to jobs, what passed without a run, and when the agenda asks for it."""

from __future__ import annotations

from typing import Any

import pytest

from jobrunner import Schedule, cron, every
from jobrunner.engine.agenda import Agenda, Entry
from jobrunner.engine.due import LONG_AGO_MS, NEVER_MS
from jobrunner.job import FunctionJob, JobDefinition
from jobrunner.run import Skip
from jobrunner.store.answers import OF_REQUEST, Known, Touched

from .agendas import CHECK, MINUTE, NOON, agenda_of, known, learnt, nothing, take


def job(schedule: Schedule | None = None, **policies: Any) -> JobDefinition:
    written = FunctionJob(nothing, schedule or every(minutes=1), name="a", **policies)
    return JobDefinition.of(written, "shop")


def touched(what: Known, paused: str = "", request: str = "") -> Known:
    return what._replace(touched=Touched(paused, request, ""))


OVERDUE = NOON + 60 * MINUTE


class TestPaused:
    def test_and_due_it_is_asked_about_when_the_pause_is_over(self) -> None:
        until_ms = OVERDUE + 5 * MINUTE
        agenda, _ = learnt(job(), touched(known(NOON), str(until_ms)), OVERDUE)

        assert until_ms + 1 == agenda.next_ms()
        assert ([], []) == take(agenda, until_ms)
        assert (["a"], []) == take(agenda, until_ms + 1)

    @pytest.mark.parametrize("paused", ["-", "till tuesday"])
    def test_until_a_person_resumes_it_it_is_not_asked_about(self, paused: str) -> None:
        agenda, entry = learnt(job(), touched(known(NOON), paused), OVERDUE)

        assert NEVER_MS == agenda.next_ms()
        assert [entry] == agenda.take_slice(1), "the rolling look comes by"

    def test_its_due_time_is_told_when_it_comes(self) -> None:
        agenda, _ = learnt(job(), touched(known(NOON), "-"))

        assert NOON + MINUTE + 1 == agenda.next_ms()

    def test_a_pause_that_is_over_and_not_taken_away_yet_hinders_nothing(self) -> None:
        agenda, _ = learnt(job(), touched(known(NOON), str(OVERDUE - 1)), OVERDUE)

        assert (["a"], []) == take(agenda, OVERDUE)

    def test_a_request_is_asked_about_at_once(self) -> None:
        agenda, entry = learnt(job(), touched(known(NOON), "-", "request-1"), NOON)

        assert (["a"], []) == take(agenda, NOON)
        assert OF_REQUEST == entry.due_ms

    def test_and_running_its_lease_is_watched(self) -> None:
        paused = touched(known(NOON, "run-1", 300), "-")
        agenda, _ = learnt(job(), paused, OVERDUE)

        assert OVERDUE + 300 == agenda.next_ms()

    def test_what_is_expected_of_it_is_watched(self) -> None:
        expected = touched(known(NOON), "-")._replace(succeeded_ms=NOON)
        agenda, _ = learnt(job(expect=2 * 3600), expected, OVERDUE)

        assert NOON + 120 * MINUTE == agenda.next_ms()


class TestARequest:
    def test_of_a_job_that_runs_waits_and_is_looked_at_well_within_a_check_interval(self) -> None:
        agenda, _ = learnt(job(), touched(known(NOON, "run-1", 30_000), "", "request-1"))

        assert NOON + 3 * CHECK // 4 == agenda.next_ms()

    def test_goes_before_a_quarantine(self) -> None:
        quarantined = known(NOON)._replace(abandoned_in_row=3, abandoned_ms=NOON)
        agenda, entry = learnt(job(), touched(quarantined, "", "request-1"))

        assert LONG_AGO_MS == entry.early_until_ms
        assert (["a"], []) == take(agenda, NOON)

    def test_is_never_too_late(self) -> None:
        _, entry = learnt(job(grace=1), touched(known(NOON), "", "request-1"), OVERDUE)

        assert not entry.is_late(OVERDUE + 10 * MINUTE)


class TestPutOff:
    def due(self) -> tuple[Agenda, Entry]:
        agenda, entry = learnt(job(), known(NOON), OVERDUE)
        assert (["a"], []) == take(agenda, OVERDUE)
        agenda.put_off(entry, OVERDUE)
        agenda.learn(entry, known(NOON), OVERDUE)
        return agenda, entry

    def test_it_is_due_again_after_the_check_interval(self) -> None:
        agenda, _ = self.due()

        assert OVERDUE + CHECK == agenda.next_ms()
        assert ([], []) == take(agenda, OVERDUE + CHECK - 1)
        assert (["a"], []) == take(agenda, OVERDUE + CHECK)

    def test_whatever_is_learnt_meanwhile(self) -> None:
        agenda, entry = self.due()

        agenda.learn(entry, known(NOON), OVERDUE + 10)

        assert OVERDUE + CHECK == agenda.next_ms()

    def test_not_for_as_long_as_a_clock_was_ahead(self) -> None:
        agenda, entry = self.due()

        agenda.learn(entry, known(NOON), OVERDUE - 30 * MINUTE)

        assert (["a"], []) == take(agenda, OVERDUE - 30 * MINUTE)

    def test_it_is_over_when_a_person_wants_to_know(self) -> None:
        agenda, _ = self.due()

        agenda.put_off_no_more()

        assert (["a"], []) == take(agenda, OVERDUE)

    def test_a_claim_without_an_answer_stays_where_it_is(self) -> None:
        agenda, entry = self.due()
        entry.run_id = "run-1"
        agenda.put_first(entry)

        agenda.put_off_no_more()

        assert agenda.has_waiting
        assert (["a"], []) == take(agenda, OVERDUE)
        assert ([], []) == take(agenda, OVERDUE)


class TestNotes:
    def test_a_misfire_is_told_at_once_and_not_again(self) -> None:
        daily = job(cron("0 0 * * *"), misfire="skip")
        agenda, entry = learnt(daily, known(NOON - 2 * 24 * 60 * MINUTE), NOON)
        times = "1699833600000,1699920000000"

        assert NOON == agenda.next_ms()
        assert f"misfired:{times}" == entry.ask().note
        entry.has_told(entry.ask().note)
        agenda.learn(entry, known(NOON - 2 * 24 * 60 * MINUTE), NOON)

        assert "" == entry.ask().note
        assert 1_700_006_400_000 == agenda.next_ms()

    def test_several_are_told_one_after_the_other_and_none_again(self) -> None:
        _, entry = learnt(job(), known(NOON))
        told = []
        for _ in range(4):
            entry.tell(Skip.QUARANTINED, NOON)
            entry.tell(Skip.MISFIRED, NOON, NOON + 1)
            entry.tell(Skip.WHEN, NOON)
            told.append(entry.ask().note)
            entry.has_told(told[-1])

        misfired = f"misfired:{NOON},{NOON + 1}"
        assert [f"quarantined:{NOON}", misfired, f"when:{NOON}", ""] == told

    def test_while_one_waits_it_is_asked_at_once(self) -> None:
        agenda, entry = learnt(job(), known(NOON))
        entry.tell(Skip.QUARANTINED, NOON)

        agenda.learn(entry, known(NOON), NOON + 1)

        assert NOON + 1 == agenda.next_ms()

    def test_what_comes_while_it_is_told_is_told_next(self) -> None:
        _, entry = learnt(job(), known(NOON))
        entry.tell(Skip.WHEN, NOON)
        sent = entry.ask().note
        entry.tell(Skip.WHEN, NOON + MINUTE)

        entry.has_told(sent)

        assert f"when:{NOON + MINUTE}" == entry.ask().note

    def test_of_a_due_time_after_it_there_is_one_again(self) -> None:
        _, entry = learnt(job(), known(NOON))
        entry.tell(Skip.WHEN, NOON)
        entry.has_told(entry.note)
        assert not entry.tell(Skip.WHEN, NOON)

        assert entry.tell(Skip.WHEN, NOON + MINUTE)


class TestExpected:
    def test_asked_at_the_moment_at_which_the_success_is_missing(self) -> None:
        agenda, entry = learnt(
            job(every(hours=5), expect=3600), known(NOON)._replace(succeeded_ms=NOON + 7)
        )

        assert NOON + 7 + 60 * MINUTE == agenda.next_ms()
        assert "" == entry.note

    def test_then_it_is_told_once(self) -> None:
        definition = job(every(hours=5), expect=3600)
        what = known(NOON)._replace(succeeded_ms=NOON)
        agenda, entry = learnt(definition, what, OVERDUE)

        assert (OVERDUE, f"overdue:{NOON}") == (agenda.next_ms(), entry.note)
        entry.has_told(entry.note)
        # Somebody else's finish has made it new, or this one was the first: no matter.
        agenda.learn(entry, what, OVERDUE + 1)
        assert ("", NOON + 300 * MINUTE + 1) == (entry.note, agenda.next_ms())

    def test_not_when_it_is_noted_already(self) -> None:
        what = known(NOON)._replace(succeeded_ms=NOON, is_overdue=True)
        agenda, entry = learnt(job(every(hours=5), expect=3600), what, OVERDUE)

        assert ("", NOON + 300 * MINUTE + 1) == (entry.note, agenda.next_ms())

    @pytest.mark.parametrize("begins_ms", [0, -5000])
    def test_by_a_clock_that_begins_at_zero(self, begins_ms: int) -> None:
        _, entry = learnt(
            job(every(hours=5), expect=60),
            known(begins_ms, first_seen_ms=begins_ms),
            begins_ms + MINUTE,
        )

        assert f"overdue:{begins_ms}" == entry.note


class TestAfterTheFinish:
    SCHEDULE = every(minutes=1, after="finish")

    def test_while_it_runs_it_is_looked_at_within_each_check_interval(self) -> None:
        running = known(NOON, "run-1", 30_000)
        agenda, entry = learnt(job(self.SCHEDULE), running)

        for now_ms in (NOON, NOON + 10 * MINUTE):
            agenda.learn(entry, running, now_ms)
            again_ms = now_ms + 3 * CHECK // 4
            assert again_ms == agenda.next_ms()
            assert ([], ["a"]) == take(agenda, again_ms), "it cannot be due yet"

    def test_or_when_its_lease_ends(self) -> None:
        agenda, _ = learnt(job(self.SCHEDULE), known(NOON, "run-1", 200))

        assert NOON + 200 == agenda.next_ms()

    def test_it_is_due_after_the_finish(self) -> None:
        finished = known(NOON)._replace(finished_ms=NOON + 9 * MINUTE)
        agenda, entry = learnt(job(self.SCHEDULE), finished, NOON + 9 * MINUTE)

        assert NOON + 10 * MINUTE + 1 == agenda.next_ms()
        assert (["a"], []) == take(agenda, NOON + 10 * MINUTE + 1)
        assert NOON + 10 * MINUTE == entry.due_ms


class TestTooLate:
    """The grace may be over while a job waits for a slot."""

    def test_its_due_time_passed_while_it_waited(self) -> None:
        hourly = job(cron("0 * * * *"), misfire="skip", grace=60)
        agenda, entry = learnt(hourly, known(NOON))
        due_ms = entry.due_ms
        assert ([], []) == take(agenda, due_ms, slots=0)
        assert agenda.has_waiting

        assert (["a"], []) == take(agenda, due_ms + MINUTE + 1)

        assert not entry.is_late(due_ms + MINUTE)
        assert entry.is_late(due_ms + MINUTE + 1)
        agenda.learn(entry, known(NOON), due_ms + MINUTE + 1)
        assert (due_ms + 60 * MINUTE, f"misfired:{due_ms}") == (entry.due_ms, entry.note)
        assert not entry.is_late(due_ms + MINUTE + 1)

    def test_without_a_grace_nothing_is(self) -> None:
        _, entry = learnt(job(cron("0 * * * *")), known(NOON))

        assert not entry.is_late(OVERDUE + 1_000_000 * MINUTE)

    @pytest.mark.parametrize("policies", [{"misfire": "skip"}, {"grace": 1}])
    def test_what_is_repeated_is_not(self, policies: dict[str, Any]) -> None:
        """Its run was in time; how long that lived before it was abandoned is no matter."""
        abandoned = known(NOON)._replace(abandoned_due_ms=NOON, abandoned_in_row=1)
        agenda, entry = learnt(
            job(recover=True, **policies), abandoned._replace(abandoned_ms=OVERDUE), OVERDUE
        )

        assert (["a"], []) == take(agenda, OVERDUE)
        assert NOON == entry.due_ms
        assert not entry.is_late(OVERDUE)

    def test_its_next_due_time_is(self) -> None:
        _, entry = learnt(job(recover=True, grace=1), known(NOON))

        assert entry.is_late(OVERDUE)


def test_what_replaces_a_job_knows_nothing_of_its_notes() -> None:
    agenda = agenda_of(job())
    old = agenda.entry("a")
    assert old is not None
    old.tell(Skip.WHEN, NOON)
    agenda.sync([job()], {})

    new = agenda.entry("a")

    assert new is not None
    assert "" == new.note
