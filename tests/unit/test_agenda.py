"""The agenda: when may each job be due? Milliseconds in, questions out; no clock, no Redis."""

from __future__ import annotations

from jobrunner import cron, every
from jobrunner.engine.agenda import Agenda
from jobrunner.store.answers import NEVER, UNKNOWN

from .agendas import MINUTE, NOON, agenda_of, job, known, learnt, names, take


class TestTheMoments:
    def test_a_new_job_is_looked_at_first_at_once(self) -> None:
        agenda = agenda_of(job("a"), job("b"))

        assert 0 == agenda.next_ms()
        claims, looks = agenda.take_due(NOON, 100, 500)
        assert ([], ["a", "b"]) == (names(claims), names(looks))
        assert [(UNKNOWN, "")] * 2 == [e.ask()[2:0:-1] for e in looks]
        assert agenda.next_ms() is None

    def test_a_job_that_never_ran_is_claimed_at_once(self) -> None:
        agenda, entry = learnt(job("a"), known(None))

        assert ["a"] == take(agenda, NOON)[0]
        assert (NEVER, 0) == (entry.computed_from, entry.due_ms)

    def test_what_is_not_due_is_not_asked_about(self) -> None:
        agenda, entry = learnt(job("a"), known(NOON))

        assert NOON + MINUTE + 1 == agenda.next_ms()
        assert ([], []) == take(agenda, NOON + MINUTE)
        assert (["a"], []) == take(agenda, NOON + MINUTE + 1)
        assert (str(NOON), NOON + MINUTE) == (entry.computed_from, entry.due_ms)
        assert NOON + MINUTE == entry.early_until_ms

    def test_the_earliest_comes_first_and_what_is_taken_is_gone(self) -> None:
        late, soon, now = (
            job("late", every(minutes=3)),
            job("soon", every(minutes=2)),
            job("now", every(minutes=1)),
        )
        agenda = agenda_of(late, soon, now)
        for entry in agenda.everything():
            agenda.learn(entry, known(NOON), NOON)

        assert (["now", "soon"], []) == take(agenda, NOON + 2 * MINUTE + 1)
        assert NOON + 3 * MINUTE + 1 == agenda.next_ms()
        assert (["late"], []) == take(agenda, NOON + 9 * MINUTE)
        assert ([], []) == take(agenda, NOON + 9 * MINUTE)

    def test_the_moment_put_last_is_the_one_that_counts(self) -> None:
        agenda, entry = learnt(job("a"), known(NOON))

        agenda.put(entry, NOON + 5)
        agenda.put(entry, NOON + 9)

        assert NOON + 9 == agenda.next_ms()
        assert ([], []) == take(agenda, NOON + 8)
        assert ([], ["a"]) == take(agenda, NOON + 9)
        assert ([], []) == take(agenda, NOON + 10 * MINUTE), "an old moment came back"

    def test_a_cron_job_is_due_from_its_moment_on(self) -> None:
        # NOON is 22:13:20 UTC.
        agenda, entry = learnt(job("a", cron("15 22 * * *")), known(None))
        quarter_past = NOON + 100_000

        assert quarter_past == agenda.next_ms() == entry.due_ms
        assert (["a"], []) == take(agenda, quarter_past)

    def test_no_more_than_the_limit_is_taken(self) -> None:
        agenda = agenda_of(*(job(f"job-{n}") for n in range(5)))

        assert [2, 2, 1, 0] == [len(take(agenda, NOON, limit=2)[1]) for _ in range(4)]

    def test_looking_at_a_job_again_and_again_makes_the_agenda_no_longer(self) -> None:
        """A job that is due in a week is looked at each minute by every instance."""
        agenda = agenda_of(job("a", every(weeks=1)), job("b", every(weeks=1)))
        first, second = agenda.everything()
        agenda.learn(first, known(NOON), NOON)
        agenda.learn(second, known(NOON), NOON)
        length = len(agenda._moments)

        for n in range(50):
            agenda.learn(first, known(NOON), NOON + n)
        assert length == len(agenda._moments)
        for n in range(2000):
            agenda.learn(first, known(NOON), NOON + n)
            agenda.learn(second, known(NOON, "run-1", 30_000), NOON + n)
            agenda.take_due(0, 100, 500)

        assert len(agenda._moments) < 200
        week = 7 * 24 * 60 * MINUTE
        assert ([], ["b"]) == take(agenda, NOON + week)
        assert (["a"], []) == take(agenda, NOON + week + 1)


