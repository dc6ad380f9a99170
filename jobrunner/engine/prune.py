"""Prune: which jobs that were announced are nobody's any more, and may go.

The fleet does not keep who registers what. What it keeps are the instances that announced a job
last, and those that ran it last: where one of them lives, the job is somebody's. Another live
instance may still know it; so a person is asked before anything goes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ..keys import FleetKeys, JobKeys
from ..registry import Registry
from ..store.leftovers import Announced, Leftovers


@dataclass(frozen=True, slots=True)
class Candidate:
    """A job that is announced, and not registered here."""

    announced: Announced
    #: The keys that go with it; None: none do.
    keys: JobKeys | None
    #: Why it stays; None: it may go.
    refusal: str | None
    #: Why its keys stay though it goes.
    note: str | None = None

    @property
    def name(self) -> str:
        return self.announced.name


def candidates(
    leftovers: Leftovers, registry: Registry, namespace: str, live: Collection[str]
) -> list[Candidate]:
    """The announced jobs that are not registered here; `live` are the ids of live instances."""
    foreign = [one for one in leftovers.announced() if one.name not in registry]
    known = [one.keys for one in foreign if one.keys is not None]
    ran_by = dict(zip(known, leftovers.runners(known), strict=True))
    owned: dict[str, str] = dict.fromkeys(FleetKeys.of(namespace).all(), "the namespace")
    for definition in registry:
        owned.update(dict.fromkeys(definition.keys.all(), repr(definition.name)))
    refusals = [refusal(one, ran_by.get(one.keys, ()) if one.keys else (), live) for one in foreign]
    for one, refused in zip(foreign, refusals, strict=True):
        if refused is not None and one.keys is not None:
            owned.update(dict.fromkeys(one.keys.all(), repr(one.name)))
    return [judged(one, why, owned) for one, why in zip(foreign, refusals, strict=True)]


def refusal(announced: Announced, ran_by: Collection[str], live: Collection[str]) -> str | None:
    """Why it must stay: an instance that lives knows it. None: none is known to."""
    announcers = [instance for instance in announced.instances if instance in live]
    if announcers:
        return f"the live instance {announcers[-1]} announced it"
    lively = sorted(set(ran_by) & set(live))
    return f"the live instance {lively[0]} has run it" if lively else None


def judged(announced: Announced, refused: str | None, owned: Mapping[str, str]) -> Candidate:
    """What may go of it, where `owned` are the keys that stay, with whose they are."""
    if refused is not None:
        return Candidate(announced, None, refused)
    if announced.keys is None:
        note = "its definition cannot be read, so its keys are not known, and stay"
        return Candidate(announced, None, None, note)
    owner = next((owned[key] for key in announced.keys.all() if key in owned), None)
    if owner is not None:
        return Candidate(announced, None, None, f"its keys are those of {owner}, and stay")
    return Candidate(announced, announced.keys, None)


def remove(leftovers: Leftovers, candidate: Candidate) -> str | None:
    """Remove what may go of it: its keys first, its definition when they are gone. None: it is
    done; else why not.
    """
    if candidate.refusal is not None:
        return candidate.refusal
    if candidate.keys is not None:
        refusal = leftovers.remove_keys(candidate.keys)
        if refusal == "held":
            return "somebody holds its lease: it runs"
        if refusal is not None:
            return f"it cannot be read, so remove it by hand: {refusal}"
    leftovers.forget(candidate.announced)
    return None
