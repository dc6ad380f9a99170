"""What comes from elsewhere reaches the terminal as text, and as nothing else."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from jobrunner.faces.cli import screen
from jobrunner.faces.cli.safe import safe, safe_lines, width

from .shells import NASTY, raw_controls


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("purge", "purge"),
        ("täglich 日本 🙂", "täglich 日本 🙂"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\rb\nc\td", r"a\rb\nc\td"),
        ("\x9b31m\x07\x7f", r"\x9b31m\x07\x7f"),
        ("\u202egnp", r"\u202egnp"),
        ("\u2028", r"\u2028"),
        ("\ud800", r"\ud800"),
        ("[red]no markup[/red]", "[red]no markup[/red]"),
        (None, "None"),
    ],
)
def test_what_is_not_printable_is_escaped(text: object, shown: str) -> None:
    assert shown == safe(text)
    assert safe(text).isprintable()


def test_lines_stay_lines() -> None:
    assert "Traceback:\n  \\x1b[1mhere" == safe_lines("Traceback:\r\n  \x1b[1mhere\n")


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("", 0)])
def test_the_columns_that_a_text_takes(text: str, columns: int) -> None:
    assert columns == width(text)


def test_a_plain_table_is_aligned_and_harmless() -> None:
    lines = screen.plain_table(("JOB", "OUTCOME"), [("日本", "ok"), (NASTY, "failed"), ("a", "-")])

    assert [] == raw_controls("\n".join(lines))
    assert {width(safe(NASTY)) + 2} == {
        width(line[: re.search(r"\S+$", line).start()])  # type: ignore[union-attr]
        for line in lines
    }


class TestDrawnByRich:
    @pytest.fixture
    def drawn(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        def draw(**environment: str) -> str:
            for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
                monkeypatch.delenv(name, raising=False)
            for name, value in {"TERM": "xterm-256color", "COLUMNS": "120", **environment}.items():
                monkeypatch.setenv(name, value)
            output = io.StringIO()
            monkeypatch.setattr("sys.stdout", output)
            rows = [(NASTY, "failed"), ("b", "succeeded")]
            screen.console().print(
                screen.drawn_table(("JOB", "OUTCOME"), rows, coloured=("OUTCOME",))
            )
            screen.console().print(screen.drawn_text("[bold]:smile:\x1b[2J"))
            return output.getvalue()

        return draw

    def test_controls_and_markup_are_text(self, drawn: Any) -> None:
        # Its own colours begin with ESC [ and end with m, and nothing else does.
        seen = re.sub(r"\x1b\[[\d;]*m", "", drawn())

        assert [] == raw_controls(seen)
        assert safe(NASTY) in seen
        assert r"[bold]:smile:\x1b[2J" in seen

    def test_an_outcome_has_its_colour_unless_there_are_to_be_none(self, drawn: Any) -> None:
        assert re.search(r"\x1b\[31mfailed", drawn())
        assert re.search(r"\x1b\[32msucceeded", drawn())
        assert not re.search(r"\x1b\[3[0-9]", drawn(NO_COLOR="1"))


class TestSaying:
    def test_letters_that_the_output_does_not_know_are_escaped(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        raw = io.BytesIO()
        monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))

        screen.say("täglich")
        screen.sys.stdout.flush()

        assert b"t\\xe4glich\n" == raw.getvalue()


class TestWhoDraws:
    @pytest.mark.parametrize(
        ("terminal", "encoding", "term", "draws"),
        [
            (True, "utf-8", "xterm", True),
            (True, "UTF8", "xterm", True),
            (False, "utf-8", "xterm", False),
            (True, "ascii", "xterm", False),
            (True, "utf-8", "dumb", False),
        ],
    )
    def test_rich_draws_on_a_terminal_that_can_show_it(
        self,
        monkeypatch: pytest.MonkeyPatch,
        terminal: bool,
        encoding: str,
        term: str,
        draws: bool,
    ) -> None:
        output = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(output, "isatty", lambda: terminal, raising=False)
        monkeypatch.setattr("sys.stdout", output)
        monkeypatch.setenv("TERM", term)

        assert draws is screen.draws()

    def test_nobody_draws_without_rich(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from .shells import without_rich

        monkeypatch.setattr(screen, "is_terminal", lambda: True)
        without_rich(monkeypatch)

        assert screen.draws() is False
