"""At which moment what is to be asked about next. Pure; reads no clock.

A heap of moments, each with all that stand at it: what comes due together, as jobs on the clock do,
is one step in the heap. All times are Redis's milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import Generic, Protocol, TypeVar


class Timed(Protocol):
    """What stands at a moment."""

    #: The moment; None: it stands nowhere.
    at_ms: int | None
    #: Whether there still is such a thing.
    is_current: bool


T = TypeVar("T", bound=Timed)


class Moments(Generic[T]):
    """What is to be asked about, the earliest first, and of one moment the first that was put."""

    def __init__(self) -> None:
        self._heap: list[int] = []
        #: By moment, what was put there. What has been put elsewhere since counts no more.
        self._standing: dict[int, list[T]] = {}
        self._number = 0

    def __len__(self) -> int:
        """How many stand here, those that count no more with them."""
        return self._number

    def put(self, one: T, at_ms: int) -> None:
        """It stands at that moment, and at no other one."""
        if one.at_ms == at_ms:
            return  # each look would make the row longer
        one.at_ms = at_ms
        standing = self._standing.get(at_ms)
        if standing is None:
            self._standing[at_ms] = [one]
            heappush(self._heap, at_ms)
        else:
            standing.append(one)
        self._number += 1

    def take(self, now_ms: int, most: int) -> list[T]:
        """Some of those whose moment has come, at most so many, and at least one if there is one;
        now they stand nowhere.
        """
        taken: list[T] = []
        while not taken and self._heap and self._heap[0] <= now_ms:
            at_ms = self._heap[0]
            for one in self._first(at_ms, most):
                if one.at_ms == at_ms and one.is_current:
                    one.at_ms = None
                    taken.append(one)
        return taken

    def next_ms(self) -> int | None:
        """The earliest moment at which something stands; None: there is none."""
        while self._heap:
            at_ms = self._heap[0]
            standing = self._standing[at_ms]
            old = 0
            while old < len(standing):
                one = standing[old]
                if one.at_ms == at_ms and one.is_current:
                    break
                old += 1
            if old:
                self._first(at_ms, old)
            if at_ms in self._standing:
                return at_ms
        return None

    def rebuild(self, those: Iterable[T]) -> None:
        """Forget what counts no more: these are all that there is."""
        self._standing = {}
        self._number = 0
        for one in those:
            if one.at_ms is not None:
                self._standing.setdefault(one.at_ms, []).append(one)
                self._number += 1
        self._heap = list(self._standing)
        heapify(self._heap)

    def _first(self, at_ms: int, number: int) -> list[T]:
        """Away with the first of the earliest moment; they are returned."""
        standing = self._standing[at_ms]
        some = standing[:number]
        if len(some) == len(standing):
            heappop(self._heap)
            del self._standing[at_ms]
        else:
            del standing[:number]
        self._number -= len(some)
        return some
