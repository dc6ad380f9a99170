"""What happens in a story, all of it from a seed: jobs, instances, faults, and people.

A seed uses only some kinds of faults, and the more of each: what only happens between two of a
kind is found sooner so.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

#: What one fault is; `size` in seconds unless another unit is said.
KINDS = {
    "crash": "the process dies; another is started after `size`",
    "freeze": "the process stands still for `size`, its threads too",
    "hog": "the hub stands still for `size`: a job computes and never yields",
    "cut": "calls of the process fail for `size`, before or after the server's work",
    "redis away": "calls of everybody fail for `size`",
    "redis stalls": "what is sent in the next `size` is done only then, whoever waits for it",
    "lost request": "a call never arrives",
    "lost answer": "a call is done, and its answer is lost",
    "late request": "a call arrives `size` after it was sent, whoever waits for it",
    "twice": "a call is done again, `size` later",
    "frozen call": "the process stands still for `size` while it waits for an answer",
    "drained call": "the process drains within `size` while a call is on its way, or its answer",
    "fading wire": "an answer takes nearly the time limit; then the wire is cut for `size`",
    "clock jump": "the process's wall clock jumps by `size`",
    "redis clock": "Redis's clock jumps by `size`",
    "data loss": "FLUSHALL",
    "failover": "the writes of the last `size` are lost",
    "script flush": "Redis is restarted, with its data and without its scripts",
    "drain": "the process drains within `size`; another is started",
    "deploy": "each process is replaced by one of the version number `size`, and drains",
}
#: Faults of one call.
OF_A_CALL = (
    "lost request",
    "lost answer",
    "late request",
    "twice",
    "frozen call",
    "drained call",
    "fading wire",
)
#: After these only the rolling look finds what has become due.
SURPRISES = {"data loss", "failover", "redis clock", "deploy"}
#: What people ask of a job; `size` in seconds.
CONTROLS = {
    "trigger": "a run now, if nobody runs it",
    "queue": "a run now, or when the running one has ended",
    "pause": "no run of the schedule for `size`; 0: until it is resumed",
    "resume": "the end of a pause",
    "reset": "to be due at once, as if it had never run",
    "cancel": "the end of the run that runs",
}
#: How often each is asked.
_ASKED = (4, 4, 3, 2, 2, 4)
#: Kinds that most others only show together with.
OFTEN = [
    *("crash", "crash", "crash", "freeze", "freeze", "freeze", "lost answer", "cut"),
    *("frozen call", "frozen call", "drained call", "fading wire", "redis clock"),
]
#: What kind of call such a fault waits for.
CALLS = ("any", "claim", "claim", "finish", "renew", "give back")


@dataclass(frozen=True)
class JobPlan:
    """A job: due every `interval` seconds, or each minute when that is 0."""

    name: str
    interval: float
    #: What the interval is counted from: the last `start`, the last `finish`, or `midnight`.
    after: str = "start"
    #: How its runs behave: each in one of these ways, which `jobs` knows.
    manners: tuple[str, ...] = ("quick",)
    #: Whether an abandoned run is run again at once.
    recover: bool = False
    #: Whether it writes to a database, in fenced sessions.
    fenced: bool = False
    #: How late a run may start; None: as late as it likes.
    grace: float | None = None
    #: By how much due times move later, at most.
    jitter: float = 0.0
    #: How often one that raised is tried, in all.
    attempts: int = 1
    #: How long an attempt may take; None: as long as it likes.
    timeout: float | None = None

    def __str__(self) -> str:
        rule = f"every {self.interval:g} s after {self.after}" if self.interval else "each minute"
        flags = "".join(f", {name}" for name in ("recover", "fenced") if getattr(self, name))
        for name, none in (("grace", None), ("jitter", 0.0), ("attempts", 1), ("timeout", None)):
            value = getattr(self, name)
            flags += "" if value == none else f", {name} {value:g}"
        return f"{self.name} {rule} ({', '.join(self.manners)}{flags})"


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, or is done to the fleet."""

    at: float
    kind: str
    slot: int
    size: float = 0.0
    #: The kind of call that it waits for, or the way in which calls fail.
    how: str = ""


