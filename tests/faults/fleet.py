"""A fleet that loses its instances: places for workers, each with its own proxy and clock."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jobrunner import HistoryEntry, JobContext, JobRunner
from jobrunner import Job as JobBase
from tests.faults.jobs import Work
from tests.faults.proxy import Proxy
from tests.faults.servers import FaultyRedis
from tests.faults.shifted_clock import ShiftedClock, compiled_in
from tests.faults.witness import Witness
from tests.support.aside import ROOT, environment
from tests.support.servers import RedisServer
from tests.support.wait import wait_for

LEASE, CHECK = 1.0, 0.25

SETTINGS = {
    "lease": LEASE,
    "check_interval": CHECK,
    "resync_interval": 5,
    "drain_timeout": 1,
    "history": 1000,
    # Killed jobs are the point here, and are not to blame.
    "quarantine_after": 1000,
}


class _Named(JobBase):
    """A job to ask about, and not to run."""

    interval = 1

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, ctx: JobContext) -> None:
        raise NotImplementedError


class Place:
    """Where one worker lives; when it goes, another one takes its place."""

    def __init__(self, fleet: "Fleet", number: int, proxy: Proxy) -> None:
        self.number = number
        self.proxy = proxy
        self.clock = ShiftedClock(fleet.clock_library, fleet.folder / f"clock-{number}")
        self._fleet = fleet
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_ready(self) -> bool:
        return self.ready_since is not None

    @property
    def ready_since(self) -> float | None:
        return self._fleet.witness.ready_since(self.pid)

    def fill(self) -> None:
        """Start a worker here; one that was here goes on ending beside it."""
        self._process = self._fleet.start_worker(self)

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process


class Fleet:
    """Workers over a Redis that may fail, and a witness that does not."""

    def __init__(
        self,
        redis: FaultyRedis,
        witness_redis: RedisServer,
        works: Sequence[Work],
        *,
        places: int = 4,
        log_level: str = "WARNING",
        database: str | None = None,
        **settings: Any,
    ) -> None:
        self.redis = redis
        self.works = {work.name: work for work in works}
        self.settings = {**SETTINGS, **settings}
        self._witness_redis = witness_redis
        self._number = places
        self._log_level = log_level
        self._database = database
        self._stack = ExitStack()
        self.places: list[Place] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="jobrunner-faults-"))
            self.folder = Path(folder)
            self.clock_library = compiled_in(self.folder)
            with self._witness_redis.client() as client:
                client.flushall()
            self.witness = Witness(self._witness_redis.url)
            stack.callback(self.witness.close)
            self._log = stack.enter_context(open(self.folder / "log", "ab"))
            self._observer = JobRunner(
                redis_url=self.redis.url,
                namespace="fleet",
                jobs=[_Named(name) for name in self.works],
            )
            stack.callback(self._observer.stop)
            for number in range(self._number):
                proxy = stack.enter_context(Proxy(self.redis.port))
                self.places.append(Place(self, number, proxy))
            stack.callback(self._kill_all)
            for place in self.places:
                place.fill()
            self._stack = stack.pop_all()
        wait_for(lambda: all(place.is_ready for place in self.places), message=self.log)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            error.add_note(self.log()[-6000:])
        self._stack.close()

    def start_worker(self, place: Place) -> "subprocess.Popen[bytes]":
        setup = {
            "witness": self._witness_redis.url,
            "redis_url": place.proxy.url,
            "jobs": [work.as_json() for work in self.works.values()],
            "settings": self.settings,
            "log_level": self._log_level,
            "database": self._database,
        }
        path = self.folder / f"setup-{place.number}.json"
        path.write_text(json.dumps(setup))
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.faults.worker", str(path)],
            cwd=ROOT,
            env=environment(**place.clock.environment),
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def history(self) -> dict[str, list[HistoryEntry]]:
        """Of each job, all that Redis holds."""
        return {name: self._observer.history(name, 10_000) for name in self.works}

    def leases(self) -> dict[str, str]:
        """By key, the run ids of all leases in Redis."""
        with self.redis.client() as client:
            keys = list(client.scan_iter("*:lease"))
            held = {key.decode(): client.get(key) for key in keys}
        return {key: run.decode() for key, run in held.items() if isinstance(run, bytes)}

    def stop(self, timeout: float = 30) -> None:
        """Drain all workers."""
        for place in self.places:
            place.send(signal.SIGTERM)
        wait_for(lambda: not self.living(), timeout=timeout, message=self.log)

    def living(self) -> list[int]:
        """The processes that have not ended."""
        return [process.pid for process in self._processes if process.poll() is None]

    def log(self) -> str:
        """What the workers wrote."""
        return (self.folder / "log").read_text(errors="replace")

    def place_of(self, pid: int) -> Place | None:
        """Where the process lives; None: it lives no more."""
        found = [place for place in self.places if place.pid == pid]
        return found[0] if found else None

    def _kill_all(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        for process in self._processes:
            process.communicate()
