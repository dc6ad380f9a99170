"""A scheduler whose Redis and executor note what they are asked. Time is the test's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from jobrunner import StoreError, every
from jobrunner.clock import RedisClock
from jobrunner.engine.scheduler import Scheduler
from jobrunner.job import FunctionJob, JobDefinition
from jobrunner.registry import Registry
from jobrunner.run import Run
from jobrunner.store.answers import Answer, Ask, Known, Status

from .agendas import NOON, nothing

LEASE_MS = 30_000

#: Trust second at which all jobs are due; at 0 none is.
DUE = 61.0


class Fleet:
    """A scheduler over a Redis and an executor that note what they are asked."""

    def __init__(self, number: int, *, slots: int = 10_000) -> None:
        self.trust = 0.0
        self.free_slots = slots
        #: What happened, in order: calls of so many jobs, "hold back", "let go".
        self.events: list[Any] = []
        self.on_over: Any = None
        self.calls: list[Sequence[Ask]] = []
        #: By how many milliseconds each of them may come before its time.
        self.ahead: list[int] = []
        self.runs: list[Run] = []
        #: When each of them is to begin, in trust seconds; None: at once.
        self.moments: list[float | None] = []
        self.call_takes = 0.0
        self.fails_at: set[int] = set()
        self.fails_with: BaseException = StoreError("this Redis is away")
        #: Called at each call, before it is answered.
        self.on_claim: Callable[[], object] = lambda: None
        self.says_again = False
        self.link = SimpleNamespace(up=True)
        self.living = 1
        self.registry = Registry("shop")
        # The last to be registered is due first.
        self.known: dict[str, Known] = {}
        for n in range(number):
            self.register(f"job {n}", NOON - n)
        clock = RedisClock(trust=lambda: self.trust)
        clock.heard(NOON, 0.0)
        us: Any = self
        keeper: Any = SimpleNamespace(trusted_until=lambda sent_at: sent_at + 30)
        self.scheduler = Scheduler(
            self.registry,
            us,
            us,
            keeper,
            instance="one",
            clock=clock,
            check_interval=1.0,
            resync_interval=1e9,
        )
        self.scheduler.tick()  # asks about all, to hear what Redis knows of them
        self.trust = DUE
        self.forget()

    def register(self, name: str, last_ms: int, **policies: Any) -> None:
        self.registry.register(FunctionJob(nothing, every(minutes=1), name=name, **policies))
        self.known[name] = Known(last_ms, NOON, None, 0)

    def forget(self) -> None:
        for noted in (self.calls, self.ahead, self.events, self.runs, self.moments):
            noted.clear()

    def pass_(self, seconds: float) -> None:
        """Time passes."""
        self.trust += seconds

    def asked(self) -> list[str]:
        return [ask.definition.name for call in self.calls for ask in call]

    # -- what the scheduler takes for its store

    def announce(self, definitions: object) -> dict[str, Any]:
        return {}

    def introduce(self, *who: object) -> None: ...

    def claim(self, asks: Sequence[Ask], *, ahead_ms: int = 0) -> list[Answer]:
        self.calls.append(asks)
        self.ahead.append(ahead_ms)
        self.events.append(len(asks))
        self.trust += self.call_takes
        self.on_claim()
        if len(self.calls) in self.fails_at:
            raise self.fails_with
        return [self.answer(ask, ahead_ms) for ask in asks]

    takes_rows = True

    def claim_in_a_row(
        self,
        batches: Sequence[Sequence[Ask]],
        meanwhile: Callable[[], object] | None = None,
        *,
        ahead_ms: int = 0,
    ) -> Iterator[list[Answer]]:
        if meanwhile is not None:
            meanwhile()
        for asks in batches:
            yield self.claim(asks, ahead_ms=ahead_ms)

    def give_back(self, claims: Sequence[object]) -> list[bool]:
        return [False] * len(claims)

    def answer(self, ask: Ask, ahead_ms: int) -> Answer:
        name = ask.definition.name
        known = self.known[name]
        if self.says_again:
            return Answer(Status.AGAIN, known, None, 1, ask.due_ms, "")
        if known.running:
            return Answer(Status.HELD, known, None, 0, 0, "")
        if not ask.run_id:
            return Answer(Status.DUE, known, None, 0, 0, "")
        now_ms = NOON + int(self.trust * 1000)
        start_ms = max(now_ms, ask.early_until_ms + 1)
        if start_ms > now_ms + ahead_ms:
            return Answer(Status.EARLY, known, None, 0, 0, "")
        known = self.known[name] = Known(start_ms, NOON, ask.run_id, LEASE_MS)
        return Answer(Status.CLAIMED, known, None, 1, ask.due_ms, "")

    # -- and for its executor, and what has ended there

    @property
    def finishes(self) -> Fleet:
        return self

    def flush(self) -> None: ...

    def active(self) -> list[Any]:
        return []

    def start(
        self, definition: JobDefinition, answer: Answer, trusted_until: float, moment: float | None
    ) -> Run:
        known = answer.known
        assert known.running is not None
        assert known.last_ms is not None
        run = Run(
            *(known.running, definition.name, "one", answer.token),
            *(answer.due_ms / 1000, known.last_ms / 1000),
        )
        self.free_slots -= 1
        self.runs.append(run)
        self.moments.append(moment)
        return run

    def prepare(self, number: int) -> None:
        self.events.append(f"prepare {number}")

    def runs_here(self, run_id: str | None) -> bool:
        return any(run.id == run_id for run in self.runs)

    def hold_back(self) -> None:
        self.events.append("hold back")

    def let_go(self) -> None:
        self.events.append("let go")


def due_first(number: int, skip: int = 0) -> list[str]:
    """The names of the jobs, in the order in which they came due."""
    return [f"job {n}" for n in reversed(range(number))][skip:]
