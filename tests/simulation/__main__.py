"""Many stories, or one aloud: `python -m tests.simulation --seeds 10000`, `--seed 7`."""

from __future__ import annotations

import argparse
import sys
import time

from .plan import make
from .story import fails, failure, tell, tell_many

#: Seconds between two lines about how far it is.
_EVERY = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many (1000)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--seed", type=int, help="tell this one aloud")
    asked = parser.parse_args()
    if asked.seed is not None:
        return _aloud(asked.seed)
    return _many(range(asked.first, asked.first + asked.seeds))


def _aloud(seed: int) -> int:
    plan = make(seed)
    if fails(plan) is not None:
        print(failure(plan))
        return 1
    print("\n".join(tell(plan, aloud=True).history))
    print(f"seed {seed}: every promise was kept")
    return 0


def _many(seeds: range) -> int:
    begun, told_at, failed = time.process_time(), time.monotonic(), []
    tally = None
    for tally, found in tell_many(seeds):
        if found is not None:
            failed.append(found.plan.seed)
            print(f"\n{found}\n", flush=True)
        if time.monotonic() - told_at > _EVERY:
            told_at = time.monotonic()
            print(f"  ... {tally}", flush=True)
    spent = time.process_time() - begun
    print(f"{tally}; {len(seeds) / spent:.0f} seeds a second of CPU")
    if failed:
        print(f"BROKEN by {len(failed)} seeds: {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
