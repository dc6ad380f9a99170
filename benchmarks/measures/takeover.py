"""(i) Takeover: two instances, and the process that runs a job is killed, or told to end, in the
middle of a run; how long until the job starts elsewhere, and whether the killed run is repeated.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..contenders import table
from ..contenders.base import Contender, Scenario
from ..contenders.recorder import Began, began
from ..contenders.running import ContenderError, Running, servers
from ..results import Result

#: Seconds between two due times, and that a run takes; of those that know whole minutes alone the
#: former is a minute.
INTERVAL, WORK = 8.0, 3.0

#: Seconds from the first line of the run to the signal.
_INTO_IT = 1.0

#: Seconds from the first run until somebody dies: the other processes, which were started at the
#: same time, are up as well.
_SETTLE = 3.0

#: Cases beside one another: they hardly do anything.
_BESIDE = 10

#: The library's defaults, and a short lease.
LEASE, CHECK_INTERVAL = 30.0, 1.0
SHORT_LEASE, SHORT_CHECK_INTERVAL = 2.0, 0.5

SHORT = replace(
    table.LIBRARY,
    name="library, lease 2 s",
    options={"lease": str(SHORT_LEASE), "check_interval": str(SHORT_CHECK_INTERVAL)},
)

SHORT_RECOVER = replace(
    SHORT, name="library, lease 2 s, recover", options={**SHORT.options, "recover": "yes"}
)

#: What is allowed over the time that the lease and the check interval explain, in seconds.
_SLACK = 0.5


@dataclass(frozen=True)
class Case:
    """One death."""

    contender: Contender
    how: Literal["SIGKILL", "SIGTERM"]
    #: Whose: the process that runs the job, or the scheduler that was there first.
    whose: Literal["run", "scheduler"] = "run"
    #: Seconds to wait for the next start at most.
    watch: float = 90.0

    @property
    def interval(self) -> float:
        return max(INTERVAL, self.contender.finest)

    @property
    def death(self) -> str:
        return self.how if self.whose == "run" else f"{self.how} to its first scheduler"

    @property
    def words(self) -> str:
        return f"{self.contender.name}: {self.death}"


@dataclass(frozen=True)
class After:
    """What came after it."""

    #: Seconds from the signal to the next start in another process; None: none in the watch.
    seconds: float | None
    #: Whether that was before the next due time.
    repeated: bool
    #: Seconds from the signal to the job's next due time.
    until_due: float


def run(full: bool) -> Result:
    result = Result(
        "takeover",
        f"Two instances (or two schedulers and two workers), one job every {INTERVAL:g} s that "
        f"takes {WORK:g} s (every minute where nothing shorter is known). {_INTO_IT:g} s into a "
        f"run its process gets the signal. Seconds until the next start in another process; "
        f"repeated: that came before the job's next due time. "
        f"The library with its defaults (lease {LEASE:g} s, a check every {CHECK_INTERVAL:g} s) "
        f"and with a lease of {SHORT_LEASE:g} s and a check every {SHORT_CHECK_INTERVAL:g} s.",
    )
    cases, repeats = (_full_cases(), 5) if full else (_short_cases(), 1)
    with ThreadPoolExecutor(_BESIDE) as pool:
        found = list(pool.map(_die, [case for case in cases for _ in range(repeats)]))
    result.notes.append(
        "the others do not know that a run has died, nor whether it lives: their next one starts "
        "when it is due, beside the last one if that still runs; those with two schedulers, and "
        "APScheduler, ran the killed run twice anyway"
    )
    for number, case in enumerate(cases):
        _tell(result, case, found[number * repeats : (number + 1) * repeats])
    return result


def _short_cases() -> list[Case]:
    return [
        # First those that take longest.
        Case(table.LIBRARY, "SIGKILL", watch=LEASE + CHECK_INTERVAL + 5),
        Case(table.APSCHEDULER_REDIS, "SIGKILL", watch=20.0),
        Case(table.APSCHEDULER_REDIS, "SIGTERM", watch=20.0),
        Case(table.LIBRARY, "SIGTERM", watch=20.0),
        Case(SHORT, "SIGKILL", watch=20.0),
        Case(SHORT, "SIGTERM", watch=20.0),
        Case(SHORT_RECOVER, "SIGKILL", watch=20.0),
        Case(table.SEED, "SIGKILL", watch=20.0),
        Case(table.SEED, "SIGTERM", watch=20.0),
    ]


def _full_cases() -> list[Case]:
    recover = replace(table.LIBRARY, name="library, recover", options={"recover": "yes"})
    contenders = (
        table.LIBRARY,
        recover,
        SHORT,
        SHORT_RECOVER,
        *table.PEERS,
        table.CELERY_SHORT,
        table.SEED,
    )
    scheduled = (table.CELERY, table.CELERY_SHORT, table.RQ, table.DRAMATIQ)
    return [
        *(Case(contender, how) for contender in contenders for how in ("SIGKILL", "SIGTERM")),
        *(Case(contender, "SIGKILL", "scheduler") for contender in scheduled),
    ]


def _die(case: Case) -> After:
    with servers() as redis, redis.record.client() as client:
        scenario = Scenario(
            "beat",
            1,
            case.interval,
            redis.own.url,
            redis.record.url,
            recording="inside",
            work=WORK,
        )
        commands = [one for one in table.commands(case.contender, scenario) for _ in range(2)]
        with Running(case.contender, scenario, commands) as running:
            running.wait_until(lambda: bool(began(client)), 2 * case.interval + 30, "run")
            running.watch(_SETTLE)
            up = time.time()
            victim = _next_run(
                client,
                lambda one: one.at > up,
                2 * case.interval + 10,
                running.check,
            )
            if victim is None:
                raise ContenderError(f"{case.words}: no run to be killed in")
            time.sleep(max(0.0, victim.at + _INTO_IT - time.time()))
            died = time.time()
            if case.whose == "run":
                os.kill(victim.pid, signal.Signals[case.how])
            else:
                schedulers = [p for p in running.processes if p.command.role == "scheduler"]
                os.kill(schedulers[0].pid, signal.Signals[case.how])
            successor = _next_run(
                client,
                lambda one: one.at > died and (case.whose != "run" or one.pid != victim.pid),
                case.watch,
            )
    due = victim.at + case.interval
    return After(
        None if successor is None else successor.at - died,
        # One that comes half a second early is late less than the one before it.
        successor is not None and successor.at < due - 0.5,
        due - died,
    )


def _next_run(
    client: Any,
    wanted: Callable[[Began], bool],
    seconds: float,
    check: Callable[[], None] = lambda: None,
) -> Began | None:
    """The first run that is wanted, once it is there; None: not within so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        check()
        for one in began(client):
            if wanted(one):
                return one
        time.sleep(0.05)
    return None


