"""Text from elsewhere, before a terminal sees it.

Job names, error texts, messages and host names come from Redis, and so from whoever may write
there. A control character among them could move the cursor, set the window's title or answer for
the user; one that changes the direction of writing could make a text say something else.
"""

from __future__ import annotations

import unicodedata


def safe(text: object) -> str:
    """`text` on one line, with every character that is not printable as an escape: `\\x1b`."""
    return "".join(char if char.isprintable() else _escaped(char) for char in str(text))


def safe_lines(text: object) -> str:
    """The same, but line ends stay line ends: for tracebacks and messages of our own."""
    return "\n".join(map(safe, str(text).splitlines()))


def width(text: str) -> int:
    """The columns that `text` takes on a terminal."""
    return sum(map(_columns, text))


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
