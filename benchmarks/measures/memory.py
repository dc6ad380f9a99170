"""Memory: of the library beyond what it stands on, and of each registered job."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.fresh import probed, together
from benchmarks.imports import PROGRAMS, imported
from benchmarks.rested import rested
from benchmarks.results import Result
from tests.support.servers import RedisServer

MOST_MIB = 12.0
MOST_BYTES_A_JOB = 2048.0

FEW, MANY = 10_000, 100_000
_MIB = 1024 * 1024


def run(full: bool) -> Result:
    repeats = 7 if full else 3
    result = Result(
        "memory",
        f"Resident memory of fresh processes that gevent has patched, after a garbage collection. "
        f"Beyond the imports: what an application has imported anyway is loaded first, then comes "
        f"the library, an application, and a started instance with one job. A registered job: the "
        f"slope from {FEW:,} to {MANY:,} jobs of one function that were looked at and are not due; "
        f"of those with cron expressions, and of APScheduler's, from 1 to {FEW:,}.",
    )
    asked = [program for program in PROGRAMS for _ in range(repeats)]
    found = together([lambda program=program: imported(program).mib for program in asked])
    for program in PROGRAMS:
        mib = [one for name, one in zip(asked, found, strict=True) if name is program]
        result.add(program.name, "imported", mib, "MiB")

    with RedisServer() as server:

        def ours(database: int, jobs: int, kind: str) -> float:
            with server.client(database) as client:
                rested(client, jobs)
            url = server.url_for(database)
            return float(probed("instance", url, jobs, kind, 0)["resident"])

        sizes = [(1, "every"), (FEW, "every"), (FEW, "cron")] * repeats
        # As many of these as there is patience for: what they say hardly differs.
        sizes += [(MANY, "every")] * (repeats if full else 1)
        told = together([lambda n=n, size=size: ours(n, *size) for n, size in enumerate(sizes)])
    by_size: dict[tuple[int, str], list[float]] = {}
    for size, bytes_ in zip(sizes, told, strict=True):
        by_size.setdefault(size, []).append(bytes_)
    one, few, many = by_size[1, "every"], by_size[FEW, "every"], by_size[MANY, "every"]
    own = result.add("library", "started", [each / _MIB for each in one], "MiB")
    a_job = result.add("library", "a job", _slopes(few, many, MANY - FEW), "bytes")
    result.add("library", "a cron job", _slopes(one, by_size[FEW, "cron"], FEW - 1), "bytes")

    sizes_of_peer = [1] * repeats + [FEW] * repeats
    told = together([lambda jobs=jobs: _peer(jobs) for jobs in sizes_of_peer])
    one, few = told[:repeats], told[repeats:]
    result.add("apscheduler, memory", "started", [each / _MIB for each in one], "MiB")
    result.add("apscheduler, memory", "a job", _slopes(one, few, FEW - 1), "bytes")
    result.notes.append(
        "The other peers keep their schedule in Redis or in a process of its own, and do not run "
        "in the web server."
    )
    result.goal(
        f"at most {MOST_MIB:g} MiB more than the imported dependencies: {own.median:.1f}",
        own.median <= MOST_MIB,
    )
    result.goal(
        f"at most {MOST_BYTES_A_JOB:g} bytes a registered job: {a_job.median:.0f}",
        a_job.median <= MOST_BYTES_A_JOB,
    )
    return result


def _peer(jobs: int) -> float:
    return float(probed("apscheduler_idle", jobs, 0, ours=False)["resident"])


def _slopes(few: Sequence[float], many: Sequence[float], between: int) -> list[float]:
    return [(more - less) / between for less, more in zip(few, many, strict=False)]
