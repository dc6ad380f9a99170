"""What a measure found: figures with their repeats, and ratios of what was measured in one run."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "results"

#: So many figures of a contender are shown in one line.
_BESIDE = 3


@dataclass(frozen=True)
class Figure:
    """One quantity, as often as it was measured."""

    values: Sequence[float]
    unit: str

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """From the smallest to the largest."""
        return max(self.values) - min(self.values)

    def __str__(self) -> str:
        return f"{self.median:.4g} {self.unit} (±{self.spread / 2:.2g}, {len(self.values)})"


@dataclass
class Result:
    """What one measure found: `rows[contender][quantity]`."""

    measure: str
    #: In a sentence or two: what was done, so that somebody could do it again.
    conditions: str
    rows: dict[str, dict[str, Figure]] = field(default_factory=dict)
    #: What is asked of the library, as a sentence, and whether it held; with the figure in it.
    goals: dict[str, bool] = field(default_factory=dict)
    #: What a figure cannot say: why one is missing, what differs.
    notes: list[str] = field(default_factory=list)
    #: Series for a curve: name → points.
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def add(self, contender: str, quantity: str, values: Sequence[float], unit: str) -> Figure:
        figure = Figure([float(value) for value in values], unit)
        self.rows.setdefault(contender, {})[quantity] = figure
        return figure

    def goal(self, words: str, held: bool) -> None:
        self.goals[words] = held

    def save(self, folder: str) -> Path:
        """Write `results/<folder>/<measure>.json`."""
        path = FOLDER / folder / f"{self.measure}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = {
            contender: {
                quantity: {**asdict(figure), "median": figure.median, "spread": figure.spread}
                for quantity, figure in figures.items()
            }
            for contender, figures in self.rows.items()
        }
        words = {**asdict(self), "rows": rows, "machine": machine()}
        path.write_text(json.dumps(words, indent=1) + "\n")
        return path

    def show(self) -> None:
        """Print it."""
        print(f"\n== {self.measure}\n{self.conditions}")
        for contender, figures in self.rows.items():
            shown = [f"{quantity} {figure}" for quantity, figure in figures.items()]
            for first in range(0, len(shown), _BESIDE):
                name = "" if first else contender
                print(f"  {name:28} {'   '.join(shown[first : first + _BESIDE])}")
        for note in self.notes:
            print(f"  note: {note}")
        for words, held in self.goals.items():
            print(f"  {'held' if held else 'MISSED'}: {words}")


def machine() -> Mapping[str, object]:
    """What was measured on."""
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


class Found:
    """What was found before, as `Result.save` wrote it."""

    def __init__(self, measures: Mapping[str, Mapping[str, Any]]) -> None:
        self.measures = measures
        #: What was asked for and is not there, in words.
        self.missing: list[str] = []

    @classmethod
    def read(cls, *folders: Path) -> Found:
        """What lies in the folders; what several have, from the last of them."""
        return cls(
            {
                path.stem: {**json.loads(path.read_text()), "form": folder.name}
                for folder in folders
                for path in sorted(folder.glob("*.json"))
            }
        )

    def figure(self, measure: str, contender: str, pattern: str) -> Figure | None:
        """What a contender's first quantity is whose name matches; None: it has none."""
        rows = self.measures.get(measure, {}).get("rows", {})
        for quantity, told in rows.get(contender, {}).items():
            if fnmatchcase(quantity, pattern):
                return Figure(told["values"], told["unit"])
        return None

    def contenders(self, measure: str) -> list[str]:
        """Who was measured, in its order; a measure that is not there is noted as missing."""
        if measure not in self.measures:
            self.missing.append(f"the measure {measure}")
            return []
        return list(self.measures[measure]["rows"])

    def curves(self, measure: str) -> Mapping[str, Sequence[tuple[float, float]]]:
        curves: Mapping[str, Sequence[tuple[float, float]]]
        curves = self.measures.get(measure, {}).get("curves", {})
        return curves
