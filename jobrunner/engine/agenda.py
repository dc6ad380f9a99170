"""The agenda: when each job may be due, as far as this instance knows. Pure; reads no clock.

By moment, not job by job: what is not due costs nothing. A moment is the earliest at which asking
Redis about the job can be worth a question: its next due time, or the end of somebody's lease on
it, whichever comes first. All times are Redis's milliseconds.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping

from ..job import JobDefinition
from ..policies import DEFAULT
from ..quarantine import quarantined_until_ms
from ..run import Skip
from ..store.answers import OF_REQUEST, UNKNOWN, Ask, Known, new
from .due import LONG_AGO_MS, NEVER_MS, due_again, ordinarily_due_ms, overdue_since_ms
from .moments import Moments

#: Moments that count no more and are kept all the same, beside one a job.
_SPARE_MOMENTS = 100

#: The part of a check interval after which an overdue job that somebody holds is asked about again.
#: The rest is for the finish of the run that ends, the answer, and a machine with other work: from
#: the end of one run to the start of the next no more than one interval is to pass.
_LOOK_AGAIN = 3 / 4


class Entry:
    """One job in the agenda of this instance."""

    __slots__ = (
        "_to_tell",
        "_told",
        "at_ms",
        "computed_from",
        "definition",
        "due_ms",
        "early_until_ms",
        "in_future",
        "is_current",
        "is_plain",
        "known",
        "not_before_ms",
        "run_id",
        "since_ms",
    )

    def __init__(self, definition: JobDefinition) -> None:
        self.definition = definition
        #: Whether its policies are those of a job that names none.
        self.is_plain = definition.policies is DEFAULT
        #: When to ask; None: only when the rolling look comes by.
        self.at_ms: int | None = None
        self.computed_from = UNKNOWN
        self.due_ms = 0
        self.early_until_ms = LONG_AGO_MS
        #: What was learnt last.
        self.known: Known | None = None
        #: Until then it is not asked about, though it is due: its condition said no.
        self.not_before_ms = LONG_AGO_MS
        #: When the fleet first saw the job's schedule.
        self.since_ms = LONG_AGO_MS
        #: What is to be noted in Redis, and what was last, by reason: due times that passed.
        self._to_tell: dict[str, str] = {}
        self._told: dict[str, str] = {}
        #: The last start lies further ahead than any right clock could have written.
        self.in_future = False
        #: Whether the agenda still has it; else its job is gone, or another one.
        self.is_current = True
        #: The id of a claim whose answer has not arrived; '' when none is under way.
        self.run_id = ""

    def ask(self) -> Ask:
        """The question for Redis: a claim when there is a run id, else a look."""
        when = self.computed_from, self.early_until_ms, self.due_ms
        note = self.note if self._to_tell else ""
        return new(Ask, (self.definition, self.run_id, *when, note, self.known))

    @property
    def note(self) -> str:
        """What the next ask is to note in Redis; '' when there is nothing."""
        return next((f"{reason}:{times}" for reason, times in self._to_tell.items()), "")

    def tell(self, reason: str, *times_ms: int) -> bool:
        """Note something with one of the next asks; False: that was done."""
        times = ",".join(map(str, times_ms))
        if self._told.get(reason) == times:
            return False
        self._to_tell[reason] = times
        return True

    def has_told(self, note: str) -> None:
        """Redis has that note; others may wait, or have come meanwhile."""
        reason, _, times = note.partition(":")
        self._told[reason] = times
        if self._to_tell.get(reason) == times:
            del self._to_tell[reason]

    def is_late(self, now_ms: int) -> bool:
        """Whether the due time has become too old to be run for. What is repeated after an
        abandoned run never is: its run was in time.
        """
        policies, known = self.definition.policies, self.known
        if policies.recover and known is not None and known.abandoned_due_ms is not None:
            return False
        grace_ms = policies.grace_ms
        return grace_ms is not None and 0 < self.due_ms < now_ms - grace_ms


class Agenda:
    """When may each job be due?"""

    def __init__(self, check_interval_ms: int, quarantine_after: int = 3) -> None:
        self._check_interval_ms = check_interval_ms
        self._quarantine_after = quarantine_after
        self._entries: dict[str, Entry] = {}
        self._moments: Moments[Entry] = Moments()
        #: So many are kept at most, those that count no more with them.
        self._most_moments = _SPARE_MOMENTS
        #: Due, and without a free slot here: the first to come is the first to be served. A job
        #: stands here or at a moment, never in both: it must not be claimed twice in one call.
        self._waiting: OrderedDict[Entry, None] = OrderedDict()
        self._ring: deque[Entry] = deque()
        #: Claimed by this instance, with what was known then and when, the oldest first.
        self._begun: dict[Entry, tuple[Known, int]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def has_waiting(self) -> bool:
        """Whether a job waits for a free slot of this instance."""
        return bool(self._waiting)

    def sync(self, definitions: Iterable[JobDefinition], since_ms: Mapping[str, int]) -> None:
        """Follow the registry: what is new or changed is asked about at once. `since_ms`: when
        the fleet first saw the schedule of each.
        """
        wanted = {definition.name: definition for definition in definitions}
        for name in [n for n in self._entries if n not in wanted]:
            self._entries.pop(name).is_current = False
        for name, definition in wanted.items():
            entry = self._entries.get(name)
            if entry is None or entry.definition is not definition:
                if entry is not None:
                    entry.is_current = False
                entry = self._entries[name] = Entry(definition)
                entry.since_ms = since_ms.get(name, LONG_AGO_MS)
                self.put(entry, 0)
        self._ring = deque(self._entries.values())
        self._most_moments = 2 * len(self._entries) + _SPARE_MOMENTS

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
        if len(self._moments) > self._most_moments:
            self._moments.rebuild(self._entries.values())
        claims: list[Entry] = []
        looks: list[Entry] = []
        waiting = self._waiting
        while waiting and len(claims) < min(slots, limit):
            entry, _ = waiting.popitem(last=False)
            if entry.is_current:
                claims.append(entry)
        room = limit - len(claims)
        while room and (due := self._moments.take(now_ms, room)):
            for entry in due:
                if now_ms <= entry.early_until_ms or entry.computed_from == UNKNOWN:
                    looks.append(entry)  # as far as is known here no claim could succeed
                elif len(claims) < slots:
                    claims.append(entry)
                else:
                    waiting[entry] = None
                    continue
                room -= 1
        return claims, looks

    def take(self, entry: Entry) -> None:
        """It is being asked about: the answer puts it again."""
        self._waiting.pop(entry, None)
        entry.at_ms = None

    def put(self, entry: Entry, at_ms: int) -> None:
        """Ask about the job at `at_ms`, and not at the moment that was put before."""
        if self._waiting:
            self._waiting.pop(entry, None)
        if self._begun:
            self._begun.pop(entry, None)
        self._moments.put(entry, at_ms)

    def put_first(self, entry: Entry) -> None:
        """Ask again with the next free slot, before all others: a claim without an answer may
        have been granted, and then it has a slot already.
        """
        self._waiting[entry] = None
        self._waiting.move_to_end(entry, last=False)
        entry.at_ms = None

    def shelve(self, entry: Entry) -> None:
        """Ask only when the rolling look comes by; nothing is known of the job."""
        self.take(entry)
        self._begun.pop(entry, None)
        entry.computed_from = UNKNOWN

    def begin(self, entry: Entry, known: Known, now_ms: int) -> None:
        """A run of it has begun here. What follows from that is asked for when it is over, which
        tells something newer, or when it goes on for longer than most.
        """
        if self._waiting:
            self._waiting.pop(entry, None)
        self._begun.pop(entry, None)
        self._begun[entry] = known, now_ms
        entry.at_ms = None
        entry.computed_from = UNKNOWN
        entry.known = known

    def going_on(self, now_ms: int) -> list[tuple[Entry, Known, int]]:
        """What began here a check interval ago and goes on, as it was then: to be learnt now."""
        found = []
        for entry, (known, since_ms) in self._begun.items():
            if since_ms <= now_ms < since_ms + self._check_interval_ms:
                break
            found.append((entry, known, since_ms))
        for entry, _, _ in found:
            del self._begun[entry]
        return [one for one in found if one[0].is_current]

    def learn(self, entry: Entry, known: Known, now_ms: int) -> None:
        """Take in what Redis said of the job, and put the moment that follows from it."""
        due_ms = None
        if _is_plain(entry, known):
            due_ms = ordinarily_due_ms(entry.definition, known, now_ms, entry.since_ms)
        if due_ms is not None:
            # The common case, which every run comes by; what follows says the same, and takes
            # longer.
            entry.known = known
            entry.due_ms = due_ms
            entry.early_until_ms = entry.definition.schedule.early_until_ms(due_ms)
            entry.in_future = False
            entry.computed_from = str(known.last_ms)
            self.put(entry, entry.early_until_ms + 1)
            return
        due = due_again(entry.definition, known, now_ms, entry.since_ms)
        policies = entry.definition.policies
        entry.known = known
        entry.due_ms, entry.early_until_ms, entry.in_future, misfired = due
        if known.abandoned_in_row and due.at_ms != OF_REQUEST:
            entry.early_until_ms = max(due.early_until_ms, self._quarantined_until_ms(known))
        each = policies.misfire == "all"
        entry.computed_from = known.version_with_served if each else known.version
        moment_ms = self._moment(entry, known, now_ms)
        if misfired:
            entry.tell(Skip.MISFIRED, *misfired)
        if policies.expect is not None and not known.is_overdue:
            since_ms = overdue_since_ms(entry.definition, known)
            if since_ms is not None:
                expected_ms = since_ms + round(policies.expect * 1000)
                if expected_ms > now_ms:
                    moment_ms = min(moment_ms, expected_ms)
                else:
                    entry.tell("overdue", since_ms)
        self.put(entry, now_ms if entry.note else moment_ms)

    def _quarantined_until_ms(self, known: Known) -> int:
        until_ms = quarantined_until_ms(
            known.abandoned_in_row, known.abandoned_ms, self._quarantine_after
        )
        return LONG_AGO_MS if until_ms is None else until_ms

    def next_ms(self) -> int | None:
        """The earliest moment at which something is to be asked; None: nothing is known."""
        return self._moments.next_ms()

    def is_outdated(self, entry: Entry, now_ms: int) -> bool:
        """Whether it is due for another due time by now than when it was learnt."""
        if entry.is_late(now_ms):
            return True
        known, policies = entry.known, entry.definition.policies
        if known is None or policies.misfire != "all" or not 0 < entry.due_ms <= now_ms:
            return False
        return due_again(entry.definition, known, now_ms, entry.since_ms).at_ms != entry.due_ms

    def put_off(self, entry: Entry, now_ms: int) -> None:
        """Not now, though it is due: again after the check interval."""
        entry.not_before_ms = now_ms + self._check_interval_ms

    def put_off_no_more(self) -> None:
        """A person wants to know now: what was put off is asked about again."""
        for entry in self._entries.values():
            if entry.not_before_ms != LONG_AGO_MS and not entry.run_id:
                entry.not_before_ms = LONG_AGO_MS
                if entry.at_ms is not None:
                    self.put(entry, 0)

    def _moment(self, entry: Entry, known: Known, now_ms: int) -> int:
        if entry.not_before_ms > now_ms + self._check_interval_ms:
            entry.not_before_ms = LONG_AGO_MS  # the clock has gone back
        opens_ms = max(entry.early_until_ms + 1, entry.not_before_ms)
        if known.running is None:
            if known.touched is None:
                return opens_ms
            paused = known.touched.paused
            if not paused or opens_ms > now_ms or entry.due_ms == OF_REQUEST:
                return opens_ms
            # Overdue, and paused: the control stream tells when a person ends that.
            return int(paused) + 1 if paused.isdecimal() else NEVER_MS
        lease_end_ms = now_ms + known.lease_left_ms
        if opens_ms <= now_ms or entry.due_ms == NEVER_MS:
            # Overdue, and held: whoever finishes it may die before it claims the next run.
            opens_ms = now_ms + int(_LOOK_AGAIN * self._check_interval_ms)
        return min(opens_ms, lease_end_ms)


def _is_plain(entry: Entry, known: Known) -> bool:
    """Whether nothing but its due time says when to ask about a job that is ordinarily due."""
    return (
        known.running is None
        and known.abandoned_ms is None
        and entry.is_plain
        and entry.not_before_ms == LONG_AGO_MS
        and not entry._to_tell
    )
