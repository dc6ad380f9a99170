"""The jobs of a fleet under faults: short, long, failing, computing; some of them recover."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Work:
    """A job that is due every `interval` seconds and works for `seconds`."""

    name: str
    interval: float
    seconds: float
    recover: bool = False
    #: "returns", "raises", "computes" without ever yielding, "kills" its own process; or "commits",
    #: whatever it is told meanwhile: after its time, or ("obeys") when the witness lets it.
    kind: str = "returns"
    #: Whether the sessions of what commits are fenced.
    fenced: bool = True

    @property
    def interval_ms(self) -> int:
        return round(self.interval * 1000)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


#: With a lease of one second: some runs are over before a lease is renewed, some outlive it.
JOBS = [
    *(Work(f"short-{number}", 0.5, 0.02) for number in range(3)),
    Work("instant", 0.5, 0),
    Work("recovers", 1, 0.3, recover=True),
    Work("overdue", 0.5, 0.7),
    Work("long", 1, 1.6),
    Work("long-recovers", 1, 1.6, recover=True),
    Work("rare", 2, 0.05),
    Work("fails", 1, 0.1, kind="raises"),
    Work("hog", 3, 1.3, kind="computes", recover=True),
]

#: Their transactions are open for most of their time, and they ignore that they should stop.
FENCED = [
    Work("commits", 0.5, 0.2, kind="commits"),
    # Frozen for three leases and thawed, it finds its successor's session open and uncommitted.
    Work("commits-late", 1, 3.2, kind="commits"),
    Work("commits-again", 1, 1.4, recover=True, kind="commits"),
]
