"""Requests to a fleet, one after the other, from threads."""

import threading
from collections import Counter
from typing import Self

from tests.cluster.serving import Fleet

#: How many ask at once, and how long each rests between two requests: a load, and no flood.
CLIENTS, REST = 3, 0.01


class Load:
    """Clients that ask for the page until the `with` block is left."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        #: How often each status was answered; 0 stands for no answer.
        self.statuses: Counter[int] = Counter()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._over.wait(REST):
            self.statuses[self._fleet.get()] += 1
