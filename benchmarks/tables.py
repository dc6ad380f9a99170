"""The tables of the documentation, in Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from .results import Figure, Found

#: A table's place in a page.
_PLACE = re.compile(
    r"(<!-- table: begin (?P<name>[\w-]+) -->\n).*?(<!-- table: end -->)", re.DOTALL
)


class Column(NamedTuple):
    """A column of the table of all peers."""

    title: str
    measure: str
    #: Patterns of the quantities, shown beside each other.
    quantities: Sequence[str]


COLUMNS = (
    Column("runs a second", "throughput", ["runs/s"]),
    Column("lateness p50 / p99, ms", "lateness", ["p50", "p99"]),
    Column("runs for each due, several schedulers", "duplicates", ["runs / expected"]),
    Column("Redis commands a run", "redis_cost", ["busy, 100 jobs at *, 1 instance: commands"]),
    Column("idle commands a second", "redis_cost", ["idle, 1000 jobs, 1 instance: commands"]),
    Column("due runs on a saturated worker, %", "saturated", ["due runs that took place"]),
    Column("SIGKILL: next start after, s", "takeover", ["SIGKILL: until the next start"]),
    Column("import, ms", "start", ["import"]),
    Column("import, MiB", "memory", ["imported"]),
)


def put_into(page: str, found: Found) -> str:
    """The page with each table in its place."""

    def table(place: re.Match[str]) -> str:
        name = place["name"]
        if name != "peers" and name not in found.measures:
            found.missing.append(f"the table {name}")
            return place[0]
        lines = peers(found) if name == "peers" else measure(found, name)
        return place[1] + "\n".join(lines) + "\n" + place[3]

    return _PLACE.sub(table, page)


def peers(found: Found) -> list[str]:
    """One row for each contender that at least two columns know."""
    columns = [column for column in COLUMNS if column.measure in found.measures]
    rows = chain.from_iterable(found.contenders(column.measure) for column in columns)
    lines = _head(["", *(column.title for column in columns)])
    for name in dict.fromkeys(rows):
        cells = [_cell(found, column, name) for column in columns]
        if sum(map(bool, cells)) > 1:
            lines.append(_line([name, *cells]))
    return lines


def measure(found: Found, name: str) -> list[str]:
    """All that a measure found: a row for each contender, a column for each quantity."""
    rows = found.measures[name]["rows"]
    quantities = list(dict.fromkeys(quantity for row in rows.values() for quantity in row))
    units = {quantity: told["unit"] for row in rows.values() for quantity, told in row.items()}
    titles = [f"{one}, {units[one]}" if units[one] else one for one in quantities]
    lines = _head(["", *titles])
    for contender, row in rows.items():
        cells = []
        for quantity in quantities:
            told = row.get(quantity)
            figure = told and Figure(told["values"], told["unit"])
            cells.append(_shown(figure) + _around(figure) if figure else "")
        lines.append(_line([contender, *cells]))
    told = [f"{'Held' if held else 'Missed'}: {goal}." for goal, held in goals(found, name)]
    if found.measures[name].get("form") == "short":
        told.append("From the short form.")
    return [*lines, "", " ".join(told), ""] if told else lines


def goals(found: Found, name: str) -> list[tuple[str, bool]]:
    """What was asked of the library, with the figure in it, and whether it held."""
    return list(found.measures[name].get("goals", {}).items())


def _cell(found: Found, column: Column, name: str) -> str:
    figures = [found.figure(column.measure, name, what) for what in column.quantities]
    return " / ".join(map(_shown, figures)) if all(figures) else ""


def _shown(figure: Figure | None) -> str:
    if figure is None:
        return ""
    return f"{figure.median:,.0f}" if abs(figure.median) >= 1000 else f"{figure.median:.3g}"


def _around(figure: Figure) -> str:
    return f" ±{figure.spread / 2:.2g}" if len(figure.values) > 1 else ""


def _head(titles: list[str]) -> list[str]:
    return [_line(titles), "|" + " --- |" * len(titles)]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
