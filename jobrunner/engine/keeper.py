"""The lease keeper: renews the leases of this instance's runs, whatever the hub is busy with.

Two plain steps: `renew()` sends one call for all leases; `expire()` finds the runs whose lease
can no longer be trusted. In a started runner a native thread loops around the first and the hub
around the second. A job that computes for minutes without yielding keeps its lease.

The thread calls only its own store (a client of its own) and the trust clock. It never logs,
signals or takes a `threading` lock: under monkey patching those belong to the hub, and were
seen to lose wake-ups. It goes through a copy of the leases, waits on an original `_thread` lock,
and reports to the hub through `run_callback_threadsafe`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import gevent
from gevent import monkey
from gevent.event import Event

from ..clock import Clock
from ..errors import StoreError
from ..job import JobDefinition
from ..store.redis import MAX_BATCH, RedisStore

_start_new_thread = monkey.get_original("_thread", "start_new_thread")
_allocate_lock = monkey.get_original("_thread", "allocate_lock")


class Lease:
    """This instance's side of one lease: until when it can be trusted, in trust seconds."""

    __slots__ = ("definition", "gone", "is_lost", "run_id", "trusted_until")

    def __init__(self, definition: JobDefinition, run_id: str, trusted_until: float) -> None:
        self.definition = definition
        self.run_id = run_id
        self.trusted_until = trusted_until
        #: Redis said that the run owns its job no more.
        self.gone = False
        #: The run has been told.
        self.is_lost = False

    @property
    def name(self) -> str:
        """The job's."""
        return self.definition.name


L = TypeVar("L", bound=Lease)


class LeaseKeeper(Generic[L]):
    """Keeps the leases of the runs of one instance."""

    def __init__(
        self,
        store: RedisStore,
        *,
        lease: float,
        trust: Clock,
        on_lost: Callable[[L, str], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._store = store
        self._lease = lease
        self._trust = trust
        self._on_lost = on_lost
        self._on_failure = on_failure
        #: Those that are kept, by run id. What is claimed is put here, until its finish is
        #: acknowledged or it is given back.
        self.leases: dict[str, L] = {}
        self._thread: _KeeperThread | None = None

    def trusted_until(self, sent_at: float) -> float:
        """Until when a lease taken by a call sent at `sent_at` can be trusted.

        Counted from the sending, less a margin of a tenth: at the server the lease ends later.
        """
        return sent_at + self._lease * 0.9

    def renew(self) -> float:
        """Renew every lease that is still ours. Returns the seconds until the next time."""
        ours = [lease for lease in self._snapshot() if not lease.gone]
        failed = False
        for start in range(0, len(ours), MAX_BATCH):
            failed |= not self._renew_batch(ours[start : start + MAX_BATCH])
        # A third: two more tries fit into a lease, each with the time limit of a call.
        return min(self._lease / 12, 1.0) if failed else self._lease / 3

    def expire(self) -> float:
        """Tell runs whose lease is trusted no more. Returns the seconds until the next time."""
        now = self._trust()
        wait = self._lease / 3
        for lease in self._snapshot():
            if lease.is_lost:
                continue
            if lease.trusted_until <= now:
                self._lost(lease, "it could not be renewed in time")
            else:
                wait = min(wait, lease.trusted_until - now)
        return wait

    def start(self) -> None:
        """Loop around `renew` in a native thread that reports to the hub of the caller."""
        if self._thread is None:
            self._thread = _KeeperThread(self.renew, self._on_failure, self._store.close)

    def stop(self) -> None:
        """End the thread, after the last run: it may be renewing until then."""
        if self._thread is None:
            self._store.close()
        else:
            self._thread.stop()
            self._thread = None

    def _snapshot(self) -> list[L]:
        """The leases of this moment, for the thread too: a dict is copied in one step, and what is
        held and released meanwhile does not disturb who goes through the copy.
        """
        return list(self.leases.copy().values())

    def _renew_batch(self, batch: list[L]) -> bool:
        sent_at = self._trust()
        try:
            answers = self._store.renew([(lease.definition, lease.run_id) for lease in batch])
        except StoreError as error:
            self._report(self._on_failure, error)
            return False
        unanswered: dict[int, StoreError] = {}
        for lease, renewed in zip(batch, answers, strict=True):
            if isinstance(renewed, StoreError):
                unanswered[id(renewed)] = renewed
            elif renewed:
                lease.trusted_until = self.trusted_until(sent_at)
            elif lease.run_id in self.leases:  # else it was released while the call was away
                lease.gone = True
                self._report(self._lost, lease, "another instance recorded it as abandoned")
        for problem in unanswered.values():
            self._report(self._on_failure, problem)
        return not unanswered

    def _lost(self, lease: L, why: str) -> None:
        if not lease.is_lost and lease.run_id in self.leases:
            lease.is_lost = True
            self._on_lost(lease, why)

    def _report(self, function: Callable[..., None], *arguments: Any) -> None:
        if self._thread is None:
            function(*arguments)
        else:
            self._thread.report(function, *arguments)


class _KeeperThread:
    """A native thread around one step, invisible to monkey patching."""

    def __init__(
        self,
        step: Callable[[], float],
        on_failure: Callable[[BaseException], None],
        at_the_end: Callable[[], None],
    ) -> None:
        self._step = step
        self._on_failure = on_failure
        self._at_the_end = at_the_end
        self._hub_loop = gevent.get_hub().loop
        # A hub that waits for nothing else would take our word for an event that never comes.
        self._hub_waits = self._hub_loop.async_()
        self._hub_waits.start(lambda: None)
        self._stopping = False
        self._alarm = _allocate_lock()
        self._alarm.acquire()
        self._ended = Event()
        _start_new_thread(self._live, ())

    def report(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call `function` in the hub."""
        self._hub_loop.run_callback_threadsafe(function, *arguments)

    def stop(self) -> None:
        self._stopping = True
        self._alarm.release()
        self._ended.wait()
        self._hub_waits.stop()
        self._hub_waits.close()

    def _live(self) -> None:
        try:
            while not self._stopping:
                self._alarm.acquire(timeout=self._step_once())
        finally:
            try:
                self._at_the_end()
            finally:
                if monkey.is_module_patched("socket"):
                    # The patched sockets of this thread made it a hub of its own, and are closed
                    # before it.
                    gevent.get_hub().destroy(destroy_loop=True)
                self.report(self._ended.set)

    def _step_once(self) -> float:
        try:
            return self._step()
        except Exception as error:  # whatever it is: a renewer that dies silently loses all runs
            self.report(self._on_failure, error)
            return 0.1
