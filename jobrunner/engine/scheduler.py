"""The scheduler: the tick, which is one check, and the loop around it.

A tick picks what may be due, asks Redis about it in one round trip (run ids with it), and
starts what was claimed. What Redis knows better (somebody else ran it meanwhile) is learnt
from the answer, and asked again in the same tick only if the job is still due. What comes due in a
moment is claimed before, and its runs wait for their time (see `gate.py`).
"""

from __future__ import annotations

import logging
import math
import platform
from collections.abc import Callable
from functools import partial

from gevent.lock import RLock

from ..clock import RedisClock
from ..errors import StoreError
from ..job import JobDefinition
from ..registry import Registry
from ..run import Skip, new_ids
from ..signals import Notify, send_nothing
from ..store.answers import Answer, Known, Status
from ..store.redis import RedisStore
from .agenda import Agenda, Entry
from .announcer import Announcer
from .by_hand import claim_by_hand
from .conditions import Conditions
from .due import LONG_AGO_MS
from .executor import ActiveRun, Executor
from .keeper import LeaseKeeper
from .notices import Notices, parse_error
from .pauses import AHEAD_MS, Coming, Pauses
from .rolling import RollingLook
from .sizes import AHEAD, LEAST, sizes
from .tick import Answered, Tick
from .timely import wait_until
from .touches import Touches

logger = logging.getLogger("jobrunner")


