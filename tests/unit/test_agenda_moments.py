"""The moment at which asking about a job is worth a question: due, or the end of a lease."""

from __future__ import annotations

import pytest

from jobrunner import Schedule, cron, every

from .agendas import CHECK, MINUTE, NOON, agenda_of, job, known, learnt, take


class TestSomebodyRunsIt:
    def test_the_end_of_the_lease_where_that_is_before_the_next_due_time(self) -> None:
        agenda, _ = learnt(job("a"), known(NOON, "run-1", 30_000), NOON + 5)

        assert NOON + 5 + 30_000 == agenda.next_ms()
        assert ([], ["a"]) == take(agenda, NOON + 5 + 30_000)

    def test_the_next_due_time_where_that_is_before_the_end_of_the_lease(self) -> None:
        agenda, _ = learnt(job("a", every(seconds=5)), known(NOON, "run-1", 30_000))

        assert NOON + 5001 == agenda.next_ms()

    def test_overdue_and_held_is_looked_at_again_well_within_a_check_interval(self) -> None:
        now_ms = NOON + 60 * MINUTE
        again_ms = now_ms + 3 * CHECK // 4
        agenda, _ = learnt(job("a"), known(NOON, "run-1", 30_000), now_ms)

        assert again_ms == agenda.next_ms()
        # It is a claim then: whoever holds it may have finished.
        assert (["a"], []) == take(agenda, again_ms)

    def test_overdue_and_held_for_less_than_that_is_looked_at_when_the_lease_ends(self) -> None:
        now_ms = NOON + 60 * MINUTE
        agenda, _ = learnt(job("a"), known(NOON, "run-1", 300), now_ms)

        assert now_ms + 300 == agenda.next_ms()


class TestALastStartInTheFuture:
    @pytest.mark.parametrize("schedule", [every(minutes=1), cron("* * * * *")])
    def test_far_ahead_was_written_by_a_wrong_clock_and_is_due_at_once(
        self, schedule: Schedule
    ) -> None:
        far_ms = NOON + schedule.future_tolerance_ms + 1
        agenda, entry = learnt(job("a", schedule), known(far_ms))

        assert entry.in_future
        assert (["a"], []) == take(agenda, NOON)
        # Due now, whenever that is, and never early.
        assert (str(far_ms), 0) == (entry.computed_from, entry.due_ms)
        assert entry.early_until_ms < 0

    @pytest.mark.parametrize("schedule", [every(minutes=1), cron("* * * * *")])
    def test_a_little_ahead_is_simply_not_due_yet(self, schedule: Schedule) -> None:
        near_ms = NOON + schedule.future_tolerance_ms
        agenda, entry = learnt(job("a", schedule), known(near_ms))

        assert not entry.in_future
        assert ([], []) == take(agenda, near_ms)
        next_ms = agenda.next_ms()
        assert next_ms is not None
        assert near_ms < next_ms

    def test_it_is_over_when_the_next_start_is_learnt(self) -> None:
        agenda, entry = learnt(job("a"), known(NOON + 10 * MINUTE))

        agenda.learn(entry, known(NOON), NOON)

        assert not entry.in_future
        assert NOON + MINUTE == entry.early_until_ms

    def test_far_in_the_past_is_due_once(self) -> None:
        agenda, entry = learnt(job("a"), known(-(10**14)))

        assert (["a"], []) == take(agenda, NOON)
        assert not entry.in_future


class TestAClockThatStartsAtZero:
    """A test's clock may begin at 0, or before."""

    @pytest.mark.parametrize("now_ms", [0, -5000])
    def test_a_job_that_never_ran_is_due_at_once(self, now_ms: int) -> None:
        agenda, _ = learnt(job("a"), known(None, first_seen_ms=now_ms), now_ms)

        assert (["a"], []) == take(agenda, now_ms)


class TestAScheduleThatRaises:
    class Broken(Schedule):
        def next_after(self, unix_seconds: float) -> float:
            raise OverflowError("date value out of range")

        def __str__(self) -> str:
            return "broken"

    def test_it_is_the_caller_s_to_see_and_leaves_the_others_alone(self) -> None:
        agenda = agenda_of(job("broken", self.Broken()), job("sound"))
        broken, sound = agenda.everything()
        agenda.learn(sound, known(NOON), NOON)

        with pytest.raises(OverflowError):
            agenda.learn(broken, known(NOON), NOON)
        agenda.shelve(broken)

        assert (["sound"], []) == take(agenda, NOON + MINUTE + 1)

    def test_a_cron_date_that_no_calendar_holds_raises(self) -> None:
        with pytest.raises((OverflowError, ValueError, OSError)):
            learnt(job("a", cron("* * * * *")), known(-999_999_999_998_001_000))
