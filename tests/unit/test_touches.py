"""What people touch is looked at until Redis has answered."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from jobrunner.engine.agenda import Entry
from jobrunner.engine.touches import Touches
from jobrunner.store.answers import Control

from .agendas import agenda_of, job, names


class Ours:
    def __init__(self, *jobs: str) -> None:
        self.agenda = agenda_of(*map(job, jobs))
        executor: Any = SimpleNamespace(active=list)
        self.touches = Touches(self.agenda, executor)

    def hear(self, *named: str, everything: bool = False) -> None:
        self.touches.hear(Control("1-1", everything, named))

    def answered(self, name: str) -> None:
        self.touches.answered([Entry(job(name))])

    def owed(self) -> list[str]:
        return names(self.touches.owed())

    def heard(self) -> list[str]:
        return names(self.touches.heard())


def test_nothing() -> None:
    ours = Ours("a")

    assert [] == ours.owed() == ours.heard()


def test_heard_once_and_owed_until_it_is_answered() -> None:
    ours = Ours("a", "b")
    ours.hear("b", "a", "b")

    assert ["b", "a"] == ours.heard()
    assert [] == ours.heard()
    assert ["b", "a"] == ours.owed() == ours.owed()
    ours.answered("b")
    assert ["a"] == ours.owed()


def test_what_was_never_owed_is_answered_all_the_time() -> None:
    ours = Ours("a")

    ours.answered("a")

    assert [] == ours.owed()


def test_the_call_that_hears_of_it_does_not_answer_it() -> None:
    """On a Cluster its answers may come from before: they are of other slots."""
    ours = Ours("a")
    ours.hear("a")

    ours.answered("a")

    assert ["a"] == ours.owed()


def test_touched_anew_while_it_is_owed() -> None:
    ours = Ours("a")
    ours.hear("a")
    assert ["a"] == ours.heard()
    ours.hear("a")
    ours.answered("a")

    assert ["a"] == ours.heard()
    ours.answered("a")
    assert [] == ours.owed()


def test_everything_is_all_that_is_ours() -> None:
    ours = Ours("a", "b")
    ours.hear(everything=True)

    assert ["a", "b"] == ours.owed()


def test_no_job_of_ours_is_not_owed() -> None:
    ours = Ours("a")
    ours.hear("elsewhere", "a")
    assert ["a"] == ours.owed()

    ours.agenda.sync([job("a"), job("elsewhere")], {})

    assert ["a"] == ours.owed()
