"""What the commands write: tables, in plain text or drawn by rich, and lines."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import click

from .safe import safe, safe_lines, width

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

Row = Sequence[str]

#: The words that a coloured column may begin with.
_STYLES = {
    "succeeded": "green",
    "ok": "green",
    "failed": "red",
    "fail": "red",
    "stale": "red",
    "lease_lost": "red",
    "abandoned": "red",
    "timed_out": "red",
    "unreadable": "red",
    "overdue": "red",
    "warn": "yellow",
    "paused": "yellow",
    "quarantined": "yellow",
    "cancelled": "yellow",
    "interrupted": "yellow",
    "running": "cyan",
    "requested": "cyan",
}


def is_terminal() -> bool:
    """Whether a person reads the output, on something that can move its cursor."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") != "dumb"


def draws() -> bool:
    """Whether rich draws: it is installed, and the output is a terminal that can show it."""
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "")
    if not is_terminal() or encoding != "utf8":
        return False
    try:
        import rich.console  # noqa: F401
    except ImportError:
        return False
    return True


def console() -> Console:
    """rich's, which takes no text for its markup. It respects NO_COLOR."""
    from rich.console import Console

    return Console(file=sys.stdout, force_terminal=True, markup=False, emoji=False, highlight=False)


def show_table(head: Row, rows: Sequence[Row], *, coloured: Collection[str] = ()) -> None:
    """Write a table; the words of the `coloured` columns get the colour of what they mean."""
    if draws():
        console().print(drawn_table(head, rows, coloured=coloured))
    else:
        say("\n".join(plain_table(head, rows)))


def plain_table(head: Row, rows: Sequence[Row]) -> list[str]:
    """A table as lines of aligned columns."""
    cells = [head, *([safe(cell) for cell in row] for row in rows)]
    widths = [max(width(row[column]) for row in cells) for column in range(len(head))]
    lines = []
    for row in cells:
        padded = (cell + " " * (to - width(cell)) for cell, to in zip(row, widths, strict=True))
        lines.append("  ".join(padded).rstrip())
    return lines


def drawn_table(head: Row, rows: Sequence[Row], *, coloured: Collection[str] = ()) -> Table:
    """A table as rich draws it."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for title in head:
        table.add_column(title, overflow="fold")
    for row in rows:
        cells = zip(head, row, strict=True)
        table.add_row(*(drawn_text(cell, title in coloured) for title, cell in cells))
    return table


def drawn_text(text: str, coloured: bool = False) -> Text:
    """A text as it is: what looks like markup in it is none."""
    from rich.text import Text

    return Text(safe(text), style=style_of(text) if coloured else "")


def style_of(text: str) -> str:
    """The style of a word, or of what begins with it."""
    word = text.replace(",", " ").replace(":", " ").partition(" ")[0]
    return _STYLES.get(word, "")


def show_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Write names and values, one a line."""
    widest = max(len(name) for name, _ in facts)
    if draws():
        from rich.text import Text

        for name, value in facts:
            line = Text(name.ljust(widest + 2), style="bold")
            line.append_text(drawn_text(value, coloured=name in ("state", "last outcome")))
            console().print(line, soft_wrap=True)
    else:
        say("\n".join(f"{name.ljust(widest)}  {safe(value)}" for name, value in facts))


def say(text: object, *, err: bool = False) -> None:
    """Write lines, harmless to a terminal, and in letters that the output knows."""
    stream: Any = sys.stderr if err else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    told = safe_lines(text)
    click.echo(told.encode(encoding, "backslashreplace").decode(encoding), err=err)


def lines_free() -> int:
    """How many lines the terminal has."""
    return shutil.get_terminal_size().lines
