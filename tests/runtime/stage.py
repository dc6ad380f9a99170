"""Programs that tests play in a process of their own, patched for gevent or not.

A program is a function of the test's module: it gets a `Stage` to talk with, and JSON arguments.

    def sleeps(stage, redis_url): ...

    with Play(sleeps, patched=True, redis_url=redis_url) as play:
        play.wait_for("started")
        play.say("go on")
        assert play.end() == 7       # what the program returned
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from tests.support.aside import environment
from tests.support.wait import wait_for


class Play:
    """One program at play: its process, what it said, and a way to talk to it."""

    def __init__(self, program: Callable[..., Any], *, patched: bool, **arguments: Any) -> None:
        self._events: list[dict[str, Any]] = []
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-W", "error", "-m", "tests.runtime.actor"),
                "patched" if patched else "plain",
                *(program.__module__, program.__name__, json.dumps(arguments)),
            ],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            bufsize=1,
            start_new_session=True,  # to end what it forks together with it
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def events(self, name: str) -> list[dict[str, Any]]:
        """What it said under that name, so far."""
        return [event for event in list(self._events) if event["event"] == name]

    def wait_for(self, name: str, count: int = 1) -> dict[str, Any]:
        """The `count`th event of that name, when it has come; an error when the program ended
        without it."""

        def come() -> bool:
            ended = not self._reader.is_alive()
            return len(self.events(name)) >= count or ended

        wait_for(come, timeout=60, message=lambda: f"{count} times {name!r}; {self._shown()}")
        assert len(self.events(name)) >= count, f"it ended without {name!r}; {self._shown()}"
        return self.events(name)[count - 1]

    def say(self, word: str) -> None:
        """Tell it a word."""
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")

    def log(self, level: str) -> list[str]:
        """What the library logged at that level."""
        return [event["message"] for event in self.events("log") if event["level"] == level]

    def wait_for_log(self, words: str) -> dict[str, Any]:
        """The first line of the library's log that holds `words`, when it has come."""

        def logged() -> list[dict[str, Any]]:
            return [event for event in self.events("log") if words in event["message"]]

        return wait_for(logged, timeout=60, message=self._shown)[0]

    def exit_code(self) -> int:
        """How the process ended, when it has."""
        wait_for(lambda: self._process.poll() is not None, timeout=60, message=self._shown)
        self._reader.join(timeout=10)
        return self._process.returncode

    def end(self) -> Any:
        """What the program returned, when its process has ended well."""
        code = self.exit_code()
        assert code == 0, f"it ended with {code}; {self._shown()}"
        return self.events("result")[0]["result"]

    def errors(self) -> str:
        """What it wrote to its standard error so far."""
        self._errors.seek(0)
        return self._errors.read()

    def close(self) -> None:
        """End it now, and what it forked."""
        if self._process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(timeout=10)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            error.add_note(self._shown())
        self.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._events.append(json.loads(line))

    def _shown(self) -> str:
        said = "\n".join(str(event) for event in self._events[-60:])
        return f"it said:\n{said}\nand wrote:\n{self.errors()[-6000:]}"


def play(program: Callable[..., Any], *, patched: bool, **arguments: Any) -> Any:
    """Play a program to its end, and return what it returned."""
    with Play(program, patched=patched, **arguments) as playing:
        return playing.end()
