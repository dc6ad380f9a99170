"""The wheel that users get: it is built, looked into, installed where nothing else is, imported."""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: What a build may look at. tests and flask_example are there so that their absence in the wheel
#: says something.
SOURCES = ("setup.py", "setup.cfg", "README.md", "LICENSE", "jobrunner", "flask_example", "tests")

#: What a user's first line meets, with warnings as errors and away from the checkout.
FIRST_LINES = """
import importlib.resources, pathlib, sys
import jobrunner
assert pathlib.Path(jobrunner.__file__).is_relative_to(sys.prefix), jobrunner.__file__
assert all(hasattr(jobrunner, name) for name in jobrunner.__all__)
lua = importlib.resources.files("jobrunner.store") / "lua"
assert any(script.name.endswith(".lua") and script.read_text() for script in lua.iterdir())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: a build leaves folders in its tree, and packs what an older one left."""
    source = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source)
    target = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, source)
    [built] = target.glob("flask_jobrunner-*.whl")
    return built


def test_the_wheel_holds_the_library_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "jobrunner").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert any(name.endswith(".lua") for name in expected)
    assert "jobrunner/py.typed" in expected
    assert expected == {name for name in names if ".dist-info/" not in name}


def test_it_imports_in_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    run(python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", wheel)
    run(python, "-W", "error", "-c", FIRST_LINES, cwd=tmp_path)
    run(python, "-m", "flask", "jobs", "--help", cwd=tmp_path)


def run(*command: str | Path, cwd: Path | None = None) -> None:
    """Run it without our import path; a failure shows what it said."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        list(command),
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
