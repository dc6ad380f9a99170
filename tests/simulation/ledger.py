"""What the watch knows of each run, and of each job's place in Redis."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobrunner.engine.executor import ActiveRun
from jobrunner.run import Run

from .server import Holding

if TYPE_CHECKING:
    from jobrunner.job import JobDefinition

    from .process import Process


@dataclass(eq=False)
class RunRecord:
    """One run, from its claim on. Times are the world's."""

    id: str
    job: str
    process: Process
    token: int
    #: When Redis last made or renewed its lease, and when that lease ends.
    kept_at: float
    lease_until: float
    #: What it was due for, in Redis's seconds.
    due: float | None
    #: When it started, in Redis's seconds.
    started: float
    #: What stood in Redis before it was claimed.
    before: Holding
    #: The request that it answers; '': the schedule had it due.
    request: str = ""
    #: The abandoned run that it repeats.
    repeats: RunRecord | None = None
    #: Its place in the order of all claims.
    number: int = 0
    given_back: bool = False
    #: Somebody has recorded its death; and its finish, which came later, has amended that.
    abandoned: bool = False
    amended: bool = False
    #: The engine's side of it, once its code has begun.
    active: ActiveRun | None = None
    #: The number of its attempt, once its code has begun.
    attempt: int = 0
    #: How its code ended, in the last attempt; None: it has not.
    outcome: str | None = None
    #: It has opened a session, perhaps in an earlier attempt.
    has_opened: bool = False
    #: A person has cancelled it; and when the fleet was told to look.
    is_cancelled: bool = False
    cancel_told_at: float | None = None
    #: The job was reset after the claim: nothing counts from this run any more.
    forgotten: bool = False
    #: Redis lost data, or its clock jumped ahead, after the claim: its lease may be gone.
    excused: bool = False
    #: Claimed by a call that was on its way while Redis lost data, or while another claim was
    #: given back and all was again as it had been: its sender may not want it any more.
    belated: bool = False
    #: Redis's clock has gone back so far that the start lay in an impossible future.
    in_future: bool = False

    @property
    def run(self) -> Run | None:
        return None if self.active is None else self.active.run

    @property
    def is_executing(self) -> bool:
        return self.active is not None and self.outcome is None and not self.process.is_dead

    @property
    def is_trusted(self) -> bool:
        """Whether its process believes, now, that it holds its lease."""
        active = self.active
        return active is not None and self.process.trust() < active.trusted_until


@dataclass(eq=False)
class JobRecord:
    """One job's place in Redis, looked at after each call that may have changed it."""

    definition: JobDefinition
    holding: Holding = field(default_factory=Holding)
    #: Since when, as far as everybody may know, no run stands in the way of the next.
    free_since: float = 0.0
    #: It was due sooner, once, than those could know who had looked at it: the rolling look finds
    #: that, later.
    has_surprised: bool = False
    #: A person has asked something of it, and the fleet was not told to look.
    is_untold: bool = False
    largest_token: int = 0
    #: When a claim was last given back.
    given_back_at: float = -1.0
    #: The runs that were claimed and not given back, the newest last.
    claims: list[RunRecord] = field(default_factory=list)
    begun: int = 0
    #: The newest run that has opened a session, and the last to have committed.
    opened: RunRecord | None = None
    committed: RunRecord | None = None
    #: The last run whose code began.
    last: RunRecord | None = None
    executing: list[RunRecord] = field(default_factory=list)
