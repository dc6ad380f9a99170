"""The agenda: when each job may be due, as far as this instance knows. Pure; reads no clock.

A heap of moments, not a list of jobs: what is not due costs nothing. A moment is the earliest
at which asking Redis about the job can be worth a question: its next due time, or the end of
somebody's lease on it, whichever comes first. All times are Redis's milliseconds.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Iterable
from itertools import count

from ..job import JobDefinition
from ..quarantine import quarantined_until_ms
from ..schedules import Schedule
from ..store.answers import UNKNOWN, Ask, Known

#: Earlier than any clock, an injected one too.
_LONG_AGO_MS = -(10**15)

#: Moments that were put off and stand in the heap all the same, beside one a job.
_SPARE_MOMENTS = 100


class Entry:
    """One job in the agenda of this instance."""

    __slots__ = (
        "at_ms",
        "computed_from",
        "definition",
        "due_ms",
        "early_until_ms",
        "in_future",
        "run_id",
    )

    def __init__(self, definition: JobDefinition) -> None:
        self.definition = definition
        #: When to ask; None: only when the rolling look comes by.
        self.at_ms: int | None = None
        self.computed_from = UNKNOWN
        self.due_ms = 0
        self.early_until_ms = _LONG_AGO_MS
        #: The last start lies further ahead than any right clock could have written.
        self.in_future = False
        #: The id of a claim whose answer has not arrived; '' when none is under way.
        self.run_id = ""

    def may_be_claimed(self, now_ms: int) -> bool:
        """Whether a claim could succeed, as far as is known here; else it is only looked at."""
        return self.computed_from != UNKNOWN and now_ms > self.early_until_ms

    def ask(self) -> Ask:
        """The question for Redis: a claim when there is a run id, else a look."""
        return Ask(
            self.definition, self.run_id, self.computed_from, self.early_until_ms, self.due_ms
        )


class Agenda:
    """When may each job be due?"""

    def __init__(self, check_interval_ms: int, quarantine_after: int = 3) -> None:
        self._check_interval_ms = check_interval_ms
        self._quarantine_after = quarantine_after
        self._entries: dict[str, Entry] = {}
        self._heap: list[tuple[int, int, Entry]] = []
        self._order = count()
        #: Due, and without a free slot here: the first to come is the first to be served. A job
        #: stands here or in the heap, never in both: it must not be claimed twice in one call.
        self._waiting: OrderedDict[Entry, None] = OrderedDict()
        self._ring: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def has_waiting(self) -> bool:
        """Whether a job waits for a free slot of this instance."""
        return bool(self._waiting)

    def sync(self, definitions: Iterable[JobDefinition]) -> None:
        """Follow the registry: what is new or changed is asked about at once."""
        wanted = {definition.name: definition for definition in definitions}
        for name in [n for n in self._entries if n not in wanted]:
            del self._entries[name]
        for name, definition in wanted.items():
            entry = self._entries.get(name)
            if entry is None or entry.definition is not definition:
                entry = self._entries[name] = Entry(definition)
                self.put(entry, 0)
        self._ring = deque(self._entries.values())

    def entry(self, name: str) -> Entry | None:
        return self._entries.get(name)

    def everything(self) -> list[Entry]:
        """Every job, for a look at all of them."""
        return list(self._entries.values())

    def take_slice(self, number: int) -> list[Entry]:
        """The next `number` jobs of the rolling look, round and round."""
        number = min(number, len(self._ring))
        taken = [self._ring[i] for i in range(number)]
        self._ring.rotate(-number)
        return taken

    def take_due(self, now_ms: int, slots: int, limit: int) -> tuple[list[Entry], list[Entry]]:
        """Take what is to be asked about now: at most `slots` to claim, the others to look at.

        What could be claimed and finds no slot waits, in order, for the next call.
        """
        claims: list[Entry] = []
        looks: list[Entry] = []
        while self._waiting and len(claims) < min(slots, limit):
            entry, _ = self._waiting.popitem(last=False)
            if self._is_current(entry):
                claims.append(entry)
        while self._heap and self._heap[0][0] <= now_ms and len(claims) + len(looks) < limit:
            at_ms, _, entry = heapq.heappop(self._heap)
            if entry.at_ms != at_ms or not self._is_current(entry):
                continue
            entry.at_ms = None
            if not entry.may_be_claimed(now_ms):
                looks.append(entry)
            elif len(claims) < slots:
                claims.append(entry)
            else:
                self._waiting[entry] = None
        return claims, looks

    def put(self, entry: Entry, at_ms: int) -> None:
        """Ask about the job at `at_ms`, and not at the moment that was put before."""
        self._waiting.pop(entry, None)
        if entry.at_ms == at_ms:
            return  # it stands in the heap, which each look would make longer
        entry.at_ms = at_ms
        heapq.heappush(self._heap, (at_ms, next(self._order), entry))
        if len(self._heap) > 2 * len(self._entries) + _SPARE_MOMENTS:
            self._forget_old_moments()

    def put_first(self, entry: Entry) -> None:
        """Ask again with the next free slot, before all others: a claim without an answer may
        have been granted, and then it has a slot already.
        """
        self._waiting[entry] = None
        self._waiting.move_to_end(entry, last=False)
        entry.at_ms = None

    def shelve(self, entry: Entry) -> None:
        """Ask only when the rolling look comes by; nothing is known of the job."""
        self._waiting.pop(entry, None)
        entry.at_ms = None
        entry.computed_from = UNKNOWN

    def learn(self, entry: Entry, known: Known, now_ms: int) -> None:
        """Take in what Redis said of the job, and put the moment that follows from it."""
        entry.due_ms, early_until_ms, entry.in_future = due_again(entry.definition, known, now_ms)
        entry.early_until_ms = max(early_until_ms, self._quarantined_until_ms(known))
        entry.computed_from = known.version
        self.put(entry, self._moment(entry, known, now_ms))

    def _quarantined_until_ms(self, known: Known) -> int:
        until_ms = quarantined_until_ms(
            known.abandoned_in_row, known.abandoned_ms, self._quarantine_after
        )
        return _LONG_AGO_MS if until_ms is None else until_ms

    def next_ms(self) -> int | None:
        """The earliest moment at which something is to be asked; None: nothing is known."""
        while self._heap:
            at_ms, _, entry = self._heap[0]
            if entry.at_ms == at_ms and self._is_current(entry):
                return at_ms
            heapq.heappop(self._heap)
        return None

    def _forget_old_moments(self) -> None:
        self._heap = [
            (entry.at_ms, next(self._order), entry)
            for entry in self._entries.values()
            if entry.at_ms is not None
        ]
        heapq.heapify(self._heap)

    def _moment(self, entry: Entry, known: Known, now_ms: int) -> int:
        opens_ms = entry.early_until_ms + 1
        if known.running is None:
            return opens_ms
        lease_end_ms = now_ms + known.lease_left_ms
        if opens_ms <= now_ms:
            # Overdue, and held: whoever finishes it may die before it claims the next run.
            opens_ms = now_ms + self._check_interval_ms
        return min(opens_ms, lease_end_ms)

    def _is_current(self, entry: Entry) -> bool:
        return self._entries.get(entry.definition.name) is entry


def due_again(definition: JobDefinition, known: Known, now_ms: int) -> tuple[int, int, bool]:
    """The next due time (0: at once), until when it is too early for it, and whether the last
    start lies in an impossible future.

    A job that recovers is due at once for what was abandoned, and with that due time, so that
    the run can know what it repeats.
    """
    if definition.policies.recover and known.abandoned_due_ms is not None:
        return known.abandoned_due_ms, _LONG_AGO_MS, False
    due_ms, in_future = due_after(definition.schedule, known, now_ms)
    early_until_ms = definition.schedule.early_until_ms(due_ms) if due_ms else _LONG_AGO_MS
    return due_ms, early_until_ms, in_future


def due_after(schedule: Schedule, known: Known, now_ms: int) -> tuple[int, bool]:
    """The next due time (0: at once), and whether the last start lies in an impossible future.

    A last start a little ahead of now, by less than the schedule tolerates, is simply not due
    yet: else a small step back of the clock would start jobs twice.
    """
    if known.last_ms is None:
        return schedule.first_due_ms(known.first_seen_ms or now_ms), False
    if known.last_ms > now_ms + schedule.future_tolerance_ms:
        return 0, True
    return schedule.next_due_ms(known.last_ms), False
