"""`python -m benchmarks [MEASURE …] [--full]`: measure, print, write `results/`.

A measure is a module of `benchmarks/measures/` with `run(full: bool) -> Result`. Without a name the
short form has those that take less than five minutes together; the full one has all of them,
repeats more and waits longer. What is named is measured in either form.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time

#: In the order in which they run.
MEASURES = (
    "throughput",
    "lateness",
    "redis_cost",
    "saturated",
    "web_cost",
    "idle_cpu",
    "memory",
    "start",
    "takeover",
    "duplicates",
)

#: What the short form has time for.
SHORT = ("throughput", "lateness", "redis_cost", "saturated", "idle_cpu")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=f"{', '.join(MEASURES)}")
    parser.add_argument("--full", action="store_true", help="more repeats, longer watches")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.measures if name not in MEASURES]
    if unknown:
        parser.error(f"no measure {unknown[0]!r}; there are {', '.join(MEASURES)}")
    missed = []
    for name in chosen.measures or (MEASURES if chosen.full else SHORT):
        begun = time.monotonic()
        result = importlib.import_module(f"benchmarks.measures.{name}").run(chosen.full)
        result.save("full" if chosen.full else "short")
        result.show()
        print(f"  took {time.monotonic() - begun:.0f} s", flush=True)
        missed += [f"{name}: {words}" for words, held in result.goals.items() if not held]
    print("\nevery goal was reached" if not missed else "\nmissed: " + "; ".join(missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