class TestWaitingForASlot:
    def agenda(self, number: int) -> Agenda:
        agenda = agenda_of(*(job(f"job-{n}") for n in range(number)))
        for n, entry in enumerate(agenda.everything()):
            agenda.learn(entry, known(NOON + n), NOON)
        return agenda

    def test_they_are_served_in_the_order_in_which_they_came_due(self) -> None:
        agenda, later = self.agenda(5), NOON + 2 * MINUTE
        assert not agenda.has_waiting

        assert ["job-0", "job-1"] == take(agenda, later, slots=2)[0]
        assert agenda.has_waiting
        assert [] == take(agenda, later, slots=0)[0]
        assert ["job-2", "job-3"] == take(agenda, later, slots=2)[0]
        assert ["job-4"] == take(agenda, later, slots=2)[0]
        assert not agenda.has_waiting

    def test_who_waits_goes_before_who_comes_later(self) -> None:
        agenda = agenda_of(job("a"), job("b"))
        first, second = agenda.everything()
        agenda.learn(first, known(NOON), NOON)
        agenda.learn(second, known(NOON + 1), NOON)
        assert ([], []) == take(agenda, NOON + MINUTE + 1, slots=0)  # only a has come due

        assert ["a"] == take(agenda, NOON + 2 * MINUTE, slots=1)[0]
        assert ["b"] == take(agenda, NOON + 2 * MINUTE, slots=1)[0]

    def test_none_is_taken_twice(self) -> None:
        agenda, later = self.agenda(3), NOON + 2 * MINUTE
        take(agenda, later, slots=0)
        # Looked at meanwhile, which puts it into the heap: it must not stand in both.
        for entry in agenda.everything():
            agenda.learn(entry, known(NOON), later)

        claims, looks = take(agenda, later, slots=100)

        assert ["job-0", "job-1", "job-2"] == sorted(claims)
        assert [] == looks
        assert ([], []) == take(agenda, later)

    def test_a_look_is_no_claim_and_needs_no_slot(self) -> None:
        agenda = agenda_of(job("a"))

        assert ([], ["a"]) == take(agenda, NOON, slots=0)
        assert not agenda.has_waiting

    def test_who_waits_and_is_shelved_or_replaced_waits_no_more(self) -> None:
        agenda, later = self.agenda(3), NOON + 2 * MINUTE
        take(agenda, later, slots=0)
        shelved = agenda.entry("job-0")
        assert shelved is not None
        agenda.shelve(shelved)
        kept = [e.definition for e in agenda.everything() if e.definition.name != "job-1"]

        agenda.sync(kept, {})

        assert (["job-2"], []) == take(agenda, later, slots=100)


class TestTheRollingLook:
    def test_it_reaches_every_job_round_and_round(self) -> None:
        agenda = agenda_of(*(job(f"job-{n}") for n in range(5)))

        slices = [names(agenda.take_slice(2)) for _ in range(5)]

        assert [f"job-{n % 5}" for n in range(10)] == [name for part in slices for name in part]

    def test_no_slice_holds_a_job_twice(self) -> None:
        agenda = agenda_of(job("a"), job("b"))

        assert ["a", "b"] == names(agenda.take_slice(9))
        assert [] == names(agenda.take_slice(0))
        assert [] == names(agenda_of().take_slice(9))

    def test_it_reaches_what_is_shelved(self) -> None:
        agenda = agenda_of(job("a"))
        (entry,) = agenda.everything()
        agenda.shelve(entry)

        assert ([], []) == take(agenda, NOON)
        assert agenda.next_ms() is None
        assert ["a"] == names(agenda.take_slice(1)) == names(agenda.everything())
        assert UNKNOWN == entry.ask().computed_from


class TestFollowingTheRegistry:
    def test_a_new_job_is_asked_about_at_once_and_the_others_keep_their_moments(self) -> None:
        first = job("a")
        agenda, _ = learnt(first, known(NOON))

        agenda.sync([first, job("b")], {})

        assert ([], ["b"]) == take(agenda, NOON)
        assert NOON + MINUTE + 1 == agenda.next_ms()
        assert 2 == len(agenda)

    def test_a_replaced_job_starts_anew(self) -> None:
        agenda, old = learnt(job("a"), known(NOON))

        agenda.sync([job("a", every(seconds=5))], {})

        assert old is not agenda.entry("a")
        assert ([], ["a"]) == take(agenda, NOON)
        assert agenda.next_ms() is None, "the old one's moment is still there"

    def test_a_job_that_is_gone_is_not_asked_about(self) -> None:
        agenda, _ = learnt(job("a"), known(None))

        agenda.sync([], {})

        assert ([], []) == take(agenda, NOON)
        assert agenda.next_ms() is None
        assert agenda.entry("a") is None
        assert [] == agenda.take_slice(1) == agenda.everything()
