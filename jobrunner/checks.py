"""What the tables of settings and policies share: checks of values, and of their names."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

#: Turns what was given into the value that counts; ValueError says what is allowed.
Check = Callable[[Any], Any]


def optional(check: Check) -> Check:
    """The same, and None is allowed."""
    return lambda value: None if value is None else check(value)


def count(least: int, most: int) -> Check:
    """A whole number from `least` to `most`."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return value

    return check


def refuse_unknown(
    keywords: Mapping[str, Any], known: Iterable[str], *, whose: str, what: str
) -> None:
    """`TypeError` for a keyword that is not known, as for any function's keyword; it suggests the
    nearest, or names them all.
    """
    names = list(known)
    for name in keywords:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f": did you mean {near[0]!r}?" if near else f"; the {what} are {names}."
            raise TypeError(f"{whose} got an unexpected keyword argument {name!r}{hint}")
