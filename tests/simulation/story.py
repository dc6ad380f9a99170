"""Tells stories: one that holds, or the shortest we find of one that does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from . import faults
from .plan import Control, Fault, Plan, make
from .watch import Broken
from .world import World

#: How often a broken story is told again, to find a shorter one.
TELLINGS = 150


@dataclass(frozen=True)
class Failure:
    """A broken promise, and the shortest plan found that breaks it."""

    plan: Plan
    broken: Broken
    history: list[str]

    def __str__(self) -> str:
        plan = self.plan
        head = [
            f"SEED {plan.seed}: {self.broken}",
            f"{plan.slots} processes with {plan.runs_at_once} slots each, lease {plan.lease:g} s, "
            f"checks every {plan.check_interval:g} s, a look at all within "
            f"{plan.resync_interval:g} s, quarantine after {plan.quarantine_after}",
            *(f"version {n}: {list(map(str, jobs))}" for n, jobs in enumerate(plan.versions)),
            "faults: " + ("; ".join(map(faults.describe, plan.faults)) or "none"),
            "people: " + ("; ".join(map(_asked, plan.controls)) or "none"),
        ]
        return "\n".join(head + self.history)


def tell(plan: Plan, *, aloud: bool = False) -> World:
    """Let a plan happen, to its end; raises `Broken`."""
    world = World(plan, aloud=aloud)
    world.run()
    return world


def fails(plan: Plan) -> Broken | None:
    """The promise that this plan breaks, if it does."""
    try:
        tell(plan)
    except Broken as broken:
        return broken
    return None


def failure(plan: Plan) -> Failure:
    """The failure of a plan that fails, told aloud as it is."""
    world = World(plan, aloud=True)
    try:
        world.run()
    except Broken as broken:
        return Failure(plan, broken, world.history)
    raise AssertionError(f"seed {plan.seed} failed, and does not any more: it is not deterministic")


def shrink(plan: Plan, tellings: int = TELLINGS) -> Failure:
    """The shortest story found that breaks the same promise as `plan`."""
    broken = fails(plan)
    assert broken is not None, f"seed {plan.seed} does not fail"
    shorter: Plan | None = plan
    while shorter is not None:
        plan, shorter = shorter, None
        for candidate in _shorter(plan):
            tellings -= 1
            if tellings < 0:
                break
            found = fails(candidate)
            if found is not None and found.promise == broken.promise:
                shorter = candidate
                break
    return failure(plan)


def _shorter(plan: Plan) -> Iterator[Plan]:
    """Plans with less in them, the boldest first."""
    events = (*plan.controls, *plan.faults)
    size = len(events)
    while size > 1:
        size //= 2
        for at in range(0, len(events), size):
            yield plan.without(*events[at : at + size])
    if len(events) == 1:
        yield plan.without(*events)
    if plan.slow_calls:
        yield replace(plan, slow_calls=0)
    if len(plan.versions) == 1:
        for job in plan.versions[0]:
            if len(plan.versions[0]) > 1:
                fewer = tuple(other for other in plan.versions[0] if other is not job)
                yield replace(plan, versions=(fewer,))
    if plan.slots > 1:
        staying = tuple(fault for fault in plan.faults if fault.slot < plan.slots - 1)
        yield replace(plan, slots=plan.slots - 1, faults=staying)
    ends = [fault.at + _length(fault) for fault in plan.faults]
    last = max([*ends, *(control.at for control in plan.controls)], default=0.0)
    if plan.trouble > last + plan.lease:
        yield replace(plan, trouble=round(last + plan.lease, 3))


def _asked(control: Control) -> str:
    words = f"{control.at:.3f} {control.kind} of {control.job}, {control.size:g}"
    if control.mishap is not None:
        words += f" ({control.mishap.how}: {control.mishap.kind}, {control.mishap.size:g})"
    return words


def _length(fault: Fault) -> float:
    return 0.0 if fault.kind in ("deploy", "clock jump", "redis clock") else max(0.0, fault.size)


@dataclass
class Tally:
    """What happened in many stories."""

    stories: int = 0
    faults: int = 0
    controls: int = 0
    runs: int = 0
    abandoned: int = 0
    given_back: int = 0
    calls: int = 0

    def add(self, world: World) -> None:
        self.stories += 1
        self.faults += len(world.plan.faults)
        self.controls += len(world.plan.controls)
        records = world.watch.runs.values()
        self.runs += sum(record.active is not None for record in records)
        self.abandoned += sum(record.abandoned for record in records)
        self.given_back += sum(record.given_back for record in records)
        self.calls += world.calls

    def __str__(self) -> str:
        return (
            f"{self.stories} seeds: {self.faults} faults, {self.controls} controls, "
            f"{self.runs} runs, "
            f"{self.abandoned} recorded as abandoned, {self.given_back} claims given back, "
            f"{self.calls} calls to Redis"
        )


def tell_many(seeds: range) -> Iterator[tuple[Tally, Failure | None]]:
    """Tell the stories of these seeds, one after the other, with the tally so far."""
    tally = Tally()
    for seed in seeds:
        plan = make(seed)
        try:
            tally.add(tell(plan))
        except Broken:
            yield tally, shrink(plan)
        else:
            yield tally, None
