"""One gunicorn worker with a contender in it, on a core of its own."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.contenders.base import Command, Contender, Scenario, python
from benchmarks.contenders.running import Running
from benchmarks.cores import cores, pinned
from tests.support.ports import free_port

#: What ought to be the same in the two environments, for contenders of both are compared.
PACKAGES = ("gunicorn", "gevent", "greenlet", "flask", "werkzeug", "redis", "hiredis")

#: The web application alone.
NOTHING = Contender("none", "no scheduler", module="", ours=True, embeds=True)

_VERSIONS = """
import sys
from importlib.metadata import version
print(sys.version.split()[0], *(f"{name} {version(name)}" for name in sys.argv[1:]), sep=", ")
"""


@dataclass(frozen=True)
class Worker:
    """A worker that serves."""

    url: str
    pid: int


def cpu_seconds(pid: int) -> float:
    """What the threads that a process has now have computed."""
    spent = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        spent += int((thread / "schedstat").read_text().split()[0])
    return spent / 1e9


@contextmanager
def worker(contender: Contender, scenario: Scenario) -> Iterator[Worker]:
    """A gunicorn with one gevent worker on the first core, until it is left."""
    if contender.module:
        options = {**scenario.options, "embed": contender.module}
        scenario = replace(scenario, options=options)
    port = free_port()
    argv = [
        *(python(ours=contender.ours), "-m", "gunicorn", "-k", "gevent", "-w", "1"),
        *("--bind", f"127.0.0.1:{port}", "--log-level", "warning", "--keep-alive", "30"),
        *("--graceful-timeout", "3", "--no-control-socket"),
        "benchmarks.web.app:create_app()",
    ]
    with Running(contender, scenario, [Command(pinned(cores()[0], argv), "both")]) as running:
        url = f"http://127.0.0.1:{port}/"
        running.wait_until(lambda: _serves(url), 30, "answer of the worker")
        try:
            yield Worker(url, _child_of(running.processes[0].pid))
        finally:
            running.processes[0].end(signal.SIGKILL)  # nothing that it still does is measured


def versions() -> str:
    """What the library and the peers are served by, in words."""
    library, peers = (
        subprocess.run(
            [python(ours=ours), "-c", _VERSIONS, *PACKAGES],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for ours in (True, False)
    )
    return f"Python {library}" if library == peers else f"Python {library}; the peers: {peers}"


def _serves(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, ConnectionError):
        return False


def _child_of(pid: int) -> int:
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)
