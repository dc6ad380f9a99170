"""Packages installed aside, for child processes that need another release than the environment's.

As a module it prints the folder, for a shell: python -m tests.support.aside 'redis==5.0.1'
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STORE = ROOT / ".aside"


def aside(*requirements: str) -> Path:
    """The folder that holds these requirements and what they need; installed once, then kept.

    A child process gets them through PYTHONPATH (see `environment`), in front of what the
    environment has. The scripts of the packages stay behind: use `python -m gunicorn`.
    """
    # Compiled packages fit one Python only.
    python = f"py{sys.version_info[0]}{sys.version_info[1]}"
    words = "+".join(re.sub(r"[^A-Za-z0-9.]+", "-", word).strip("-") for word in requirements)
    folder = STORE / f"{words}+{python}"
    if not folder.exists():
        _install(requirements, folder)
    return folder


def gunicorn(version: str) -> Path:
    """A gunicorn of that version."""
    if version.startswith("20."):
        # It imports pkg_resources: gone from newer setuptools, warned about from 67.5 on, and not
        # importable on Python 3.12 before 66.1.
        return aside(f"gunicorn=={version}", "setuptools>=66.1,<67.5")
    return aside(f"gunicorn=={version}")


def environment(*folders: Path, **more: str) -> dict[str, str]:
    """Our environment variables for a child: the folders first on its path, then the checkout."""
    path = [*map(str, folders), str(ROOT)]
    if inherited := os.environ.get("PYTHONPATH"):
        path.append(inherited)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), **more}


def _install(requirements: tuple[str, ...], folder: Path) -> None:
    STORE.mkdir(exist_ok=True)
    # Whole or not at all: made beside its place and renamed.
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=STORE))
    try:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"),
                *("--target", str(making), *requirements),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"pip could not install {requirements}:\n{done.stderr}")
        try:
            making.rename(folder)
        except OSError:
            if not folder.exists():  # else somebody was faster, which is as good
                raise
    finally:
        shutil.rmtree(making, ignore_errors=True)


if __name__ == "__main__":
    try:
        print(aside(*sys.argv[1:]))
    except RuntimeError as error:
        sys.exit(str(error))
