"""`RedisStore`: what an instance asks of Redis about jobs, and the scripts that answer.

The scripts decide, each in one atomic step and one round trip; `lua/` holds one file a script,
whose head states keys, arguments and answer. What becomes of a call, and of its errors, stands in
`calls.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..clock import RedisClock
from ..errors import StoreError
from ..job import JobDefinition
from ..keys import JobKeys
from ..run import HistoryEntry, Outcome
from . import scripts
from .answers import (
    Answer,
    Ask,
    Control,
    Controlled,
    Ending,
    Finish,
    Peek,
    Report,
    answers_of,
    control_of,
    controlled_of,
    entry_of,
    finishes_of,
    is_claim,
    peek_of,
)
from .calls import MAX_BATCH as MAX_BATCH
from .census import Census
from .connect import Client
from .link import TooFewReplicasError
from .replies import in_order, values_of
from .servers import Replicas, Reply, Words
from .wire import Batch

logger = logging.getLogger("jobrunner")

#: Entries of the control stream, about: who misses more than that looks at all jobs.
CONTROL_LENGTH = 1000

#: What the claiming script tells before its answers: two times, CONTROL and FLEET.
_BEFORE_ANSWERS = 4

#: What the finishing script tells before its answers: two times.
_BEFORE_ENDS = 2


class RedisStore(Census):
    """The fleet's shared state, through one client. Built after fork, used by one thread."""

    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        instance: str,
        lease_ms: int,
        history: int,
        forget_after_ms: int,
        clock: RedisClock,
        replicas: Replicas | None = None,
        history_age_ms: int | None = None,
    ) -> None:
        super().__init__(client, namespace, instance, clock)
        self._lease_ms = lease_ms
        self._history = history
        self._history_age_ms = history_age_ms
        self._forget_after_ms = forget_after_ms
        self._replicas = replicas
        #: The newest entry of the control stream that was read.
        self._control_read = ""
        #: How many instances live, this one with them, as far as the last claim told.
        self.living = 1
        #: Told what people have touched, by each claim that hears of it.
        self.on_control: Callable[[Control], None] = lambda control: None

    def claim(self, asks: Sequence[Ask], *, ahead_ms: int = 0) -> list[Answer | StoreError]:
        """Claim each job for its run id, or look at it; at most `MAX_BATCH`, in one round trip.

        A job that is due within `ahead_ms` may be claimed by now; its run starts at its time, as
        the answer tells, and is not to begin before that.

        Also tells the fleet that this instance lives, the clock what time it is, `living` how
        many there are, and `on_control` what people have touched.
        """
        groups = self._grouped([ask.definition for ask in asks])
        groups.setdefault(self._home, ())
        batches = {
            slot: self._claims_of([asks[i] for i in indexes], slot, ahead_ms)
            for slot, indexes in groups.items()
        }
        sent_at = self._clock.trust()
        replies = self._sent(scripts.claim, batches, self._replicas)
        if self._replicas is not None:
            self._take_back_unreplicated(asks, groups, replies, self._replicas.number)
        values = self._told(replies, replicated=self._replicas is not None)
        self._hear(values, sent_at)
        self._hear_of_fleet(values.get(self._home))

        def read(indexes: Sequence[int], value: Any) -> list[Answer | StoreError]:
            return self._answers(value, [asks[i] for i in indexes])

        return in_order(groups, values, read, len(asks))

    @property
    def takes_rows(self) -> bool:
        """Whether several batches may be claimed in a row: on a single server, whose replicas are
        not waited for.
        """
        return self._replicas is None and self._servers.undivided

    def claim_in_a_row(
        self,
        batches: Sequence[Sequence[Ask]],
        meanwhile: Callable[[], object] | None = None,
        *,
        ahead_ms: int = 0,
    ) -> Iterator[list[Answer | StoreError]]:
        """Claim several batches, each as `claim` does, and give the answers of each as soon as
        they are there: they are sent one after the other, so that Redis is at the next while this
        process takes in the last. `meanwhile` is called before the first answers are waited for.
        """
        if len(batches) == 1:
            if meanwhile is not None:
                meanwhile()
            yield self.claim(batches[0], ahead_ms=ahead_ms)
            return
        sent = (self._claims_of(asks, self._home, ahead_ms) for asks in batches)
        sent_at = self._clock.trust()
        values = self._sent_in_a_row(scripts.claim, sent, meanwhile)
        for asks, value in zip(batches, values, strict=True):
            self._hear({self._home: value}, sent_at)
            self._hear_of_fleet(value)
            yield self._answers(value, asks)

    def give_back(self, claims: Sequence[tuple[JobDefinition, str]]) -> list[bool | StoreError]:
        """Undo claims whose runs never started; False: it was not the running run."""
        groups = self._grouped([definition for definition, _ in claims])
        values = self._told(self._sent(scripts.give_back, _of_claims(claims, groups)))
        return in_order(groups, values, _done, len(claims))

    def renew(self, runs: Sequence[tuple[JobDefinition, str]]) -> list[bool | StoreError]:
        """Renew the leases of runs; False: the run owns its job no more.

        For the keeper's thread: raises `StoreError` without telling the link, and logs nothing.
        """
        groups = self._grouped([definition for definition, _ in runs])
        batches = {}
        for slot, indexes in groups.items():
            keys = [runs[i][0].keys for i in indexes]
            batches[slot] = Batch(
                [key for job in keys for key in (job.state, job.lease)],
                [self._lease_ms, *(runs[i][1] for i in indexes)],
            )
        values = values_of(self._sent(scripts.renew, batches))
        return in_order(groups, values, _done, len(runs))

    def finish(self, endings: Sequence[Ending]) -> list[Finish | StoreError]:
        """Record how runs ended, and release what is still theirs; at most `MAX_BATCH`."""
        now = self._clock.trust()
        groups = self._grouped([ending.definition for ending in endings])
        age_ms = "" if self._history_age_ms is None else self._history_age_ms
        batches = {}
        for slot, indexes in groups.items():
            batch = batches[slot] = Batch((), (self._injected_ms(), self._history, age_ms))
            keys: list[str] = []
            words: list[str] = []
            for i in indexes:
                definition, run, _, outcome, error, ended, attempts, trace, result = endings[i]
                ago_ms = max(0, int((now - ended) * 1000))
                more = 3 if error or trace or result else 0
                keys.append(definition.keys.written)
                words.append(f"{run} {outcome._value_} {ago_ms} {attempts} {more}")
                if more:
                    batch.add_jobs(keys, words)
                    batch.add(error, trace, result)
                    keys, words = [], []
            batch.add_jobs(keys, words)
        values = self._told(self._sent(scripts.finish, batches))
        self._hear(values, now)

        def read(indexes: Sequence[int], value: Any) -> Sequence[Finish | StoreError]:
            return finishes_of([endings[i].known for i in indexes], value[_BEFORE_ENDS:])

        return in_order(groups, values, read, len(endings))

    def progress(self, reports: Sequence[Report]) -> list[bool | StoreError]:
        """Write how far runs are; at most `MAX_BATCH`. False: it is not the running run."""
        now = self._clock.trust()
        groups = self._grouped([report.definition for report in reports])
        batches = {}
        for slot, indexes in groups.items():
            keys = [reports[i].definition.keys.state for i in indexes]
            batch = batches[slot] = Batch(keys, [self._injected_ms()])
            for report in [reports[i] for i in indexes]:
                ago_ms = max(0, int((now - report.told_at) * 1000))
                batch.add(report.run_id, report.members, str(ago_ms))
        values = self._told(self._sent(scripts.progress, batches))
        return in_order(groups, values, _done, len(reports))

    def larger_token(self, definition: JobDefinition, run_id: str, above: int) -> int | None:
        """A token above `above` for the running run; None: it is not the running run any more."""
        slot = self._slot_of(definition)
        batch = Batch([definition.keys.state], [run_id, above])
        token: int = self._told(self._sent(scripts.token, {slot: batch}))[slot]
        return token or None

    def control(self, definition: JobDefinition, what: str, *arguments: str) -> Controlled:
        """Do what a person asks of a job, and let the fleet know: `control.lua` says what."""
        slot = self._slot_of(definition)
        batch = Batch(definition.keys.all(), [what, *arguments])
        answer = controlled_of(self._told(self._sent(scripts.control, {slot: batch}))[slot])
        if answer.status == "done":
            self._spread_the_word(definition.name)
        return answer

    def peek(self, keys: Sequence[JobKeys]) -> list[Peek]:
        """Read what Redis holds of jobs, as it is, in batches."""
        peeks: list[Peek] = []
        for start in range(0, len(keys), MAX_BATCH):
            requests: list[tuple[int, Words]] = []
            for key in keys[start : start + MAX_BATCH]:
                slot = self._servers.slot(key.sync_key)
                requests.append((slot, ("GET", key.sync_key)))
                requests.append((slot, ("HGETALL", key.state)))
                requests.append((slot, ("PTTL", key.lease)))
                requests.append((slot, ("GET", key.lease)))
            raw = self._ask(requests)
            peeks.extend(peek_of(*raw[i : i + 4]) for i in range(0, len(raw), 4))
        return peeks

    def history(
        self, definition: JobDefinition, limit: int, outcome: Outcome | None = None
    ) -> list[HistoryEntry]:
        """The newest `limit` entries, the newest first; with `outcome` of those that ended so."""
        key, slot = definition.keys.history, self._slot_of(definition)
        number = limit if outcome is None else max(limit, self._history)
        entries = self._command("XREVRANGE", key, "+", "-", "COUNT", number, slot=slot)
        found = [entry_of(definition.name, fields) for _, fields in entries]
        wanted = [e for e in found if e is not None and outcome in (None, e.outcome)]
        return wanted[:limit]

    # -- claims ------------------------------------------------------------------------------

    def _claims_of(self, asks: Sequence[Ask], slot: int, ahead_ms: int) -> Batch:
        """What the script takes that claims."""
        of_fleet = (self._fleet.instances, self._fleet.control) if slot == self._home else ()
        batch = Batch(
            of_fleet,
            (
                self._injected_ms(),
                self._lease_ms,
                self._instance,
                self._history,
                self._forget_after_ms,
                self._control_read,
                ahead_ms,
            ),
        )
        batch.add_jobs(
            [ask.definition.keys.written for ask in asks],
            [
                f"{run_id} {version} {early_until_ms} {due_ms} {note}"
                for _, run_id, version, early_until_ms, due_ms, note, _ in asks
            ],
        )
        return batch

    def _answers(self, value: Any, asks: Sequence[Ask]) -> list[Answer | StoreError]:
        """What the script says to each ask."""
        return answers_of(asks, value[_BEFORE_ANSWERS:], value[1], self._lease_ms)

    def _hear_of_fleet(self, value: Any) -> None:
        if isinstance(value, list):
            self.living = max(1, value[3])
            self._hear_of_control(value[2])

    def _hear_of_control(self, value: Any) -> None:
        told = control_of(value)
        if told is not None:
            self._control_read = told.newest
            self.on_control(told)

    def _spread_the_word(self, name: str) -> None:
        stream = ("XADD", self._fleet.control, "MAXLEN", "~", CONTROL_LENGTH, "*")
        try:
            self._command(*stream, "job", name)
        except StoreError as error:
            if not self.link.up:
                raise
            # A key of a wrong type. What was asked for is done, and the rolling look finds it.
            logger.error(
                "Job %s was touched, and the other instances hear of it late: they cannot be told "
                "by %r (%s); delete that key in Redis",
                name,
                self._fleet.control,
                error,
                extra={"job": name},
            )

    def _injected_ms(self) -> int | str:
        injected = self._clock.injected_ms()
        return "" if injected is None else injected

    def _hear(self, replies: Mapping[int, Any], sent_at: float) -> None:
        """Learn the time: from where the namespace is, if it answered."""
        told = [replies.get(self._home), *replies.values()]
        micros = next((raw[0] for raw in told if isinstance(raw, list)), None)
        if micros is not None:
            self._clock.heard(micros / 1000, sent_at)

    def _take_back_unreplicated(
        self,
        asks: Sequence[Ask],
        groups: Mapping[int, Sequence[int]],
        replies: dict[int, Reply],
        wanted: int,
    ) -> None:
        """Give back what was granted where too few replicas have it, and answer so instead."""
        granted: dict[int, list[int]] = {}
        for slot, reply in replies.items():
            if isinstance(reply.value, StoreError) or (reply.acknowledged or 0) >= wanted:
                continue
            error = TooFewReplicasError(
                f"{reply.acknowledged} of at least {wanted} replicas (JOBRUNNER_MIN_REPLICAS) "
                f"acknowledged a claim in time, so it is given back"
            )
            error.slots = (slot,)
            answers = reply.value[_BEFORE_ANSWERS:]
            for place, (index, raw) in enumerate(zip(groups[slot], answers, strict=True)):
                if is_claim(raw):
                    granted.setdefault(slot, []).append(index)
                    answers[place] = error
            kept = any(answer is not error for answer in answers)
            replies[slot] = Reply([*reply.value[:_BEFORE_ANSWERS], *answers] if kept else error)
            self.link.failed(error, error.slots)
        if granted:
            # One that cannot be given back now is claimed again, with the same run id.
            claims = [(ask.definition, ask.run_id) for ask in asks]
            self._sent(scripts.give_back, _of_claims(claims, granted))
            self._servers.doubt(granted)


def _of_claims(
    claims: Sequence[tuple[JobDefinition, str]], groups: Mapping[int, Sequence[int]]
) -> dict[int, Batch]:
    """What the script that gives back takes, by slot."""
    batches = {}
    for slot, indexes in groups.items():
        batch = batches[slot] = Batch((), [claims[i][1] for i in indexes])
        for i in indexes:
            batch.add_keys(4, claims[i][0].keys.written)
    return batches


def _done(indexes: Sequence[int], value: Any) -> list[bool | StoreError]:
    """What was done, of scripts that answer 1 or 0."""
    return [one == 1 for one in value]