@dataclass(frozen=True)
class Control:
    """Something that a person asks of a job."""

    at: float
    kind: str
    job: str
    size: float = 0.0
    #: What befalls one of the two calls that it takes.
    mishap: Fault | None = None


@dataclass(frozen=True)
class Plan:
    """One story."""

    seed: int
    lease: float
    check_interval: float
    resync_interval: float
    #: How many processes serve at once, and how many runs each takes.
    slots: int
    runs_at_once: int
    quarantine_after: int
    #: Which jobs each version of the application has; the first is deployed at the beginning.
    versions: tuple[tuple[JobPlan, ...], ...]
    faults: tuple[Fault, ...]
    controls: tuple[Control, ...]
    #: When the faults end.
    trouble: float
    #: How many of 1,000 calls are not done in no time, and how slow those are, in seconds.
    slow_calls: int
    slowness: float

    @property
    def timeout(self) -> float:
        """The time limit of a call, as the settings have it."""
        return min(2.0, self.lease / 4)

    @property
    def quiet(self) -> float:
        """How long the world goes on after the faults: as long as it takes to see what lies."""
        rolls = any(fault.kind in SURPRISES for fault in self.faults)
        rolling = self.resync_interval + self.check_interval if rolls else 0.0
        return self.lease + 3 * self.check_interval + self.timeout + rolling

    def without(self, *events: Fault | Control) -> Plan:
        return replace(
            self,
            faults=tuple(fault for fault in self.faults if fault not in events),
            controls=tuple(control for control in self.controls if control not in events),
        )


def make(seed: int) -> Plan:
    """The story of that seed."""
    rng = random.Random(seed)
    lease = rng.choice((3.0, 5.0, 8.0))
    trouble = round(lease * rng.uniform(3, 5), 3)
    slots = rng.choice((2, 2, 2, 3, 3, 4))
    first = tuple(_job(rng, name, lease) for name in "abc"[: rng.choice((1, 1, 2, 3))])
    versions = [first]
    kinds = rng.choices(list(KINDS) + OFTEN, k=rng.randint(1, 4))
    if "deploy" in kinds:
        versions += [_another_version(rng, versions[-1], lease) for _ in range(2)]
    faults = [
        _fault(rng, rng.choice(kinds), lease, trouble, slots, len(versions))
        for _ in range(rng.choice((0, 2, 3, 4, 6, 8, 10)))
    ]
    return Plan(
        seed=seed,
        lease=lease,
        check_interval=round(lease * rng.uniform(0.15, 0.4), 3),
        resync_interval=round(lease * (rng.uniform(0.5, 1.2) if SURPRISES & set(kinds) else 10), 3),
        slots=slots,
        runs_at_once=rng.choice((1, 2, 10, 10)),
        quarantine_after=rng.choice((1, 2, 3, 1000, 1000, 1000)),
        versions=tuple(versions),
        faults=tuple(sorted(faults, key=lambda fault: fault.at)),
        controls=_controls(rng, first, lease, trouble),
        trouble=trouble,
        slow_calls=rng.choice((0, 0, 10, 50, 300)),
        slowness=rng.choice((0.002, 0.02, 0.1)),
    )


def _job(rng: random.Random, name: str, lease: float) -> JobPlan:
    fenced = rng.random() < 0.3
    manners = ("quick", "works", "fails", "too long", "stubborn", "computes")
    weights = (2, 4, 1, 1, 4, 0) if fenced else (4, 4, 1, 1, 1, 0.5)
    job = JobPlan(
        name,
        interval=0.0 if rng.random() < 0.08 else round(lease * rng.uniform(0.3, 4), 3),
        manners=tuple(rng.choices(manners, weights, k=3)),
        recover=rng.random() < 0.3,
        fenced=fenced,
    )
    return _with_policies(rng, job, lease) if rng.random() < 0.5 else job


