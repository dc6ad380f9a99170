"""A server of the tests: on a free port of 127.0.0.1, in a folder that goes with it."""

import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.ports import free_port
from tests.support.wait import wait_for

#: What a watchdog does: wait until the test process is gone (its end of the pipe closes, however
#: it died), then end the server and remove its folder. A pipe works on every Unix and, unlike
#: PR_SET_PDEATHSIG, does not fire when merely the thread ends that started the server.
WATCHDOG = """
read -r _
kill -s "$2" "$1"; kill -s CONT "$1"
tries=0
while kill -0 "$1" && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
rm -rf "$3"
"""


class Server:
    """A server process with a folder and a port, which a watchdog ends if we cannot."""

    name: str
    #: Ends it in order, and at once.
    stop_signal: signal.Signals
    kill_signal: signal.Signals

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"jobrunner-{self.name}-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        #: The user it runs as; None: ours.
        self._user: str | None = None
        #: Whether it ever ran: then its port is known to others and must stay.
        self._settled = False

    @property
    def pid(self) -> int:
        """The process id while it runs, else RuntimeError."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start it and return when it answers; again after stop(): on the same port."""
        if self.running:
            return self
        self._end(self.kill_signal)  # clears away one that ended by itself
        for attempt in range(1 if self._settled else 5):
            if attempt:  # somebody else was faster to bind the port
                self.port = free_port()
            self._launch()
            if self._comes_up():
                self._settled = True
                return self
            self._end(self.kill_signal)
        raise RuntimeError(f"{self.name} does not start on port {self.port}:\n{self.log()}")

    def stop(self) -> None:
        """End it in order; its folder stays for a next start()."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._end(self.kill_signal)

    def close(self) -> None:
        """End it for good and remove its folder."""
        self._end(self.kill_signal)
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """What it wrote so far."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _answers(self) -> bool:
        """Whether *our* process answers on the port."""
        raise NotImplementedError

    def _launch(self) -> None:
        # A session of its own: Ctrl-C is for the tests, which stop the server when they are done.
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **as_user(self._user),
            )
        signal_name = self.kill_signal.name.removeprefix("SIG")
        self._watchdog = subprocess.Popen(
            ["sh", "-c", WATCHDOG, "watchdog", str(self.pid), signal_name, str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _comes_up(self) -> bool:
        """Wait until it answers (True) or has ended (False)."""
        try:
            wait_for(
                lambda: not self.running or self._answers(),
                timeout=60,
                message=lambda: f"an answer of {self.name} on port {self.port}:\n{self.log()}",
            )
        except BaseException:
            self._end(self.kill_signal)
            raise
        return self.running

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        # The watchdog goes first: afterwards the pid may be somebody else's.
        if self._watchdog is not None:
            self._watchdog.kill()
            self._watchdog.communicate()
            self._watchdog = None
        if self.running:
            self._process.send_signal(how)
            self._process.send_signal(signal.SIGCONT)
            try:
                self._process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None


def as_user(name: str | None) -> dict[str, Any]:
    """The arguments with which subprocess runs a program as that user; none for ourselves."""
    if name is None:
        return {}
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}
