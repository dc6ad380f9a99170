"""The jobs that people have touched, until Redis has told what became of them."""

from __future__ import annotations

from collections.abc import Iterable

from ..store.answers import Control
from .agenda import Agenda, Entry
from .executor import Executor


class Touches:
    """Looks that are owed: the stream tells of a touch once, and the look after it may fail."""

    def __init__(self, agenda: Agenda, executor: Executor) -> None:
        self._agenda = agenda
        self._executor = executor
        self._heard: dict[str, None] = {}
        self._owed: dict[str, None] = {}

    def hear(self, control: Control) -> None:
        """Take in what one call heard. Its own answers may be older, on a Cluster."""
        names = self._names() if control.everything else control.names
        self._heard.update(dict.fromkeys(names))

    def owed(self) -> list[Entry]:
        """All that is to be looked at, for a tick that begins."""
        self.heard()
        return self._entries(self._owed)

    def heard(self) -> list[Entry]:
        """What was heard of since the last call; owed from now on."""
        heard, self._heard = self._heard, {}
        self._owed.update(heard)
        return self._entries(heard)

    def answered(self, entries: Iterable[Entry]) -> None:
        """Redis has told how these stand, to a call that was sent when the touches were known."""
        if self._owed:
            for entry in entries:
                self._owed.pop(entry.definition.name, None)

    def _entries(self, names: Iterable[str]) -> list[Entry]:
        found = []
        for name in list(names):
            entry = self._entry_of(name)
            if entry is None:
                self._owed.pop(name, None)  # no job of ours
            else:
                found.append(entry)
        return found

    def _names(self) -> list[str]:
        """Of the jobs that this instance has to do with."""
        ours = [entry.definition.name for entry in self._agenda.everything()]
        return ours + [active.name for active in self._executor.active()]

    def _entry_of(self, name: str) -> Entry | None:
        """The job of that name; of one that was taken away and still runs here an entry to look
        at, for somebody may want to stop it.
        """
        entry = self._agenda.entry(name)
        if entry is not None:
            return entry
        running = [a.definition for a in self._executor.active() if a.definition.name == name]
        return Entry(running[0]) if running else None
