"""The inside of a program that a test plays (see `stage.py`): `python -m tests.runtime.actor`.

It patches, or does not, before it imports anything else: what a program is about is whether the
library does its work in a patched process and in a plain one.
"""

import sys

if __name__ == "__main__" and sys.argv[1] == "patched":
    from gevent import monkey

    monkey.patch_all()

import importlib
import json
import logging
import os
import time
from typing import Any

from gevent.monkey import get_original

from tests.support.wait import wait_for

_start_new_thread = get_original("_thread", "start_new_thread")
_wall = time.time  # a program may set the clock wrong


class Stage:
    """What a program talks to its test with: events go out, words come in, both a line each."""

    def __init__(self) -> None:
        self._words: list[str] = []
        # A native thread, so that waiting for words does not stop a hub.
        _start_new_thread(self._listen, ())

    def say(self, event: str, **facts: Any) -> None:
        """Tell the test, from any thread, and when: `at` by the monotonic clock that all processes
        share, `wall` in Unix seconds.
        """
        now = {"at": time.monotonic(), "wall": _wall()}
        line = json.dumps({"event": event, **now, **facts}) + "\n"
        os.write(1, line.encode())  # in one piece: other threads and greenlets write too

    def heard(self, word: str) -> bool:
        """Whether the test has said it."""
        return word in self._words

    def wait_for(self, word: str) -> None:
        """Return when the test has said it; meanwhile greenlets and threads go on."""
        wait_for(lambda: self.heard(word), timeout=120, message=f"the word {word!r}", every=0.005)

    def _listen(self) -> None:
        heard = b""
        while piece := os.read(0, 4096):
            heard += piece
            self._words = heard.decode().splitlines()
        os._exit(3)  # the test is gone: nothing of it may stay behind


class _Telling(logging.Handler):
    """Tells the test what the library logs."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage

    def emit(self, record: logging.LogRecord) -> None:
        self._stage.say("log", level=record.levelname, message=record.getMessage())


def instance_of(runner: Any, app: Any = None) -> Any:
    """The runner's instance in this process: for a program that breaks one of its parts."""
    return runner._state(app).instance()


def main() -> None:
    _, module, function, arguments = sys.argv[1:]
    stage = Stage()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("jobrunner").addHandler(_Telling(stage))
    program = getattr(importlib.import_module(module), function)
    stage.say("result", result=program(stage, **json.loads(arguments)))


if __name__ == "__main__":
    main()