class Scheduler:
    """Checks which jobs are due and starts the runs that Redis grants to this instance."""

    def __init__(
        self,
        registry: Registry,
        store: RedisStore,
        executor: Executor,
        keeper: LeaseKeeper[ActiveRun],
        *,
        instance: str,
        clock: RedisClock,
        check_interval: float,
        resync_interval: float,
        quarantine_after: int = 3,
        tags: tuple[str, ...] = (),
        conditions: Conditions | None = None,
        notify: Notify = send_nothing,
    ) -> None:
        self._registry = registry
        self._store = store
        self._executor = executor
        self._keeper = keeper
        self._clock = clock
        self._conditions = conditions or Conditions()
        self._conditions.on_change = self._reconsider
        self._notify = notify
        self._notices = Notices(notify, quarantine_after)
        self._announcer = Announcer(registry, store, platform.node(), tags, self._notices)
        self._agenda = Agenda(int(check_interval * 1000), quarantine_after)
        self._look = RollingLook(self._agenda, clock, resync_interval)
        self._pauses = Pauses(
            self._agenda, store, clock, check_interval=check_interval, instance=instance
        )
        self.is_stopping = False
        self._ticking = RLock()
        #: Asked before every claim; the hosting says no from the moment its server stops.
        self.may_claim: Callable[[], bool] = lambda: True
        executor.finishes.on_over = self._over
        self._touches = Touches(self._agenda, executor)
        store.on_control = self._touches.hear

    def loop(self, lives: Callable[[], bool] = lambda: True) -> None:
        """Tick until stopped, and while `lives()`; between ticks sleep until a job may be due,
        at most the check interval. Nothing that goes wrong in a tick ends the loop.
        """
        while lives() and not self.is_stopping:
            try:
                self.tick(coming=self._pauses.coming())
            except StoreError:
                logger.debug("the tick found no Redis")  # the link has logged when it went
            except Exception:
                logger.exception("Could not check and run jobs: an error of jobrunner itself")
            self._pauses.sleep(lambda: self.is_stopping)

    def tick(self, *, everything: bool = False, coming: Coming | None = None) -> list[ActiveRun]:
        """One check now; of every job with `everything`. Returns the runs that it started. What is
        `coming` in a moment is claimed now, and begins at its time.

        `StoreError` when Redis is away; then nothing was started, and a claim whose answer was
        lost is asked again with the same run id. When a part of a Cluster is away, so are its
        jobs, and the link says so.
        """
        with self._ticking:
            self._executor.finishes.in_parts = not self._pauses.is_hub_busy
            self._executor.finishes.flush()
            if not self._goes_on():
                return []
            self._follow_registry()
            for entry, known, as_of_ms in self._agenda.going_on(self._clock.now_ms() or 0):
                self._learn(entry, known, as_of_ms)
            try:
                looks = self._look.owed(everything) + self._touches.owed()
                return self._ask_in_turns(looks, coming)
            finally:
                self._executor.finishes.let_go()

    def _goes_on(self) -> bool:
        return not self.is_stopping and self.may_claim()

    def look_at(self, name: str) -> None:
        """Look at a job now: somebody in this process has touched it."""
        entry = self._agenda.entry(name)
        if entry is not None and not entry.run_id:
            self._agenda.put(entry, 0)
            self._pauses.end()

    def claim_by_hand(self, definition: JobDefinition) -> tuple[ActiveRun | None, Answer]:
        """Claim a job now for this instance, due or not, and start its run; None: it is held."""
        with self._ticking:
            sent_at = self._clock.trust()
            answer = claim_by_hand(self._store, definition)
            if answer.abandoned:
                self._notices.abandoned(Entry(definition), answer.abandoned, answer.known)
            if answer.status is Status.CORRUPT:
                raise parse_error(definition, answer.problem)
            if answer.status not in (Status.CLAIMED, Status.AGAIN):
                return None, answer
            trusted_until = self._keeper.trusted_until(sent_at)
            return self._executor.start(definition, answer, trusted_until), answer

    def stop_claiming(self) -> None:
        """Claim nothing more, and give back the claims whose answers were lost."""
        self.is_stopping = True
        self._pauses.end()
        with self._ticking:
            unanswered = [entry for entry in self._agenda.everything() if entry.run_id]
            if unanswered:
                claims = [(entry.definition, entry.run_id) for entry in unanswered]
                for undone in self._store.give_back(claims):
                    if isinstance(undone, StoreError):
                        raise undone

    # -- one tick, from top to bottom --------------------------------------------------------

    def _ask_in_turns(self, looks: list[Entry], coming: Coming | None) -> list[ActiveRun]:
        """Call after call, until nothing is due any more. What one has answered is taken in while
        the next is on its way.
        """
        tick = Tick(looks)
        try:
            first = 0 if coming is None else self._ask_ahead(coming, tick)
            if first and not self._goes_on():
                return tick.started
            # Every job once, and again what turned out to be due: a bound, not an expectation.
            for turn in range(first, 2 * (len(self._agenda) // LEAST + 4)):
                batches = self._next_batches(tick, turn)
                if batches:
                    if turn > 0 or len(batches) > 1:
                        self._executor.finishes.hold_back()
                    self._ask(batches, tick)
                    if tick.has_looked:
                        # What is only looked at may be due as well: it is in one call at a time.
                        self._take_in_all(tick)
                elif tick.answered is None:
                    break
                else:
                    self._take_in_all(tick)
                looks += self._touches.heard()
            self._take_in_all(tick)
        finally:
            self._ask_again(tick.without_answer())
        return tick.started

    def _ask_ahead(self, coming: Coming, tick: Tick) -> int:
        """Claim what comes due in a moment, as much as begins soon after one another, and return at
        its time: what is more is asked about then. Returns how many calls were made.
        """
        due_ms = max(coming.due_ms, self._clock.now_ms() or 0)
        self._executor.finishes.hold_back()
        calls = 0
        for most in AHEAD:
            self._put_together(tick, (most,), due_ms)
            self._executor.prepare(tick.claims_open)
            batches = tick.taken_for_a_call()
            if not batches:
                break
            self._ask(batches, tick, ahead_ms=AHEAD_MS)
            self._take_in_all(tick)
            calls += 1
        if calls:
            wait_until(self._clock.trust, coming.at)
        return calls

    def _next_batches(self, tick: Tick, turn: int) -> list[list[Entry]]:
        """What is asked together: what is due, and looks. The first time something is asked in any
        case: that tells the fleet that this instance lives.
        """
        # On a busy hub a call takes long, though its answer is waited for without a turn.
        row = sizes(turn, math.inf if self._pauses.is_hub_busy else self._pauses.call_took)
        self._put_together(tick, row, self._clock.now_ms() or 0)
        return tick.taken_for_a_call() or ([[]] if turn == 0 else [])

    def _put_together(self, tick: Tick, row: tuple[int, ...], now_ms: int) -> None:
        """The batches of one call about what is due at `now_ms`, of so many jobs at most."""
        for most in row if self._store.takes_rows else (sum(row),):
            batch = self._batch(tick, most, now_ms)
            if not batch:
                break
            tick.ready.append(batch)

    def _follow_registry(self) -> None:
        since_ms = self._announcer.news()
        if since_ms is not None:
            self._agenda.sync(filter(self._announcer.is_ours, self._registry), since_ms)

    def _batch(self, tick: Tick, most: int, now_ms: int) -> list[Entry]:
        """What to ask in one batch: `most` of what is due at most, claims with a run id before
        looks.
        """
        slots = self._executor.free_slots - tick.claims_open
        claims, looks = self._agenda.take_due(now_ms, max(0, slots), most)
        claims = self._still_in_time(claims, now_ms, tick)
        for entry, run_id in zip(claims, new_ids(len(claims)), strict=True):
            if not entry.run_id and (entry.is_plain or self._may_run(entry, now_ms)):
                entry.run_id = run_id
        return claims + looks

    def _still_in_time(self, claims: list[Entry], now_ms: int, tick: Tick) -> list[Entry]:
        """Without claims whose answers were lost and that are too late now: they are given back,
        for they may have been granted, or may yet arrive.
        """
        late = [entry for entry in claims if entry.run_id and entry.is_late(now_ms)]
        if not late:
            return claims
        try:
            undone = self._store.give_back([(entry.definition, entry.run_id) for entry in late])
        except StoreError:
            tick.unanswered += claims
            raise
        for entry, answer in zip(late, undone, strict=True):
            if isinstance(answer, StoreError):
                tick.unanswered.append(entry)
                continue
            entry.run_id = ""
            if entry.known is not None:
                self._learn(entry, entry.known, now_ms)
        return [entry for entry in claims if entry not in late]

    def _ask(self, batches: list[list[Entry]], tick: Tick, *, ahead_ms: int = 0) -> None:
        """One call. What the last one has answered is taken in while this one is on its way, and
        each of its batches while Redis is at the next.
        """
        sent_at = self._clock.trust()
        asked = [[entry.ask() for entry in batch] for batch in batches]
        tick.asked = batches.copy()
        meanwhile = None if tick.answered is None else partial(self._take_in_all, tick)
        try:
            found = self._store.claim_in_a_row(asked, meanwhile, ahead_ms=ahead_ms)
            for asks, answers in zip(asked, found, strict=True):
                if asks is asked[0]:
                    self._pauses.call_took = self._clock.trust() - sent_at
                # As of the question: this process may have stood still since, and a lease has not.
                tick.answered = Answered(tick.asked.pop(0), asks, answers, sent_at)
                if tick.asked:
                    self._take_in_all(tick)
        finally:
            if tick.asked:
                self._take_in_all(tick)  # what was answered before it went wrong

    def _take_in_all(self, tick: Tick) -> None:
        """The answers of the last call; who got none, because a part of Redis is away, is asked
        about again.
        """
        if tick.answered is None:
            return
        batch, asks, answers, sent_at = tick.answered
        tick.answered = None
        as_of_ms = self._clock.at_ms(sent_at) or 0
        trusted_until = self._keeper.trusted_until(sent_at)
        surely_ms = self._clock.surely_ms()
        for entry, ask, answer in zip(batch, asks, answers, strict=True):
            if isinstance(answer, StoreError):
                tick.unanswered.append(entry)
                continue
            entry.run_id = ""  # whatever it says, this claim is answered
            if ask.note:
                entry.has_told(ask.note)
            if answer.is_plain or self._is_granted(entry, answer, as_of_ms):
                if entry.in_future:
                    self._notices.in_future(entry)
                known = answer.known
                self._agenda.begin(entry, known, as_of_ms)
                start_ms = known.last_ms or 0
                # No claim came sooner: what starts later was claimed by a clock that has gone back.
                is_ahead = 0 < start_ms - surely_ms < 2 * AHEAD_MS
                moment = self._clock.reached_at(start_ms) if is_ahead else None
                tick.started.append(
                    self._executor.start(entry.definition, answer, trusted_until, moment)
                )
        heard = zip(batch, answers, strict=True)
        self._touches.answered(e for e, answer in heard if not isinstance(answer, StoreError))

    def _ask_again(self, unanswered: list[Entry]) -> None:
        """In the next tick: not in this one, which would knock at a closed door over and over."""
        for entry in reversed(unanswered):  # the first is put before all others last
            if entry.run_id:
                self._agenda.put_first(entry)
            elif entry.at_ms is None:  # taken from the agenda, not merely looked at
                self._agenda.put(entry, 0)

    def _is_granted(self, entry: Entry, answer: Answer, as_of_ms: int) -> bool:
        """Draw the conclusions from an answer that tells more than a token. Whether it grants a run
        that is to begin.
        """
        if answer.abandoned:
            self._notices.abandoned(entry, answer.abandoned, answer.known)
        if answer.noted:
            self._notices.noted(entry, answer.noted)
        touched = answer.known.touched
        if touched is not None and touched.cancel and touched.cancel == answer.known.running:
            self._executor.cancel(touched.cancel)
        if answer.status is Status.CORRUPT:
            self._agenda.shelve(entry)
            self._notices.corrupt(entry.definition, answer.problem)
            return False
        if answer.status is Status.AGAIN:
            # Asked twice: it may have been started the first time.
            return not self._executor.runs_here(answer.known.running)
        if answer.status is not Status.CLAIMED:
            self._learn(entry, answer.known, as_of_ms)
            return False
        return True

    def _learn(self, entry: Entry, known: Known, as_of_ms: int) -> None:
        try:
            self._agenda.learn(entry, known, as_of_ms)
        except Exception:  # a user's schedule, or a date that no datetime holds
            self._agenda.shelve(entry)
            self._notices.no_due_time(entry, known)

    def _may_run(self, entry: Entry, now_ms: int) -> bool:
        """Whether to claim what is due; if not, it is looked at, with a note why."""
        if entry.known is not None and self._agenda.is_outdated(entry, now_ms):
            # It waited too long, for a slot or for this instance.
            self._learn(entry, entry.known, now_ms)
            self._agenda.take(entry)  # it is in this call as a look, which puts it again
            return False
        when = entry.definition.policies.when
        if when is None:
            return True
        answer = self._conditions.ask(entry.definition.name, when, entry.due_ms)
        if answer is True:
            return True
        self._agenda.put_off(entry, now_ms)
        if answer is False and entry.due_ms > 0:
            entry.tell(Skip.WHEN, entry.due_ms)
        return False

    def _reconsider(self, name: str) -> None:
        """A condition has answered that took its time."""
        entry = self._agenda.entry(name)
        if entry is not None:
            entry.not_before_ms = LONG_AGO_MS
        self.look_at(name)

    # -- between ticks -----------------------------------------------------------------------

    def _over(self, over: list[tuple[JobDefinition, Known | None]]) -> None:
        """Runs are over: learn what the answers told, and wake when that makes something due."""
        now_ms = self._clock.now_ms() or 0
        for definition, known in over:
            entry = self._agenda.entry(definition.name)
            if entry is None or entry.run_id:
                continue
            if entry.definition is not definition and entry.definition.keys != definition.keys:
                continue
            if known is None:
                self._agenda.shelve(entry)
                self._agenda.put(entry, 0)
            else:
                self._learn(entry, known, now_ms)
        self._pauses.reconsider()
