"""Start: what importing takes, and how long after `start()` the first run begins."""

from __future__ import annotations

from benchmarks.fresh import probed
from benchmarks.imports import PROGRAMS, Taken, imported
from benchmarks.rested import rested
from benchmarks.results import Result
from tests.support.servers import RedisServer

MOST_IMPORT_MS = 60.0


def run(full: bool) -> Result:
    result = Result(
        "start",
        "Imports in fresh processes that gevent has patched, taking turns, compiled code there "
        "already, after what the program stands on was imported. The first run: from the call "
        "of start() to the first line of a job that is due at once; with many jobs until start() "
        "returns, and until each was looked at.",
    )
    repeats = 15 if full else 5
    for program in PROGRAMS:
        imported(program)  # compiles
    taken: dict[str, list[Taken]] = {program.name: [] for program in PROGRAMS}
    for _ in range(repeats):
        for program in PROGRAMS:
            taken[program.name].append(imported(program))
    for name, each in taken.items():
        result.add(name, "import", [one.ms for one in each], "ms")
        result.add(name, "import, CPU", [one.cpu_ms for one in each], "ms")
    with RedisServer() as server, server.client() as client:
        ours, theirs = [], []
        for _ in range(repeats):
            client.flushall()
            ours.append(probed("first_run", "jobrunner", server.url))
            theirs.append(probed("first_run", "apscheduler", server.url, ours=False))
        result.add("library", "first run", ours, "ms")
        result.add("apscheduler, memory", "first run", theirs, "ms")
        for jobs in (10_000, 100_000) if full else (10_000,):
            rested(client, jobs)
            found = probed("instance", server.url, jobs, "every", 0)
            for what in ("register", "start", "look"):
                result.add("library", f"{what} {jobs:,} jobs", [found[what]], "s")
    own = result.rows["library"]["import"].median
    result.goal(
        f"import at most {MOST_IMPORT_MS:g} ms over its dependencies: {own:.1f}",
        own <= MOST_IMPORT_MS,
    )
    return result
