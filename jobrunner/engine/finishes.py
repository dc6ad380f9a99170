"""Runs that are over here and not yet in Redis, and how they get there.

They gather: the first to end sends for all that have ended, who ends meanwhile is sent by it next,
and when there is no load nobody waits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import islice
from typing import TypeVar

import gevent
from gevent.event import Event

from ..errors import StoreError
from ..job import JobDefinition
from ..store.answers import Ending, Known
from ..store.redis import MAX_BATCH, RedisStore
from .active import ActiveRun

Q = TypeVar("Q")
A = TypeVar("A")

logger = logging.getLogger("jobrunner")

#: Told of runs that are over; None: it was given back, or nothing is known of its job.
OnOver = Callable[[list[tuple[JobDefinition, Known | None]]], None]

#: So many are sent, and their answers taken in, in two calls.
_FEW, _SOME = 100, 50

#: Ended runs that wait for claims to be answered; what is more is sent at once.
_MOST_HELD_BACK = 100


class Finishes:
    """Of the runs of one instance."""

    def __init__(self, store: RedisStore, active: dict[str, ActiveRun]) -> None:
        self._store = store
        #: By run id; who is in Redis is taken out.
        self._active = active
        #: In the order in which they are to be sent. Without an ending a run never started.
        self._ended: dict[ActiveRun, Ending | None] = {}
        #: Set while nobody sends.
        self._sent = Event()
        self._sent.set()
        #: Set while no claims are under way.
        self._answered = Event()
        self._answered.set()
        #: Whether what has ended is dealt with in parts, so that requests come in between. Not on a
        #: busy hub: each part would have to wait for a turn of it.
        self.in_parts = True
        self.on_over: OnOver = lambda over: None

    def put(self, active: ActiveRun, ending: Ending | None) -> None:
        """A run has ended so; it is sent with the next ones."""
        self._ended[active] = ending

    def send_soon(self) -> None:
        """Send what has ended, unless somebody does already, or claims are under way. Without Redis
        it stays for the next tick.
        """
        held_back = not self._answered.is_set() and len(self._ended) < _MOST_HELD_BACK
        if not held_back and self._sent.is_set():  # else who sends takes this along
            self._flush_gathered()

    def flush(self, *, gather: bool = False) -> None:
        """Send what has ended to Redis, unless somebody is sending already. With `gather` those
        join who are ready to end, too: that is no turn of the loop.

        `StoreError` leaves it here, lease and all, for the next flush.
        """
        if not self._sent.is_set():
            return
        self._sent.clear()
        try:
            if gather:
                gevent.sleep(0)  # the first lines of who has not begun
                gevent.sleep(0)  # the last ones of who has ended
            while self._ended:
                in_parts = self.in_parts and len(self._ended) <= _FEW
                self._send(list(islice(self._ended.items(), _SOME if in_parts else MAX_BATCH)))
        finally:
            self._sent.set()

    def record(self, runs: list[ActiveRun]) -> None:
        """Return when the ends of these runs are in Redis; `StoreError` when that is away."""
        while any(active in self._ended for active in runs):
            self.flush()  # somebody may be sending already
            self._sent.wait()

    def wait(self) -> None:
        """Return when nobody sends any more."""
        self._sent.wait()

    def hold_back(self) -> None:
        """Claims are under way: what ends meanwhile is sent behind them, for jobs that are due wait
        for their answer, and nobody waits for that of a finish.
        """
        self._answered.clear()

    @property
    def are_held_back(self) -> bool:
        """Whether claims are under way."""
        return not self._answered.is_set()

    def wait_for_claims(self) -> None:
        """Return when the claims that are under way are answered."""
        self._answered.wait()

    def let_go(self) -> None:
        """The claims are answered: send what was held back, and what ends in this turn."""
        if self.are_held_back:
            self._answered.set()
            if self._ended:
                self._flush_gathered()

    def _flush_gathered(self) -> None:
        try:
            self.flush(gather=True)
        except StoreError:
            return  # the link has logged it; the next tick flushes again

    def _send(self, batch: list[tuple[ActiveRun, Ending | None]]) -> None:
        unstarted = [active for active, ending in batch if ending is None]
        finished = [active for active, ending in batch if ending is not None]
        endings = [ending for _, ending in batch if ending is not None]
        unanswered: list[tuple[ActiveRun, StoreError]] = []
        over: list[tuple[JobDefinition, Known | None]] = []
        if unstarted:
            claims = [(active.definition, active.run_id) for active in unstarted]
            for active, undone in _tried(self._store.give_back, claims, unstarted):
                if isinstance(undone, StoreError):
                    unanswered.append((active, undone))
                else:
                    self._forget(active)
                    over.append((active.definition, None))
        if finished:
            for active, answer in _tried(self._store.finish, endings, finished):
                if isinstance(answer, StoreError):
                    unanswered.append((active, answer))
                    continue
                _, known, problem = answer
                self._forget(active)
                over.append((active.definition, known))
                if problem:
                    logger.error("Job %s: %s", active.name, problem)
        if over:
            self.on_over(over)
        if unanswered:
            # A part of Redis may be away: what belongs to the others goes before these.
            for active, _ in unanswered:
                self._ended[active] = self._ended.pop(active)
            raise unanswered[0][1]

    def _forget(self, active: ActiveRun) -> None:
        del self._ended[active]
        self._active.pop(active.run_id, None)


def _tried(
    call: Callable[[list[Q]], list[A | StoreError]], questions: list[Q], whose: list[ActiveRun]
) -> list[tuple[ActiveRun, A | StoreError]]:
    """What the store answers for each; the error itself, where it answers nothing at all."""
    answers: list[A | StoreError]
    try:
        answers = call(questions)
    except StoreError as error:
        answers = [error] * len(questions)
    return list(zip(whose, answers, strict=True))
