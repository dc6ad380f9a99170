"""The processes of a contender: started, waited for and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, NamedTuple

from benchmarks.cores import cores
from tests.support.servers import RedisServer

from . import table
from .base import ROOT, Command, Contender, Scenario

#: Seconds that a process has to end by itself, before it is killed.
_PATIENCE = 10.0

#: Characters of the log of a process that is shown when it fails.
_SHOWN = 3000


class ContenderError(RuntimeError):
    """A process ended that should not have, or something did not happen in time."""


@dataclass
class Process:
    """A process of a contender, the leader of a process group of its own."""

    command: Command
    popen: subprocess.Popen[bytes]
    log: IO[bytes] = field(repr=False)

    @property
    def pid(self) -> int:
        return self.popen.pid

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Signal it, wait for it, and kill what is left of it and its children."""
        if self.popen.poll() is None:
            self.popen.send_signal(how)
            with suppress(subprocess.TimeoutExpired):
                self.popen.wait(_PATIENCE)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait(_PATIENCE)

    def said(self) -> str:
        """The end of what it wrote."""
        self.log.flush()
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-_SHOWN:]


class Running:
    """The processes of one contender while the block is entered: those that its module names, or
    `commands`.

    Where there is only one, it has the first core to itself, if the servers are kept away. A
    process that ends with an error before it is told to is a `ContenderError` with its log.
    """

    def __init__(
        self,
        contender: Contender,
        scenario: Scenario,
        commands: Sequence[Command] | None = None,
    ) -> None:
        self.contender = contender
        self.scenario = table.asked(contender, scenario)
        self._commands = commands
        self.processes: list[Process] = []

    def __enter__(self) -> Running:
        wanted = self._commands
        if wanted is None:
            wanted = table.commands(self.contender, self.scenario)
        try:
            for command in wanted:
                process = self.start(command)
                if len(wanted) == 1:
                    os.sched_setaffinity(process.pid, {cores()[0]})
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._end()

    def start(self, command: Command) -> Process:
        """One process more."""
        log = tempfile.TemporaryFile()  # noqa: SIM115 (closed when the process has ended)
        popen = subprocess.Popen(
            command.argv,
            cwd=ROOT,
            env=self.scenario.environ(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        process = Process(command, popen, log)
        self.processes.append(process)
        return process

    def check(self) -> None:
        """`ContenderError` if one of them has ended with an error."""
        for process in self.processes:
            if process.popen.poll():
                raise ContenderError(self._words(process, f"ended: {process.popen.returncode}"))

    def wait_until(self, happened: Callable[[], bool], seconds: float, what: str) -> None:
        """Look 50 times a second; `ContenderError` when it has not happened within `seconds`."""
        deadline = time.monotonic() + seconds
        while not happened():
            self.check()
            if time.monotonic() > deadline:
                logs = [self._words(process, "has said") for process in self.processes]
                raise ContenderError(f"no {what} within {seconds:g} s\n" + "\n".join(logs))
            time.sleep(0.02)

    def watch(self, seconds: float) -> None:
        """Let them be for a while."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.check()
            time.sleep(min(0.1, left))

    def _words(self, process: Process, what: str) -> str:
        role = process.command.role
        return f"{self.contender.name}: its process ({role}) {what}:\n{process.said()}"

    def _end(self) -> None:
        for process in self.processes:
            process.end()
            process.log.close()


class Servers(NamedTuple):
    """A contender's own Redis, and the one that its runs are recorded in."""

    own: RedisServer
    record: RedisServer

    def clear(self) -> None:
        for server in self:
            with server.client() as client:
                client.flushall()


@contextmanager
def servers() -> Iterator[Servers]:
    with RedisServer() as own, RedisServer() as record:
        yield Servers(own, record)
