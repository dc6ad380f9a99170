"""docs/scaling.md has no figure but the saved ones."""

from __future__ import annotations

import re

from benchmarks.scale_docs import FIGURES, PAGE, drawings, rendered, tables


def test_its_tables_are_the_saved_ones() -> None:
    page = PAGE.read_text()

    assert page == rendered(page)
    assert set(tables()) == set(re.findall(r"<!-- figures: (.*?) -->", page))


def test_its_drawings_are_the_saved_ones() -> None:
    drawn = {f"{name}.svg": drawing for name, drawing in drawings().items()}

    assert set(drawn) == set(re.findall(r"\(figures/(.*?)\)", PAGE.read_text()))
    for name, drawing in drawn.items():
        assert drawing == (FIGURES / name).read_text()
