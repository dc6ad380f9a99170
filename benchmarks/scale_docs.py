"""The figures and the curves of `docs/scaling.md`, from what the full form saved:
`python -m benchmarks.scale_docs`.

A table stands between `<!-- figures: NAME -->` and `<!-- end -->`, and is made anew there; the
rest of the page is nobody's but its writer's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from benchmarks import scale_draw
from benchmarks.contenders.base import ROOT
from benchmarks.results import FOLDER
from benchmarks.scale_draw import Axis

PAGE = ROOT / "docs" / "scaling.md"
FIGURES = ROOT / "docs" / "figures"

_BLOCK = re.compile(r"(<!-- figures: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

#: Rows of one saved result, and figures of one row.
Rows = dict[str, dict[str, Any]]


def write() -> None:
    """The page and the drawings."""
    PAGE.write_text(rendered(PAGE.read_text()))
    FIGURES.mkdir(exist_ok=True)
    for name, drawing in drawings().items():
        (FIGURES / f"{name}.svg").write_text(drawing)


def rendered(page: str) -> str:
    """The page with the saved figures."""
    made = tables()
    return _BLOCK.sub(lambda block: f"{block[1]}{made[block['name']]()}\n{block[3]}", page)


def tables() -> dict[str, Callable[[], str]]:
    seen, computed = _saved("scale")["rows"], _saved("scale_computed")["rows"]
    return {
        "fleets": lambda: _fleets(seen),
        "errors": lambda: _errors(seen),
        "costs": lambda: _costs(seen),
        "load": lambda: _load(computed),
        "most": lambda: _most(computed),
        "namespaces": lambda: _namespaces(computed),
        "at-once": lambda: _at_once(computed),
    }


def drawings() -> dict[str, str]:
    """SVG by the name of its file."""
    curves = _saved("scale_computed")["curves"]
    instances = Axis("instances", 1, 10_000, logarithmic=True)
    calls = {
        f"{words}": curves[f"calls, {way}, model"]
        for way, words in (("none", "without a delay"), ("adaptive", "with the delay"))
    }
    calls_seen = {
        f"{words}": curves[f"calls, {way}, measured"]
        for way, words in (("none", "without a delay"), ("adaptive", "with the delay"))
    }
    losing = {
        "without a delay": curves["losing calls, none"],
        "with the delay": curves["losing calls, adaptive"],
    }
    losing_seen = {
        "without a delay": curves["losing calls, none, measured"],
        "with the delay": curves["losing calls, adaptive, measured"],
    }
    most = max(y for points in [*calls.values(), *calls_seen.values()] for _, y in points)
    drawn = {
        "scaling-calls": scale_draw.curves(
            "Ten due times a second: lines foretold, dots measured",
            Axis("instances", 0, 200),
            Axis("commands a second", 0, 1.05 * most),
            calls,
            calls_seen,
        ),
        "scaling-losing": scale_draw.curves(
            "Calls that won nothing, for each due time (ten of them a second)",
            instances,
            Axis("losing calls", 1, 10_000, logarithmic=True),
            losing,
            losing_seen,
        ),
        "scaling-first": scale_draw.curves(
            "How late the first of a fleet asks (ten due times a second)",
            instances,
            Axis("milliseconds after the due time", 0, 8),
            {"median": curves["first, p50"], "99 of 100": curves["first, p99"]},
            {},
        ),
    }
    for name in ("defaults", "sparing"):
        lines = {
            f"{jobs:,} jobs": curves[f"load, {name}: {jobs} jobs"]
            for jobs in (100_000, 10_000, 1_000, 100)
        }
        drawn[f"scaling-load-{name}"] = scale_draw.curves(
            f"What Redis works for jobs that run every hour ({_SETTINGS[name]})",
            instances,
            Axis("% of a core", 0.1, 1000, logarithmic=True),
            lines,
            {},
        )
    return drawn


_SETTINGS = {
    "defaults": "CHECK_INTERVAL 1 s, RESYNC_INTERVAL 60 s",
    "sparing": "CHECK_INTERVAL 5 s, RESYNC_INTERVAL 1 h",
}


# -- the tables ----------------------------------------------------------------------------------


def _fleets(rows: Rows) -> str:
    table = [
        "instances, due times | delay | commands/s | losers a winner | too early, a winner | "
        "losing calls a due time | late p50 / p99, ms | runs of the busiest / mean"
    ]
    for name, figures in rows.items():
        if "losers a winner" not in figures:
            continue
        number, _, words = name.partition(" instances, ")
        what, _, way = words.rpartition(", delay ")
        few = {"median": None}  # runs, too few to say it
        late = [figures.get(f"late {part}", few)["median"] for part in ("p50", "p99")]
        busiest = figures.get("runs of the busiest", few)["median"]
        table.append(
            f"{number}, {what} | {'yes' if way == 'adaptive' else 'no'} | "
            f"{_figure(figures['commands'])} | {_figure(figures['losers a winner'])} | "
            f"{_figure(figures['early a winner'])} | "
            f"{_figure(figures['losing calls a due time'])} | "
            f"{' / '.join(map(_number, late)) if late[0] else ''} | "
            f"{_number(busiest)}"
        )
    return _table(table)


def _errors(rows: Rows) -> str:
    quantities = ("commands", "in", "out", "Redis CPU", "losers a winner")
    table = [f"fleet | {' | '.join(quantities)}"]
    for name, figures in rows.items():
        if "commands, error" not in figures:
            continue
        cells = [
            "" if f"{what}, error" not in figures else f"{figures[f'{what}, error']['median']:+.0f}"
            for what in quantities
        ]
        table.append(f"{name} | {' | '.join(cells)}")
    return _table(table)


def _costs(rows: Rows) -> str:
    table = ["one | Redis CPU, µs | bytes in | bytes out"]
    names = {
        "one call": "call that claims, where it wakes Redis",
        "one call, at work": "the same, where Redis is at work",
        "one ask": "ask that loses, or look",
        "one run": "run besides its ask: claim, finish, history",
        "one finish_call": "call that finishes, where it wakes Redis",
    }
    for row, words in names.items():
        cells = [
            _number(rows[row][what]["median"]) if what in rows[row] else ""
            for what in ("cpu_us", "bytes_in", "bytes_out")
        ]
        table.append(f"{words} | {' | '.join(cells)}")
    return _table(table)


def _load(rows: Rows) -> str:
    sizes = (10, 100, 1_000, 10_000)
    table = ["settings | jobs | " + " | ".join(f"{n:,} instances" for n in sizes)]
    for settings in ("defaults", "sparing"):
        for jobs in (100, 1_000, 10_000, 100_000):
            cells = []
            for n in sizes:
                figures = rows[f"{settings}: {n} instances, {jobs} jobs"]
                share, moved = figures["Redis"]["median"], figures["bandwidth"]["median"]
                cells.append(f"{_number(share)} %, {_number(moved)} Mbit/s")
            table.append(f"{settings} | {jobs:,} | {' | '.join(cells)}")
    return _table(table)


def _most(rows: Rows) -> str:
    table = ["jobs, each once an hour | defaults | sparing"]
    for jobs in (100, 1_000, 10_000, 100_000):
        cells = [
            f"{rows[f'{name}: most instances, {jobs} jobs']['instances']['median']:,.0f}"
            for name in ("defaults", "sparing")
        ]
        table.append(f"{jobs:,} | {' | '.join(cells)}")
    return _table(table)


def _namespaces(rows: Rows) -> str:
    table = ["namespaces | a Redis each | one Redis for all"]
    for parts in (1, 10, 100):
        row = rows[f"10000 instances, 100000 jobs in {parts} namespaces"]
        each, together = (row[f"Redis, {words}"]["median"] for words in ("each", "all together"))
        table.append(f"{parts} | {_number(each)} % of a core each | {_number(together)} %")
    return _table(table)


def _at_once(rows: Rows) -> str:
    table = ["instances | jobs due at one moment | Redis is busy for"]
    for name, figures in rows.items():
        found = re.fullmatch(r"at once: (\d+) instances, (\d+) jobs", name)
        if found:
            instances, jobs = (f"{int(number):,}" for number in found.groups())
            table.append(f"{instances} | {jobs} | {_number(figures['Redis']['median'])} s")
    return _table(table)


def _figure(figure: dict[str, Any]) -> str:
    half = figure["spread"] / 2
    return f"{_number(figure['median'])} ± {_number(half)}"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2g}" if abs(value) < 10 else f"{value:.0f}"


def _table(lines: list[str]) -> str:
    head, *rows = lines
    rule = " | ".join("---" for _ in head.split(" | "))
    return "\n".join(f"| {line} |" for line in (head, rule, *rows))


def _saved(measure: str) -> Any:
    return json.loads((FOLDER / "full" / f"{measure}.json").read_text())


if __name__ == "__main__":
    write()
