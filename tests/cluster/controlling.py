"""Controls that come from other processes than the fleet's, and when Redis had them."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from jobrunner import HistoryEntry
from tests.cluster.records import Records
from tests.cluster.serving import Fleet, job
from tests.support.aside import environment
from tests.support.servers import RedisServer
from tests.support.wait import wait_for

APP = "tests.cluster.apps.controlled"

#: Seconds that a command may take on a loaded machine.
PATIENCE = 120

#: A program that does what its arguments say, in a process of its own.
PROGRAM = f"""
import json, sys
from {APP} import create_app
state = create_app().extensions["jobrunner"]
answers = [getattr(state, what)(name, **more) for what, name, more in json.loads(sys.argv[1])]
print(json.dumps([str(getattr(answer, "run_id", answer)) for answer in answers]))
"""


class Controlled(Fleet):
    """Four workers of `apps/controlled.py`, and what other processes ask of them.

    `beats` are due again and again, with nobody asking.
    """

    def __init__(
        self, redis: RedisServer, records: Records, *, beats: Sequence[str] = (), **settings: Any
    ) -> None:
        jobs = [job(name, interval=0.2, seconds=0) for name in beats]
        super().__init__(redis, records, jobs, workers=4, app="controlled", **settings)
        self._server = redis

    # -- from other processes ----------------------------------------------------------------

    def flask_jobs(self, *words: str, code: int = 0) -> str:
        """What `flask jobs …` says, in a process of its own that ends with this code."""
        command = [sys.executable, "-m", "flask", "--app", f"{APP}:create_app", "jobs", *words]
        done = subprocess.run(command, **self._surroundings())
        assert code == done.returncode, f"{done.stdout}{done.stderr}"
        return str(done.stdout + done.stderr)

    def asked(self, *controls: tuple[str, str, dict[str, Any]]) -> list[str]:
        """What the methods of the runner answer in a process of its own: of an entry, its run."""
        (answers,) = self.asked_at_once([controls])
        return answers

    def asked_at_once(
        self, programs: Sequence[Sequence[tuple[str, str, dict[str, Any]]]]
    ) -> list[list[str]]:
        """The same, of so many processes at the same time."""
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", PROGRAM, json.dumps(list(controls))],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=self.folder,
                env=environment(),
            )
            for controls in programs
        ]
        answers = []
        for process in processes:
            try:
                out, error = process.communicate(timeout=PATIENCE)
            finally:
                process.kill()
            assert 0 == process.returncode, error
            answers.append(json.loads(out))
        return answers

    def _surroundings(self) -> dict[str, Any]:
        return {
            "cwd": self.folder,
            "env": environment(),
            "capture_output": True,
            "text": True,
            "timeout": PATIENCE,
        }

    # -- what became of it -------------------------------------------------------------------

    def written_ms(self) -> int:
        """When Redis had the newest control, by its own clock."""
        with self._server.client() as client:
            newest: Any = client.xrevrange("{fleet}:control", count=1)
        return int(newest[0][0].split(b"-")[0])

    def now_ms(self) -> int:
        """The fleet's time."""
        with self._server.client() as client:
            told: Any = client.time()
        return int(told[0]) * 1000 + int(told[1]) // 1000

    def wait_for_answer(self, name: str, request: str) -> HistoryEntry:
        """The run that answered a request, when it has ended."""

        def answer() -> HistoryEntry | None:
            return next((e for e in self.history_of(name) if e.request == request), None)

        entry = wait_for(answer, timeout=PATIENCE, message=f"the answer to {request} of {name}")
        assert entry is not None
        return entry
