"""A slow-down shows: `python -m benchmarks.guard`, as `make bench` does at its end.

Counts under valgrind the instructions of an idle tick and of a run's way (claim, greenlet,
finish), with answers that a Redis gave before (see `canned.py`), and compares them with
`baseline.json`. Instructions and not seconds: they are the same on a busy machine, to a hundredth
of a per cent. Each is counted with few rounds and with many, and the difference is divided by the
rounds, so that what comes before does not count.

A count of another Python, gevent or redis-py says nothing about ours: then it compares nothing
with the baseline, and says so. `--update` writes a new one; do that when a change is meant to cost
what it costs, and say so in the commit.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from tests.support.servers import RedisServer

from .contenders.base import ROOT
from .fresh import probed, together

BASELINE = Path(__file__).resolve().parent / "baseline.json"

#: By how much more than the baseline a count may be.
TOLERANCE = 0.10

#: By how much more an idle tick may cost with ten times as many jobs.
GROWTH = 0.05


class Way(NamedTuple):
    """What is counted: see `probes/counted.py`."""

    name: str
    kind: str
    jobs: int
    few: int
    many: int
    #: How many of what the name says there are in a round.
    each: int


WAYS = (
    Way("an idle tick, 200 jobs", "ticks", 200, 50, 250, 1),
    Way("an idle tick, 2,000 jobs", "ticks", 2_000, 50, 250, 1),
    Way("a run of 100 due at once", "runs", 100, 2, 10, 100),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="write a new baseline")
    chosen = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("The guard needs valgrind: apt install valgrind", file=sys.stderr)
        return 2
    counts = counted()
    if chosen.update:
        words = {"tolerance": TOLERANCE, "made_with": made_with(), "instructions": counts}
        BASELINE.write_text(json.dumps(words, indent=1) + "\n")
    return judged(counts, json.loads(BASELINE.read_text()), made_with())


def counted() -> dict[str, int]:
    """The instructions of each way."""
    with RedisServer() as server, TemporaryDirectory() as folder:
        files = [str(Path(folder) / way.kind) + str(way.jobs) for way in WAYS]
        for way, file in zip(WAYS, files, strict=True):
            probed("counted", "keep", server.url, file, way.kind, way.jobs, way.many)
            probed("counted", "give", file, way.kind, way.jobs, way.few)  # compiles
        asked = [
            (file, way, rounds)
            for way, file in zip(WAYS, files, strict=True)
            for rounds in (way.few, way.many)
        ]
        found = together([partial(_instructions, *one) for one in asked], os.cpu_count() or 1)
    return {
        way.name: (many - few) // ((way.many - way.few) * way.each)
        for way, few, many in zip(WAYS, found[::2], found[1::2], strict=True)
    }


def _instructions(file: str, way: Way, rounds: int) -> int:
    """Of one process that goes so many rounds."""
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith("JOBRUNNER_")
    }
    environ.update(PYTHONPATH=str(ROOT), PYTHONHASHSEED="0")
    done = subprocess.run(
        [
            *("valgrind", "--tool=cachegrind", "--cache-sim=no"),
            *("--cachegrind-out-file=/dev/null", sys.executable, "-m"),
            *("benchmarks.probes.counted", "give", file, way.kind, str(way.jobs), str(rounds)),
        ],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    told = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    if done.returncode or told is None:
        raise RuntimeError(f"valgrind counted nothing for {way.name}:\n{done.stderr}")
    return int(told[1].replace(",", ""))


def made_with() -> dict[str, str]:
    """What a count depends on beside our code."""
    return {
        "machine": platform.machine(),
        "python": f"{platform.python_version()} {platform.python_compiler()}",
        **{name: version(name) for name in ("gevent", "greenlet", "redis", "hiredis", "flask")},
    }


def judged(counts: Mapping[str, int], baseline: Mapping[str, Any], with_: Mapping[str, str]) -> int:
    """Print the counts beside the baseline; 1 when something has become slower."""
    print(f"\n== guard\n{'':28} {'instructions':>12} {'baseline':>12} {'change':>8}")
    others = {
        name: (baseline["made_with"].get(name), here)
        for name, here in with_.items()
        if baseline["made_with"].get(name) != here
    }
    before = {} if others else baseline["instructions"]
    slower = []
    for name, count in counts.items():
        line = f"  {name:26} {count:12,}"
        if name in before:
            change = count / before[name] - 1
            line += f" {before[name]:12,} {change:+8.1%}"
            if change > baseline["tolerance"]:
                slower.append(f"{name}: {change:+.1%}")
            elif change < -baseline["tolerance"]:
                line += "  (write that down: --update)"
        print(line)
    few, many = (counts[way.name] for way in WAYS[:2])
    if many > (1 + GROWTH) * few:
        slower.append(f"an idle tick grows with the number of jobs: {many / few - 1:+.1%}")
    for name, (theirs, here) in others.items():
        print(f"  not compared: the baseline was made with {name} {theirs}, here is {here}")
    if not others:
        new = sorted(set(counts) - set(before))
        slower += [f"{name}: there is no baseline, see --update" for name in new]
    if slower:
        print("  SLOWER: " + "; ".join(slower))
    else:
        print("  nothing was compared" if others else "  nothing is slower")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
