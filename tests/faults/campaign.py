"""Rounds of faults over a fleet, from a seed: a burst of them, then quiet, then the judgement."""

import heapq
import itertools
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobrunner.errors import StoreError
from tests.faults import kinds
from tests.faults.effects import Effects
from tests.faults.fleet import CHECK, LEASE, Fleet
from tests.faults.judge import (
    Evidence,
    executed_together,
    objections,
    unrecorded,
    waited,
)
from tests.faults.kinds import Injected, Scene
from tests.faults.moments import moment_ms, wall_offset_ms
from tests.faults.witness import Seen
from tests.support.wait import wait_for

#: Faults of one round, and the seconds between two of them.
BURST, PAUSE = 20, (0.05, 0.4)

#: How many rounds lose data: it excuses what it touches, so that most must not.
LOSING = 0.2

#: The weight of a deploy in the choice of a fault.
DEPLOYS = 6

#: What a fault keeps busy: Redis, or places of workers.
Held = Sequence[object]

#: Milliseconds that a due job may wait after faults, by the promise; and what a machine with other
#: work may add.
PROMISED_MS = (LEASE + 2 * CHECK) * 1000
MARGIN_MS = 2000

#: Lines of the log that no fault may bring about.
UNWANTED = ("of jobrunner itself", "failed with", "Fatal Python error")


