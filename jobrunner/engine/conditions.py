"""The conditions of jobs (`when`): asked before a claim, and never in anybody's way.

Each is asked in a greenlet of its own (a native thread, where runs are threads): one that waits
for a flag service holds up no other job. What answers at once decides in the same tick.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import gevent

logger = logging.getLogger("jobrunner")

#: How long a tick waits for a condition, in seconds; who takes longer is heard later.
PATIENCE = 0.01


class _Question(NamedTuple):
    """What a condition is asked for: it may take its time, and another due time come meanwhile."""

    when: Callable[[], object]
    due_ms: int


class Conditions:
    """Asks whether jobs may run, and remembers who has not answered yet."""

    def __init__(
        self,
        scope: Callable[[], AbstractContextManager[object]] = nullcontext,
        in_threads: bool = False,
    ) -> None:
        self._scope = scope
        self._in_threads = in_threads
        self._asked: dict[str, _Question] = {}
        self._answers: dict[str, tuple[_Question, bool]] = {}
        #: Told the job of an answer that came late.
        self.on_change: Callable[[str], None] = lambda name: None

    def ask(self, name: str, when: Callable[[], object], due_ms: int) -> bool | None:
        """Whether job `name` may run at that due time, by its condition; None: it has not said so
        yet. An answer that came late counts for what was asked, and for nothing later.
        """
        question = _Question(when, due_ms)
        late = self._answers.pop(name, None)
        if late is not None and late[0] == question:
            return late[1]
        if name in self._asked:
            return None
        self._asked[name] = question
        greenlet = gevent.spawn(self._find_out, name, question)
        greenlet.join(timeout=PATIENCE)
        if name in self._asked:
            greenlet.link(lambda _: self.on_change(name))
            return None
        return self._answers.pop(name)[1]

    def _find_out(self, name: str, question: _Question) -> None:
        answer = False
        try:
            if self._in_threads:
                answer = gevent.get_hub().threadpool.apply(self._holds, (question.when,))
            else:
                answer = self._holds(question.when)
        except BaseException as error:  # whatever a condition raises, it is its job's matter alone
            logger.error("Job %s: its condition raised", name, exc_info=error, extra={"job": name})
        self._asked.pop(name, None)
        self._answers[name] = question, answer

    def _holds(self, when: Callable[[], object]) -> bool:
        with self._scope():
            return bool(when())
