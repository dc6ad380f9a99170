"""What comes at a worker: as much as it can serve (wrk), or visitors at a fixed rate."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from benchmarks.contenders.base import ROOT
from benchmarks.cores import cores, pinned

#: Connections that wrk keeps busy. A turn of the hub answers them all: with so many it takes about
#: 40 ms here. With 64 of them turns last longer than jobs of a second allow, whoever runs these.
CONNECTIONS = 24


def requests_at_most(url: str, seconds: int) -> float:
    """Requests a second that the worker can do."""
    told = subprocess.run(_wrk(url, seconds), check=True, capture_output=True, text=True)
    found = re.search(r"Requests/sec:\s+([\d.]+)", told.stdout)
    if found is None or "Non-2xx" in told.stdout:
        raise RuntimeError(f"wrk did not measure:\n{told.stdout}{told.stderr}")
    return float(found[1])


@contextmanager
def saturated(url: str, most_seconds: int) -> Iterator[None]:
    """While it lasts, the worker has more requests than it can serve."""
    process = subprocess.Popen(
        _wrk(url, most_seconds), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError("wrk ended before the watch was over")
    finally:
        process.terminate()
        process.wait()


def latencies(url: str, rate: float, seconds: float, seed: int) -> list[float]:
    """The latencies of visitors at a fixed rate, in seconds, the shortest first."""
    command = [sys.executable, "-m", "benchmarks.web.open_loop", "--port", str(urlsplit(url).port)]
    command += ["--rate", str(rate), "--seconds", str(seconds), "--seed", str(seed)]
    told = subprocess.run(pinned(cores()[1], command), capture_output=True, text=True, cwd=ROOT)
    if told.returncode:
        raise RuntimeError(f"the visitors gave up:\n{told.stderr}")
    return [float(one) for one in json.loads(told.stdout)]


def _wrk(url: str, seconds: int) -> list[str]:
    program = shutil.which("wrk")
    if program is None:
        raise RuntimeError("no wrk here; Debian and Ubuntu have it as the package wrk")
    return pinned(
        cores()[1], [program, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30", url]
    )