@dataclass
class Figures:
    """What a campaign did, and what it saw."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    runs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    #: Older runs that executed for a moment beside a newer one, their lease lost, and why.
    executed_together: Counter[str] = field(default_factory=Counter)
    #: Fenced runs: what they committed, and what was refused to a superseded one.
    commits: int = 0
    #: How long due jobs waited after the faults of a round, in milliseconds.
    waited_ms: list[float] = field(default_factory=list)
    objections: list[str] = field(default_factory=list)
    seconds: float = 0

    def as_json(self) -> dict[str, Any]:
        said = Counter(objection.split(":")[0].split(" of ")[0] for objection in self.objections)
        return {
            "seed": self.seed,
            "faults": sum(self.faults.values()),
            "faults_by_kind": dict(sorted(self.faults.items())),
            "rounds": self.rounds,
            "runs_started": self.runs,
            "outcomes": dict(sorted(self.outcomes.items())),
            "leases_overlapping": said["overlap"],
            "starts_too_close": said["too close"],
            "jobs_left_unrun": said["unrun"],
            "runs_unrecorded": said["unrecorded"],
            "runs_recorded_twice": said["twice in the history"],
            "executed_on_without_a_lease": dict(self.executed_together),
            "commits_of_fenced_runs": self.commits,
            "stale_commits_refused": self.outcomes["stale"],
            "stale_commits": said["stale commit"],
            "effects_lost": said["effect lost"],
            "waited_after_faults_ms": percentiles(self.waited_ms),
            "promised_ms": PROMISED_MS,
            "objections": self.objections,
            "seconds": round(self.seconds, 1),
        }


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """p50, p99 and the largest; empty without values."""
    ordered = sorted(values)
    if not ordered:
        return {}

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)], 1)

    return {"n": len(ordered), "p50": at(0.5), "p99": at(0.99), "max": round(ordered[-1], 1)}


class Campaign:
    """Faults over one fleet."""

    def __init__(
        self,
        fleet: Fleet,
        seed: int,
        effects: Effects | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self.figures = Figures(seed)
        self._effects = effects
        self._fleet = fleet
        self._say = say
        self._chance = random.Random(seed)
        self._evidence = Evidence(fleet.works, LEASE * 1000, wall_offset_ms())
        self._scene = Scene(fleet, self._evidence, self._chance, self._harvest)
        #: Faults that are on: when to undo them, and what they hold.
        self._on: list[tuple[float, int, Injected, Held]] = []
        #: Undone, and not over yet.
        self._ending: list[tuple[Injected, Held]] = []
        self._order = itertools.count()
        self._round_began_ms = 0.0

    def run(self, faults: int) -> Figures:
        """Inject that many, and judge."""
        began = time.monotonic()
        while sum(self.figures.faults.values()) < faults:
            left = faults - sum(self.figures.faults.values())
            self._round(min(BURST, left))
        self._end()
        self.figures.seconds = time.monotonic() - began
        return self.figures

    # -- a round -----------------------------------------------------------------------------

    def _round(self, number: int) -> None:
        previous, self._round_began_ms = self._round_began_ms, self._now_ms()
        losing = self._chance.random() < LOSING
        for _ in range(number):
            self._inject(losing)
            self._pass_time(self._chance.uniform(*PAUSE))
        while self._on or self._ending:
            self._pass_time(0.05)
        over = max(moment_ms(), self._first_ready())
        self._wait_for_starts(over)
        self._judge(over, previous)
        self.figures.rounds += 1
        self._say(
            f"round {self.figures.rounds}: {sum(self.figures.faults.values())} faults, "
            f"{self.figures.runs} runs, {len(self.figures.objections)} objections"
        )

    def _inject(self, losing: bool) -> None:
        choices: list[tuple[Callable[[], Injected], Held, int]] = []
        busy = [one for *_, held in self._on for one in held]
        busy += [one for _, held in self._ending for one in held]
        redis = self._fleet.redis
        if redis not in busy:
            of_redis = {**kinds.OF_REDIS, **(dict.fromkeys(kinds.LOSSES, 4) if losing else {})}
            for of_all, weight in of_redis.items():
                choices.append((lambda f=of_all: f(self._scene), [redis], weight))
        free = [p for p in self._fleet.places if p not in busy and p.is_ready]
        if len(free) > 1:
            choices.append((lambda: kinds.deploy(self._scene, free), free, DEPLOYS))
        for place in free:
            for fault, weight in kinds.OF_A_PLACE.items():
                choices.append((lambda f=fault, p=place: f(self._scene, p), [place], weight))
        if choices:
            begin, held, _ = self._chance.choices(choices, [weight for *_, weight in choices])[0]
            self._begin(begin(), held)

    def _begin(self, injected: Injected, held: Held) -> None:
        undo_at = moment_ms() + injected.seconds * 1000
        heapq.heappush(self._on, (undo_at, next(self._order), injected, held))

    def _pass_time(self, seconds: float) -> None:
        until = moment_ms() + seconds * 1000
        while True:
            while self._on and self._on[0][0] <= moment_ms():
                *_, injected, held = heapq.heappop(self._on)
                injected.undo()
                self.figures.faults[injected.kind] += injected.struck()
                self._ending.append((injected, held))
            self._ending = [(i, held) for i, held in self._ending if not i.is_over()]
            if moment_ms() >= until:
                return
            time.sleep(0.01)

    def _first_ready(self) -> float:
        """The moment from which at least one worker that lives now checks jobs."""

        def ready() -> list[float]:
            # A worker that has just been killed in a claim is not there, though it was ready.
            since = [p.ready_since for p in self._fleet.places if p.process.poll() is None]
            return [moment for moment in since if moment is not None]

        return min(wait_for(ready, message=self._fleet.log))

    def _wait_for_starts(self, over: float) -> None:
        """Until each job has started once more since faults were over, or has waited too long."""
        longest = max(max(w.interval, w.seconds) for w in self._fleet.works.values()) * 1000
        until = over + longest + PROMISED_MS + MARGIN_MS
        missing = set(self._fleet.works)
        while missing and moment_ms() < until:
            time.sleep(0.1)
            self._evidence.take(self._fleet.witness.runs())
            missing = {
                job
                for job in missing
                if not any(self._evidence.granted(run) > over for run in self._evidence.of(job))
            }

    # -- the judgement -----------------------------------------------------------------------

    def _harvest(self) -> None:
        self._evidence.take(self._fleet.witness.runs())
        for job, entries in wait_for(self._history, message="the history").items():
            self._evidence.take_history(job, entries)

    def _history(self) -> dict[str, Any]:
        try:
            return self._fleet.history()
        except StoreError:
            return {}

    def _judge(self, over: float, since_ms: float) -> None:
        self._evidence.offset_ms = wall_offset_ms()
        found = self._found(over, since_ms)
        if found:
            # What is being recorded at this very moment is no fault; what was one stays one.
            time.sleep(1.5)
            again = self._found(over, since_ms)
            found = [objection for objection in found if objection in again]
        found = [one for one in found if one not in self.figures.objections]
        self.figures.objections += found
        for objection in found:
            self._say(objection)
        self._count(over)
        self._forget(since_ms)

    def _found(self, over: float, since_ms: float) -> list[str]:
        self._harvest()
        found = objections(self._evidence)
        found += [
            f"unrecorded: run {run.run_id} of {run.job} in {run.pid}, {run.ending}"
            for run in unrecorded(self._evidence, self._round_began_ms)
        ]
        found += [
            f"unrun: {job.job} waited for {job.ms:.0f} ms after the faults were over"
            for job in waited(self._evidence, over, moment_ms())
            if job.ms > PROMISED_MS + MARGIN_MS
        ]
        found += self._effects.objections(self._evidence) if self._effects else []
        log = self._fleet.log()
        return found + [f"log: {words}\n{log[-3000:]}" for words in UNWANTED if words in log]

    def _count(self, over: float) -> None:
        self.figures.waited_ms += [job.ms for job in waited(self._evidence, over, moment_ms())]

    def _forget(self, before_ms: float) -> None:
        """What started before the last round but one has been judged twice."""
        self._tally(i for i, run in self._evidence.runs.items() if run.started_ms < before_ms)
        self._fleet.witness.forget(self._evidence.forget(before_ms))

    def _tally(self, run_ids: Iterable[str]) -> None:
        ids = set(run_ids)
        for run_id in ids:
            outcome = self._evidence.outcomes.get(run_id)
            self.figures.outcomes[str(outcome or "lost with Redis's data")] += 1
        gone = Evidence(self._evidence.works, 0, self._evidence.offset_ms)
        gone.runs = {i: run for i, run in self._evidence.runs.items() if i in ids}
        for run in executed_together(gone):
            why = self._why_without_lease(run)
            self.figures.executed_together[why] += 1
            if why == "unexplained":
                self._say(f"{why}: executed on without its lease: {run}")
        self.figures.runs = sum(self.figures.outcomes.values())

    def _why_without_lease(self, run: Seen) -> str:
        """Why a run could go on when a newer one had its lease."""
        if run.pid in self._evidence.frozen:
            return "stood still"
        ended_ms = (run.ended or 0) + self._evidence.offset_ms
        if self._evidence.lost_between(run.started_ms, ended_ms):
            return "data lost"
        hogs = [
            hog
            for hog in self._evidence.runs.values()
            if hog.pid == run.pid and self._evidence.works[hog.job].kind == "computes"
        ]
        # Nothing can be thrown into a run while another computes on its hub.
        if any(hog.started_ms <= ended_ms and run.started_ms <= self._end_ms(hog) for hog in hogs):
            return "hub busy"
        return "unexplained"

    def _end_ms(self, run: Seen) -> float:
        return math.inf if run.ended is None else run.ended + self._evidence.offset_ms

    def _end(self) -> None:
        """Drain all; then every run must be recorded, and no lease be left."""
        wait_for(lambda: all(p.is_ready for p in self._fleet.places), message=self._fleet.log)
        self._pass_time(1)  # the last of them may not listen for signals yet
        self._fleet.stop()
        self._harvest()
        found = objections(self._evidence)
        found += [
            f"unrecorded: run {run.run_id} of {run.job} in {run.pid}, {run.ending}"
            for run in unrecorded(self._evidence, math.inf)
        ]
        found += [f"a lease is left: {key} of {run}" for key, run in self._fleet.leases().items()]
        if self._effects:
            found += self._effects.objections(self._evidence)
            self.figures.commits = self._effects.count()
        self.figures.objections += [o for o in found if o not in self.figures.objections]
        self._tally(self._evidence.runs)

    def _now_ms(self) -> float:
        return moment_ms() + self._evidence.offset_ms
