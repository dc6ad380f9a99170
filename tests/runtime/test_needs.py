"""What the tests need: a missing program is named, with the way to get it, and not passed over."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.shifted_clock import compiled_in
from tests.support.aside import ROOT, environment
from tests.support.binaries import find_compiler

SCRIPT = ROOT / ".ci" / "servers"


def program(folder: Path, name: str, text: str) -> None:
    """A shell script in the place of a program."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def advised(checkout: Path, missing: str) -> subprocess.CompletedProcess[str]:
    """What the script says on a machine where these are missing, and no apt is."""
    script = checkout / ".ci" / "servers"
    script.parent.mkdir()
    shutil.copy(SCRIPT, script)
    program(checkout / ".venv" / "bin", "python", f'echo "{missing}"')
    path = checkout / "path"
    program(path, "id", "echo 1000")
    bash = shutil.which("bash")
    dirname = shutil.which("dirname")
    assert bash is not None
    assert dirname is not None
    (path / "dirname").symlink_to(dirname)
    return subprocess.run(
        [bash, script], env={"PATH": str(path)}, capture_output=True, text=True, timeout=30
    )


def test_the_script_is_sound_shell() -> None:
    done = subprocess.run(["bash", "-n", SCRIPT], capture_output=True, text=True)
    assert (0, "") == (done.returncode, done.stderr)


def test_it_says_nothing_where_nothing_is_missing(tmp_path: Path) -> None:
    done = advised(tmp_path, "")
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("missing", "package"),
    [
        ("redis", "redis-server"),
        ("postgresql", "postgresql"),
        ("mariadb", "mariadb-server"),
        ("compiler", "gcc libc6-dev"),
    ],
)
def test_it_says_how_to_get_what_is_missing_and_fails(
    tmp_path: Path, missing: str, package: str
) -> None:
    done = advised(tmp_path, missing)
    assert 1 == done.returncode
    first, *advice = done.stderr.splitlines()
    assert first.endswith(f": {missing}")
    assert advice[0].split()[0] == missing
    assert f"apt install {package} |" in advice[0]


def test_it_says_so_of_each(tmp_path: Path) -> None:
    told = advised(tmp_path, "redis compiler").stderr
    assert "apt install redis-server" in told
    assert "apt install gcc" in told
    assert "mariadb" not in told


def test_a_compiler_without_headers_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "gcc", "exit 1")
    program(tmp_path, "clang", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tmp_path / "clang" == find_compiler()
    (tmp_path / "clang").unlink()
    assert find_compiler() is None


def test_faults_are_not_left_out_where_no_compiler_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"no C compiler .*\.ci/servers"):
        compiled_in(tmp_path)


def test_the_script_is_told_whether_a_compiler_is_missing(tmp_path: Path) -> None:
    def missing(path: str) -> list[str]:
        command = [sys.executable, "-m", "tests.support.binaries"]
        found = subprocess.run(
            command, env=environment(PATH=path), cwd=ROOT, capture_output=True, text=True
        )
        assert "" == found.stderr
        return found.stdout.split()

    assert "compiler" in missing(str(tmp_path))
    assert "compiler" not in missing(os.environ["PATH"])
