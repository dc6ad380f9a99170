"""`make faults`: a thousand faults over a fleet of real processes, and what came of them.

python -m tests.faults --faults 1000 --kills 60 --seed 1 --json figures.json
"""

import argparse
import json
import random
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.faults.campaign import Campaign
from tests.faults.effects import Effects
from tests.faults.fleet import Fleet
from tests.faults.jobs import FENCED, JOBS
from tests.faults.servers import FaultyRedis
from tests.faults.takeover import after_kill, after_term
from tests.support.servers import PostgresServer, RedisServer


def main() -> int:
    parser = argparse.ArgumentParser(prog="make faults")
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=40, help="takeovers that are timed, each way")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--json", type=Path, help="where the figures go; standard output else")
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}", flush=True)
    with FaultyRedis() as redis, RedisServer() as witness, PostgresServer() as postgres:
        effects = Effects(postgres.create_database())
        effects.prepare()
        with Fleet(redis, witness, [*JOBS, *FENCED], database=effects.url) as fleet:
            figures = Campaign(fleet, chosen.seed, effects, say).run(chosen.faults).as_json()
        figures["takeover_after_kill_ms"] = after_kill(redis, witness, chosen.kills)
        figures["takeover_after_term_ms"] = after_term(redis, witness, chosen.kills)
    text = json.dumps(figures, indent=2)
    if chosen.json:
        chosen.json.write_text(text + "\n")
    else:
        print(text)
    print(table(figures))
    return 1 if figures["objections"] else 0


def say(line: str) -> None:
    print(line, flush=True)


def table(figures: Mapping[str, Any]) -> str:
    """The figures as lines of two columns."""
    rows: list[tuple[str, Any]] = []
    for name, value in figures.items():
        if name == "objections":
            rows.append((name, len(value)))
        elif isinstance(value, Mapping):
            rows.append((name.replace("_", " "), ""))
            rows += [(f"  {key}", number) for key, number in value.items()]
        else:
            rows.append((name.replace("_", " "), value))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in rows)


if __name__ == "__main__":
    sys.exit(main())
