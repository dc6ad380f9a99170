"""What one tick has under way: the jobs in it, from the agenda to their answers. Pure."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import StoreError
from ..store.answers import Answer, Ask
from ..store.redis import MAX_BATCH
from .active import ActiveRun
from .agenda import Entry


class Answered(NamedTuple):
    """A call that is answered, of which nothing has been concluded yet."""

    batch: list[Entry]
    asks: list[Ask]
    answers: list[Answer | StoreError]
    #: Trust seconds.
    sent_at: float


class Tick:
    """One check of one instance. A job that was taken from the agenda stands in one of its lists
    until it has its answer, whatever goes wrong on the way.
    """

    def __init__(self, looks: list[Entry]) -> None:
        #: To be looked at besides.
        self.looks = looks
        #: Whether the last call looked at something that may be asked about otherwise, too.
        self.has_looked = False
        #: Put together, and not asked yet.
        self.ready: list[list[Entry]] = []
        #: Asked, and not answered yet.
        self.asked: list[list[Entry]] = []
        self.answered: Answered | None = None
        #: No answer came, because a part of Redis is away.
        self.unanswered: list[Entry] = []
        #: The runs that it started.
        self.started: list[ActiveRun] = []

    def taken_for_a_call(self) -> list[list[Entry]]:
        """The batches that are ready, and with the last of them as many looks as it may hold."""
        batches, self.ready = self.ready, []
        chosen = {id(entry) for batch in batches for entry in batch}
        last = batches[-1] if batches else []
        before = len(last)
        while self.looks and len(last) < MAX_BATCH:
            entry = self.looks.pop()
            # A claim without an answer is asked again only as a claim: it takes a slot.
            if id(entry) not in chosen and not entry.run_id:
                last.append(entry)
        self.has_looked = len(last) > before
        return batches or ([last] if last else [])

    @property
    def claims_open(self) -> int:
        """Claims that take a slot, or may have: those without an answer may have been granted."""
        return sum(bool(entry.run_id) for entry in self.without_answer())

    def without_answer(self) -> list[Entry]:
        """All of whom nothing has been concluded."""
        answered = [] if self.answered is None else self.answered.batch
        return [
            *self.unanswered,
            *answered,
            *(entry for batch in self.asked + self.ready for entry in batch),
        ]
