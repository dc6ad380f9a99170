"""Fresh processes, each of which tells what it found: nothing that was measured before, nor who
measures, has imported, patched or allocated anything in it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from .contenders.base import ROOT, python

T = TypeVar("T")


def told(*arguments: str, ours: bool = True, timeout: float = 600) -> Any:
    """What `python ARGUMENTS` printed last, as JSON."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    # The first process compiles, and the others find what a service finds that has run before.
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [python(ours=ours), *arguments],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)[:200]} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def probed(name: str, *arguments: object, ours: bool = True) -> Any:
    """What the probe `benchmarks/probes/<name>.py` tells."""
    return told("-m", f"benchmarks.probes.{name}", *map(str, arguments), ours=ours)


def together(work: Sequence[Callable[[], T]], most: int = 4) -> list[T]:
    """What each found, some at a time: for what other processes do not change, as memory, or the
    CPU time of a process that has little to do.
    """
    with ThreadPoolExecutor(most) as pool:
        return [done.result() for done in [pool.submit(one) for one in work]]