def _tell(result: Result, case: Case, found: list[After]) -> None:
    name = case.contender.name
    seconds = [after.seconds for after in found if after.seconds is not None]
    if len(seconds) < len(found):
        missing = len(found) - len(seconds)
        result.notes.append(
            f"{case.words}: nothing within {case.watch:g} s, {missing} of {len(found)} times"
        )
    if seconds:
        result.add(name, f"{case.death}: until the next start", seconds, "s")
    if case.whose == "run":
        repeated = [after.repeated for after in found]
        result.add(name, f"{case.death}: repeated", repeated, "of 1")
    result.add(name, f"{case.death}: next due", [after.until_due for after in found], "s")
    if case.contender.module == "library":
        judge(result, case, found)


def judge(result: Result, case: Case, found: list[After]) -> None:
    """At the lease's end, or at once when it was released, and within one check interval; with
    `recover` the killed run again, if that is before the next due time, and else never that.
    """
    options = case.contender.options
    lease = float(options.get("lease", LEASE)) if case.how == "SIGKILL" else 0.0
    check = float(options.get("check_interval", CHECK_INTERVAL))
    recovers = options.get("recover") == "yes" and case.how == "SIGKILL"
    held, limits = True, []
    for after in found:
        most = max(lease, 0.0 if recovers else after.until_due) + check + _SLACK
        limits.append(most)
        in_time = after.seconds is not None and after.seconds <= most
        held = held and in_time and after.repeated == (recovers and most < after.until_due)
    shown = ", ".join("never" if a.seconds is None else f"{a.seconds:.2f}" for a in found)
    result.goal(
        f"{case.words}: the next start after {shown} s, at most {max(limits):.1f} s asked; "
        f"repeated {sum(after.repeated for after in found)} of {len(found)} times",
        held,
    )
