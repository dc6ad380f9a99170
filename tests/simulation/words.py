"""How the history puts things. Made into text only when a story is told aloud."""

from __future__ import annotations

from typing import Any

from .server import Holding


class Said:
    """The gist of an answer, for the history."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def __str__(self) -> str:
        if not isinstance(self._answer, list):
            return str(self._answer)
        parts = [part[0] if isinstance(part, list) else part for part in self._answer]
        words = [part.decode() if isinstance(part, bytes) else str(part) for part in parts]
        return " ".join(word for word in words if len(word) < 12)  # not the time


class Stands:
    """What has become of a job in Redis, for the history."""

    def __init__(self, name: str, holding: Holding) -> None:
        self._name = name
        self._holding = holding

    def __str__(self) -> str:
        held = self._holding
        row = f", {held.abandoned_in_row} abandoned in a row" if held.abandoned_in_row else ""
        if held.run is None:
            return f"{self._name} is free{row}"
        return f"{self._name} is run {held.run} of {held.instance}, token {held.token}{row}"
