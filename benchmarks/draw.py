"""Figures and tables for the documentation, from `results/`: `.venv-peers/bin/python -m
benchmarks.draw`. What the full form has not measured is taken from the short one, and says so.

Writes `docs/figures/*.svg`, and between the markers `<!-- table: begin NAME -->` and
`<!-- table: end -->` of `docs/performance.md` the tables: NAME is `peers`, one row a contender, or
that of a measure. What was not measured is left out, and said. The same results give the same
files, to the byte.
"""

from __future__ import annotations

import argparse
import sys

from . import charts, tables
from .contenders.base import ROOT
from .results import FOLDER, Found

FIGURES = ROOT / "docs" / "figures"
PAGE = ROOT / "docs" / "performance.md"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    found = Found.read(FOLDER / "short", FOLDER / "full")
    if not found.measures:
        print(f"nothing was measured in {FOLDER}", file=sys.stderr)
        return 1
    FIGURES.mkdir(parents=True, exist_ok=True)
    for name, svg in charts.drawn(found):
        (FIGURES / f"{name}.svg").write_text(svg)
        print(f"drew {name}.svg")
    if PAGE.exists():
        PAGE.write_text(tables.put_into(PAGE.read_text(), found))
    for words in found.missing:
        print(f"left out: {words}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
