"""A process whose wall clock is wrong, and may jump while it runs: a library that it preloads."""

import struct
import subprocess
from pathlib import Path

from tests.support.binaries import find_compiler
from tests.support.servers import MISSING

SOURCE = Path(__file__).with_name("shifted_clock.c")


def compiled_in(folder: Path) -> Path:
    """The library, built there. `RuntimeError` where no C compiler is: without it some faults
    would be left out, and nobody would know.
    """
    compiler = find_compiler()
    if compiler is None:
        raise RuntimeError(MISSING.format("C compiler with the headers of the C library"))
    library = folder / "shifted_clock.so"
    command = [str(compiler), "-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library


class ShiftedClock:
    """The clock of one child process: right, until it is shifted."""

    def __init__(self, library: Path, path: Path) -> None:
        self._library = library
        self._path = path
        self.shift(0)

    @property
    def environment(self) -> dict[str, str]:
        """What the child needs in its environment."""
        return {"LD_PRELOAD": str(self._library), "SHIFTED_CLOCK": str(self._path)}

    def shift(self, seconds: int) -> None:
        """From now on the child's wall clock is that many seconds ahead."""
        # In place: the child has mapped this very file.
        with open(self._path, "r+b" if self._path.exists() else "w+b") as file:
            file.write(struct.pack("=q", seconds))