def _with_policies(rng: random.Random, job: JobPlan, lease: float) -> JobPlan:
    after = rng.choice(("start", "finish", "midnight")) if job.interval else "start"
    return replace(
        job,
        after=after,
        interval=rng.choice((2.0, 5.0, 10.0, 15.0)) if after == "midnight" else job.interval,
        grace=rng.choice((None, round(lease * rng.uniform(0.1, 1), 3))),
        jitter=rng.choice((0.0, 0.0, round(lease * rng.uniform(0.05, 0.5), 3))),
        attempts=rng.choice((1, 1, 2, 3)),
        timeout=rng.choice((None, None, round(lease * rng.uniform(0.2, 1.5), 3))),
    )


def _controls(
    rng: random.Random, jobs: tuple[JobPlan, ...], lease: float, trouble: float
) -> tuple[Control, ...]:
    asked = []
    for kind in rng.choices(list(CONTROLS), _ASKED, k=rng.choice((0, 0, 1, 2, 3, 5))):
        mishap = None
        if rng.random() < 0.25:
            way = rng.choice(("lost request", "lost answer", "late request", "twice"))
            size = round(lease * rng.uniform(0.05, 1), 3)
            mishap = Fault(0.0, way, 0, size, rng.choice(("control", "control", "announce")))
        size = round(lease * rng.uniform(0.1, 2), 3) if rng.random() < 0.7 else 0.0
        at = round(rng.uniform(0.1, trouble), 3)
        asked.append(Control(at, kind, rng.choice(jobs).name, size, mishap))
    return tuple(sorted(asked, key=lambda control: control.at))


def _another_version(
    rng: random.Random, before: tuple[JobPlan, ...], lease: float
) -> tuple[JobPlan, ...]:
    jobs = list(before)
    change = rng.choice(("same", "add", "drop", "interval"))
    if change == "add" or len(jobs) == 1:
        return (*jobs, _job(rng, "abcdefg"[len(jobs)], lease))
    if change == "drop":
        jobs.pop(rng.randrange(len(jobs)))
    elif change == "interval":
        at = rng.randrange(len(jobs))
        other = _job(rng, "x", lease)
        jobs[at] = replace(jobs[at], interval=other.interval, after=other.after)
    return tuple(jobs)


def _fault(
    rng: random.Random, kind: str, lease: float, trouble: float, slots: int, versions: int
) -> Fault:
    at = round(rng.uniform(0.1, trouble), 3)
    slot = rng.randrange(slots)
    how = ""
    size = lease * rng.choice((rng.uniform(0.1, 1), rng.uniform(1, 3)))
    if kind == "crash":
        size = rng.choice((0.0, size))
    elif kind in ("cut", "redis away"):
        how = rng.choice(("before", "after", "either"))
        size = lease * rng.uniform(0.1, 1.5)
    elif kind in OF_A_CALL:
        how = rng.choice(CALLS)
        size = lease * rng.uniform(0.05, 1)
        if kind == "frozen call":
            how, size = rng.choice(("claim", "claim", "renew", "any")), lease * rng.uniform(0.5, 2)
        if kind == "drained call":
            how, size = rng.choice(("claim", "claim", "any")), lease * rng.choice((0.1, 0.5))
        if kind == "fading wire":
            how, size = rng.choice(("claim", "renew")), lease * rng.uniform(0.5, 1.2)
    elif kind in ("clock jump", "redis clock"):
        size = rng.choice((-1, 1)) * rng.choice((0.3, lease / 2, lease, lease * 3, 3600.0))
    elif kind == "redis stalls":
        size = lease * rng.uniform(0.05, 0.6)
    elif kind == "failover":
        size = rng.choice((0.01, 0.3, lease / 2))
    elif kind == "drain":
        size = lease * rng.choice((0.0, 0.1, 2.0))
    elif kind == "deploy":
        size = rng.randrange(versions)
    return Fault(at, kind, slot, round(size, 3), how)
