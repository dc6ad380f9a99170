"""The shell completes the names of jobs, without Redis and without a word too much."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.aside import environment

#: The flask command, under its own name.
PROGRAM = "import sys; sys.argv = ['flask']; from flask.cli import main; main()"

APP = """
import logging, sys
from flask import Flask
from jobrunner import JobRunner, every

print("to the output")
print("to the errors", file=sys.stderr)
logging.basicConfig()
logging.warning("to the log")
runner = JobRunner(redis_url="redis://127.0.0.1:1/0", mode="greenlet")

@runner.job(every(minutes=1))
def report(ctx): ...

@runner.job(every(minutes=1))
def repair(ctx): ...

@runner.job(every(minutes=1), name="purge")
def clean(ctx): ...

app = Flask(__name__)
runner.init_app(app)
runner.start()
"""


def complete(folder: Path, *words: str) -> tuple[str, str]:
    """What bash gets for these words, the last of which is unfinished; and what is said besides."""
    line = ["flask", "--app", "shop", "jobs", *words]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment(
            folder,
            _FLASK_COMPLETE="bash_complete",
            COMP_WORDS=" ".join(line),
            COMP_CWORD=str(len(line) - 1),
        ),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout, done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(APP)
    return tmp_path


@pytest.mark.skipif(os.name != "posix", reason="the completion is bash's")
@pytest.mark.parametrize("command", ["show", "trigger"])
def test_names_that_begin_so(folder: Path, command: str) -> None:
    assert ("plain,report\nplain,repair\n", "") == complete(folder, command, "rep")


def test_an_argument_that_may_be_missing(folder: Path) -> None:
    assert ("plain,purge\n", "") == complete(folder, "next", "p")


@pytest.mark.parametrize(
    "text", ["raise RuntimeError('broken')", "import sys; sys.exit('broken')", "app = 1", "("]
)
def test_an_application_that_does_not_load_is_no_matter(folder: Path, text: str) -> None:
    (folder / "shop.py").write_text(text)

    assert ("\n", "") == complete(folder, "show", "rep")


def test_an_application_without_a_runner_has_no_names(folder: Path) -> None:
    (folder / "shop.py").write_text("from flask import Flask\napp = Flask(__name__)\n")

    assert ("\n", "") == complete(folder, "show", "rep")
