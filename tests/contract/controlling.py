"""What the tests of controls and skips share: instances that hear, and what they were told."""

from __future__ import annotations

from jobrunner.engine.due import due_again
from jobrunner.job import JobDefinition
from jobrunner.store.answers import Answer, Ask, Control, Controlled, Known, Status
from jobrunner.store.redis import RedisStore

from .fleet import Fleet


def control(
    fleet: Fleet,
    definition: JobDefinition,
    what: str,
    *words: str,
    store: RedisStore | None = None,
) -> Controlled:
    return (store or fleet.one).control(definition, what, *words)


def trigger(
    fleet: Fleet, definition: JobDefinition, request: str, *, queue: bool = False
) -> Controlled:
    return control(fleet, definition, "trigger", request, "1" if queue else "")


def knowing(
    fleet: Fleet, definition: JobDefinition, known: Known, run_id: str = "", note: str = ""
) -> Ask:
    """The question of an instance that knows `known`, as the engine would ask it."""
    assert fleet.now_ms is not None
    due = due_again(definition, known, fleet.now_ms)
    return Ask(definition, run_id, known.version, due.early_until_ms, due.at_ms, note)


def ask(store: RedisStore, question: Ask) -> Answer:
    (answer,) = store.claim([question])
    assert isinstance(answer, Answer)
    return answer


def look(fleet: Fleet, definition: JobDefinition, store: RedisStore | None = None) -> Known:
    """What an instance learns that knew nothing of the job."""
    return ask(store or fleet.one, Ask(definition, "", "?", -(10**15), 0)).known


def claim(
    fleet: Fleet, definition: JobDefinition, run_id: str, store: RedisStore | None = None
) -> Answer:
    """Learn what there is to know, and then claim."""
    known = look(fleet, definition, store)
    return ask(store or fleet.one, knowing(fleet, definition, known, run_id))


def ran(fleet: Fleet, definition: JobDefinition, run_id: str) -> None:
    """One run, from its claim to a success."""
    assert Status.CLAIMED == claim(fleet, definition, run_id).status
    fleet.finish(definition, run_id)


class Listener:
    """What one instance heard of the control stream, each time it asked."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._heard: list[Control] = []
        store.on_control = self._heard.append

    def listen(self) -> tuple[bool, list[str]] | None:
        """Ask once: whether everything is to be looked at, and the names; None: nothing new."""
        self._heard.clear()
        self._store.claim([])
        if not self._heard:
            return None
        (control,) = self._heard
        return control.everything, list(control.names)
