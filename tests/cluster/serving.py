"""A fleet: gunicorn with gevent workers, over a Redis that a test may stop."""

import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from jobrunner import HistoryEntry, Job, JobContext, JobRunner
from tests.cluster.records import Records
from tests.support.aside import ROOT
from tests.support.server import Server
from tests.support.servers import RedisServer
from tests.support.wait import wait_for

APPS = ROOT / "tests" / "cluster" / "apps"

#: What a run of a fleet test works with unless it says otherwise: short leases, quick checks.
SETTINGS = {"LEASE": 2, "CHECK_INTERVAL": 0.5, "DRAIN_TIMEOUT": 5}


def job(
    name: str, *, interval: float, seconds: float = 0.05, computes: bool = False
) -> dict[str, Any]:
    """A job that is due every `interval` seconds and works for `seconds`."""
    return {"name": name, "interval": interval, "seconds": seconds, "computes": computes}


class _Named(Job):
    """A job to ask about, and not to run."""

    interval = 1

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, ctx: JobContext) -> None:
        raise NotImplementedError


class Fleet(Server):
    """gunicorn serving `tests.cluster.apps`, with so many workers."""

    name = "gunicorn"
    stop_signal = signal.SIGTERM
    kill_signal = signal.SIGTERM  # its workers, too: a master that is killed leaves them behind

    def __init__(
        self,
        redis: RedisServer,
        records: Records,
        jobs: Sequence[dict[str, Any]],
        *,
        workers: int,
        app: str = "fleet",
        preload: bool = False,
        timer: float | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        self._redis = redis
        self.records = records
        self._app = app
        self._number = workers
        self._preload = preload
        self.interval_ms = {str(job["name"]): round(job["interval"] * 1000) for job in jobs}
        #: The shortest time between two starts of a job that lets the first run end.
        self.rhythm_ms = {
            str(job["name"]): round(max(job["interval"], job["seconds"]) * 1000) for job in jobs
        }
        config = {"REDIS_URL": redis.url, "NAMESPACE": "fleet", **SETTINGS, **settings}
        setup = {
            "records": records.url,
            "jobs": jobs,
            "config": {f"JOBRUNNER_{name}": value for name, value in config.items()},
            "patch_early": preload,
            "timer": timer,
        }
        (self.folder / "fleet.json").write_text(json.dumps(setup))

    def pids(self) -> list[int]:
        """The processes in which an instance ever started, in the order of their starts."""
        return [int(line.split()[0]) for line in self.lines(" checks ")]

    def lease_of(self, name: str) -> str:
        """The id of the run that holds the job; '' when nobody does."""
        with self._redis.client() as client:
            held = client.get(f"{{fleet}}:job:{name}:lease")
        assert held is None or isinstance(held, bytes)
        return (held or b"").decode()

    def history_of(self, name: str) -> list[HistoryEntry]:
        """As any process sees it that knows the job's name, the newest first."""
        runner = JobRunner(redis_url=self._redis.url, namespace="fleet", jobs=[_Named(name)])
        try:
            return runner.history(name)
        finally:
            runner.stop()

    def get(self, timeout: float = 10) -> int:
        """The status of one request to the page; 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=timeout) as page:
                return int(page.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return 0

    def lines(self, text: str) -> list[str]:
        """The lines of the log that hold `text`; those of the library begin with the pid."""
        return [line for line in self.log().splitlines() if text in line]

    def close(self) -> None:
        if self.running:
            os.kill(self.pid, signal.SIGTERM)
            with suppress(AssertionError):
                wait_for(lambda: not self.running, timeout=20)
        if self.running:
            # The master has not been waited for: the group is still its own.
            os.killpg(self.pid, signal.SIGKILL)
        super().close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            print(self.log())  # pytest shows it with the failure
        super().__exit__(kind, error, trace)

    def _command(self) -> list[str]:
        return [
            *(sys.executable, "-W", "error", "-m", "gunicorn"),
            *("-k", "gevent", "-w", str(self._number), "-b", f"127.0.0.1:{self.port}"),
            *("-c", str(APPS / "fleet_conf.py"), "--pythonpath", str(ROOT)),
            *(("--preload",) if self._preload else ()),
            f"tests.cluster.apps.{self._app}:create_app()",
        ]

    def _answers(self) -> bool:
        return len(self.pids()) >= self._number and self.get() == 200
