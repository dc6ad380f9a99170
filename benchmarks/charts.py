"""The figures: bars that compare contenders, and curves. Needs matplotlib.

Nothing is drawn behind them, and what is neither bar nor line has a grey that reads on white and on
black.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Patch

from .results import Figure, Found

GREY = "#7d8590"
#: Ours, and the others; then the second and third quantity of a chart, and curves.
OURS, OTHERS = "#2f81f7", "#a5772a"
COLOURS = ("#2f81f7", "#a5772a", "#3fa34d", "#a371f7", "#e5534b", "#7d8590", "#1b9aaa", "#d4568a")

mpl.use("svg")
mpl.rcParams.update(
    {
        "svg.hashsalt": "jobrunner",  # the same ids each time
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 10,
        **dict.fromkeys(
            ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), GREY
        ),
    }
)


class Bars(NamedTuple):
    """A bar for each contender and quantity; a whisker from the least to the most that was seen."""

    name: str
    title: str
    measure: str
    #: Patterns of quantities, and what the legend calls them.
    quantities: Sequence[tuple[str, str]]
    log: bool = False


class Curves(NamedTuple):
    name: str
    title: str
    measure: str
    x: str
    y: str
    #: Which curves: those whose names begin so.
    begin: str = ""
    log_x: bool = False
    log_y: bool = False


CHARTS: tuple[Bars | Curves, ...] = (
    Bars(
        "throughput",
        "Runs a second, no-op jobs that come due at once (more is better)",
        "throughput",
        [("runs/s", "")],
        log=True,
    ),
    Bars(
        "lateness",
        "Lateness in ms, 100 jobs a second (less is better)",
        "lateness",
        [("p50", "p50"), ("p99", "p99")],
        log=True,
    ),
    Bars(
        "saturated",
        "Due runs that take place on a saturated web worker, % (more is better)",
        "saturated",
        [("due runs that took place", "")],
    ),
    Bars(
        "duplicates",
        "Runs for each that was due (1 is right)",
        "duplicates",
        [("runs / expected", "")],
    ),
    Bars(
        "redis_cost",
        "Redis commands a run (less is better)",
        "redis_cost",
        [("busy, 100 jobs at *, 1 instance: commands", "")],
        log=True,
    ),
    Bars(
        "takeover",
        "Seconds from the signal to the next start elsewhere (less is better)",
        "takeover",
        [("SIGKILL: until the next start", "SIGKILL"), ("SIGTERM: until the next start", "TERM")],
    ),
    Bars(
        "memory",
        "Memory of the import beyond what it stands on, MiB (less is better)",
        "memory",
        [("imported", "")],
    ),
    Bars(
        "start",
        "Time of the import beyond what it stands on, ms (less is better)",
        "start",
        [("import", "")],
    ),
    Curves(
        "idle_cpu",
        "An idle instance: share of a core, %",
        "idle_cpu",
        "registered jobs",
        "%",
        log_x=True,
    ),
    Curves(
        "lateness_distribution",
        "Share of runs that began within so many milliseconds",
        "lateness",
        "ms after the due time",
        "share of runs",
        log_x=True,
    ),
    Curves(
        "idle_commands",
        "An idle instance: Redis commands a second",
        "redis_cost",
        "registered jobs",
        "commands a second",
        begin="idle",
        log_x=True,
    ),
    Curves(
        "busy_commands",
        "100 jobs due at once: Redis commands a run",
        "redis_cost",
        "instances",
        "commands a run",
        begin="busy",
    ),
)


def drawn(found: Found) -> Iterator[tuple[str, str]]:
    """Name and SVG of each chart that there are figures for."""
    for chart in CHARTS:
        svg = _bars(chart, found) if isinstance(chart, Bars) else _curves(chart, found)
        if svg is not None:
            yield chart.name, svg


def _bars(chart: Bars, found: Found) -> str | None:
    rows: list[tuple[str, list[Figure | None]]] = []
    for contender in found.contenders(chart.measure):
        figures = [found.figure(chart.measure, contender, what) for what, _ in chart.quantities]
        if any(figures):
            rows.append((contender, figures))
    if not rows:
        found.missing.append(f"the chart {chart.name}")
        return None
    several = len(chart.quantities)
    canvas, axes = _canvas(chart.title, height=0.9 + 0.34 * len(rows) * (1 + 0.6 * (several - 1)))
    height = 0.8 / several
    for at, (contender, figures) in enumerate(rows):
        for part, figure in enumerate(figures):
            if figure is None:
                continue
            ours = contender.startswith("library")
            colour = COLOURS[part] if several > 1 else OURS if ours else OTHERS
            y = at + (part - (several - 1) / 2) * height
            least, most = min(figure.values), max(figure.values)
            whisker = [[figure.median - least], [most - figure.median]]
            axes.barh(y, figure.median, height * 0.9, color=colour)
            axes.errorbar(figure.median, y, xerr=whisker, color=GREY, capsize=2, linewidth=1)
            words = f"{figure.median:,.0f}" if figure.median >= 100 else f"{figure.median:.3g}"
            axes.annotate(
                words, (most, y), (6, 0), textcoords="offset points", va="center", fontsize=8
            )
    axes.set_yticks(range(len(rows)), [contender for contender, _ in rows])
    axes.invert_yaxis()
    if chart.log:
        axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.tick_params(axis="y", length=0)
    if several > 1:
        handles = [Patch(color=COLOURS[part]) for part in range(several)]
        axes.legend(handles, [words for _, words in chart.quantities], frameon=False)
    return _svg(canvas)


def _curves(chart: Curves, found: Found) -> str | None:
    curves = {
        name: points
        for name, points in found.curves(chart.measure).items()
        if name.startswith(chart.begin)
    }
    if not curves:
        found.missing.append(f"the chart {chart.name}")
        return None
    canvas, axes = _canvas(chart.title, height=3.6)
    for (name, points), colour in zip(curves.items(), COLOURS * 4, strict=False):
        marker = "o" if len(points) < 20 else None
        x, y = zip(*points, strict=True)
        axes.plot(x, y, color=colour, label=name, marker=marker, markersize=4)
    if chart.log_x:
        axes.set_xscale("log")
    if chart.log_y:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(chart.x)
    axes.set_ylabel(chart.y)
    axes.grid(color=GREY, alpha=0.25, linewidth=0.6)
    if len(curves) > 1:
        axes.legend(frameon=False, fontsize=8)
    return _svg(canvas)


def _canvas(title: str, height: float) -> tuple[Canvas, Any]:
    canvas = Canvas(figsize=(7.6, height), layout="constrained")
    axes = canvas.add_subplot()
    axes.set_title(title, loc="left", fontsize=11)
    axes.patch.set_alpha(0)
    axes.spines[["top", "right"]].set_visible(False)
    return canvas, axes


def _svg(canvas: Canvas) -> str:
    file = io.StringIO()
    canvas.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    # Blanks at the ends of lines are no part of a picture.
    return re.sub(r"[ \t]+$", "", file.getvalue(), flags=re.MULTILINE)
