"""The hosted application as a process: how it is started, what its jobs wrote down, how it ends."""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import redis

from tests.cluster.apps.hosted import BEAT_SECONDS
from tests.support.aside import environment
from tests.support.server import Server
from tests.support.wait import wait_for

APP = "tests.cluster.apps.hosted"

#: What the library says when an instance starts.
STARTED = "jobrunner: Instance "

#: Generous: the machine may have other work.
PATIENCE = 60


class Hosted(Server):
    """A process, or a family of processes, around the application of `apps/hosted.py`.

    `command` may say `{port}`; without one the process listens nowhere. Its namespace is its own,
    so many can use one Redis at once. Environment variables in capitals; `aside` are folders of
    packages that go before the environment's.
    """

    name = "hosted"
    stop_signal = signal.SIGTERM
    kill_signal = signal.SIGKILL

    def __init__(
        self, redis_url: str, command: Sequence[str], *aside: Path, namespace: str = "", **env: str
    ) -> None:
        super().__init__()
        self.namespace = namespace or f"hosted-{secrets.token_hex(4)}"
        self.redis_url = redis_url
        self._words = list(command)
        self._listens = any("{port}" in word for word in command)
        self._env = {
            "PYTHONPATH": environment(*aside)["PYTHONPATH"],
            "PYTHONUNBUFFERED": "1",
            "JOBRUNNER_REDIS_URL": redis_url,
            "JOBRUNNER_NAMESPACE": self.namespace,
            "JOBRUNNER_CHECK_INTERVAL": "0.5",
            **env,
        }

    # -- the processes -----------------------------------------------------------------------

    def tell(self, how: signal.Signals) -> None:
        """Send a signal to the process that was started, as `kill` does: to it alone."""
        os.kill(self.pid, how)

    def wait(self) -> int:
        """The exit status, once it has ended by itself."""
        assert self._process is not None
        try:
            return self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{self.log()}") from None

    def until(self, condition: Any, what: str) -> Any:
        """Wait for a true answer of `condition`, and return it."""
        return wait_for(condition, PATIENCE, lambda: f"{what}; the log:\n{self.log()}")

    def get(self, path: str = "/") -> str:
        """The text of a page; an error of the server is one here."""
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{path}: {error}\n{self.log()}") from None

    def log(self) -> str:
        """What it wrote so far, but for the many lines of its beats."""
        lines = super().log().splitlines(keepends=True)
        return "".join(line for line in lines if "Job beat" not in line and "job beat" not in line)

    def output(self) -> str:
        """What it wrote that no logger did."""
        return re.sub(r"^\d+ \w[\w.]*: .*\n", "", self.log(), flags=re.MULTILINE)

    # -- what happened in it -----------------------------------------------------------------

    def records(self, what: str = "") -> list[dict[str, Any]]:
        """What was written down so far, in order; what begins with `what`."""
        with self.redis() as client:
            raw: Any = client.lrange(f"records:{self.namespace}", 0, -1)
        return [record for record in map(json.loads, raw) if record["what"].startswith(what)]

    def until_recorded(self, *whats: str) -> list[dict[str, Any]]:
        """The first record of each, once they are all there."""
        self.until(lambda: all(map(self.records, whats)), f"records of {whats}")
        return [self.records(what)[0] for what in whats]

    def instances(self) -> set[str]:
        """The ids of the instances that live."""
        with self.redis() as client:
            raw: Any = client.zrange(f"{{{self.namespace}}}:instances", 0, -1)
        return {instance.decode() for instance in raw}

    def outcomes(self, job: str) -> list[str]:
        """How the runs of a job ended, the oldest first."""
        with self.redis() as client:
            entries: Any = client.xrange(f"{{{self.namespace}}}:job:{job}:history")
        return [fields[b"outcome"].decode() for _, fields in entries]

    def has_lease(self, job: str) -> bool:
        with self.redis() as client:
            return bool(client.exists(f"{{{self.namespace}}}:job:{job}:lease"))

    def keys(self) -> set[str]:
        """Every key of its namespace in Redis."""
        with self.redis() as client:
            return {key.decode() for key in client.scan_iter(f"*{self.namespace}*")}

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.redis_url, socket_timeout=5, socket_connect_timeout=5)

    def assert_one_run_per_due_time(self) -> None:
        """No two starts of a beat are closer than its interval, whoever made them."""
        for beat in {record["what"] for record in self.records("beat")}:
            starts = sorted(record["started_at"] for record in self.records(beat))
            gaps = [later - sooner for sooner, later in pairwise(starts)]
            assert [] == [gap for gap in gaps if gap < BEAT_SECONDS], self.log()

    # -- Server ------------------------------------------------------------------------------

    def _command(self) -> list[str]:
        words = [word.replace("{port}", str(self.port)) for word in self._words]
        # `env` makes way for the program: the process id stays.
        return ["env", *(f"{name}={value}" for name, value in self._env.items()), *words]

    def _answers(self) -> bool:
        """Whether somebody listens; no request is made, for the first one may matter."""
        if not self._listens:
            return True
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None and how is self.kill_signal:
            # Its children too, also when it has left them behind: all are in its group.
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, how)
        super()._end(how)


def python(program: str) -> list[str]:
    """The command that runs a program text."""
    return [sys.executable, "-c", program]


def flask(*words: str) -> list[str]:
    """A flask command of the application."""
    return [sys.executable, "-m", "flask", "--app", APP, *words]
