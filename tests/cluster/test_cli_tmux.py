"""`flask jobs`, typed into a real terminal: what a person sees, and what Ctrl-C does."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from jobrunner.faces.cli import jobs
from tests.support.aside import environment
from tests.support.wait import wait_for

pytestmark = pytest.mark.cluster

JOB = "{typed}:job:slow"

#: Generous: the machine may have other work.
PATIENCE = 90


class Terminal:
    """A shell in a terminal of 120 columns and 40 lines, on a tmux server of its own."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        program = shutil.which("tmux")
        assert program is not None, "no tmux here; `.ci/servers` says how to get it"
        self._tmux = [program, "-L", f"jobrunner-{secrets.token_hex(6)}", "-u", "-f", "/dev/null"]
        self._env = environment(
            JOBRUNNER_REDIS_URL=redis_url,
            LC_ALL="C.UTF-8",
            PS1="> ",
            TMUX_TMPDIR=str(folder),
            SHELL="/bin/sh",
        )
        for name in ("TMUX", "TMUX_PANE", "NO_COLOR", "ENV"):
            self._env.pop(name, None)
        #: How many commands: the end of an earlier one may still be on the screen.
        self._typed = 0
        self._call("new-session", "-d", "-x", "120", "-y", "40", "/bin/sh")

    def jobs(self, *words: str) -> None:
        """Type a command of the application, which says at its end how it ended."""
        flask = f"{sys.executable} -m flask --app tests.cluster.apps.typed jobs"
        self._typed += 1
        self.type(f"clear; {flask} {' '.join(words)}; echo command {self._typed} ended with $?")

    def type(self, line: str) -> None:
        self._call("send-keys", "-l", line)
        self._call("send-keys", "Enter")

    def press(self, key: str) -> None:
        self._call("send-keys", key)

    def screen(self) -> str:
        return self._call("capture-pane", "-p")

    def until(self, *words: str) -> str:
        """The screen, once it shows all of these."""
        return wait_for(
            lambda: self._showing(words),
            timeout=PATIENCE,
            message=lambda: f"{words} on the screen:\n{self.screen()}",
            every=0.1,
        )

    def ended(self, code: int) -> str:
        """The screen, once the command has ended with this exit code."""
        # A line of its own: the one that was typed says it too.
        return wait_for(
            lambda: self._line(f"command {self._typed} ended with {code}"),
            timeout=PATIENCE,
            message=lambda: f"the end, with {code}, on the screen:\n{self.screen()}",
            every=0.1,
        )

    def close(self) -> None:
        self._call("kill-server")

    def _line(self, line: str) -> str | None:
        screen = self.screen()
        return screen if line in screen.splitlines() else None

    def _showing(self, words: tuple[str, ...]) -> str | None:
        screen = self.screen()
        return screen if all(word in screen for word in words) else None

    def _call(self, *words: str) -> str:
        done = subprocess.run(
            [*self._tmux, *words],
            env=self._env,
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert 0 == done.returncode, done.stderr
        return done.stdout


@pytest.fixture
def terminal(tmp_path: Path, redis_url: str) -> Iterator[Terminal]:
    # The path of a socket may be a hundred characters long, and tmp_path's are.
    folder = Path("/tmp") if len(os.fspath(tmp_path)) > 50 else tmp_path
    terminal = Terminal(folder, redis_url)
    yield terminal
    terminal.close()


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def test_list_is_a_table_that_rich_draws(terminal: Terminal) -> None:
    terminal.jobs("list")

    screen = terminal.ended(0)

    assert "───" in screen
    (row,) = (line for line in screen.splitlines() if line.split()[:1] == ["slow"])
    assert "every hour" in row


#: What is typed, how it ends, and what a person sees; the other commands have tests of their own.
TYPED: tuple[tuple[str, int, str], ...] = (
    ("show slow", 0, "every hour"),
    ("next --count 3", 0, "UTC"),
    ("instances", 0, "No instance checks the jobs now."),
    ("trigger purge", 0, "Asked for a run of 'purge'"),
    ("pause purge --reason moving", 0, "Paused 'purge'"),
    ("resume purge", 0, "Resumed 'purge'"),
    ("reset purge", 0, "Reset 'purge': it is due now."),
    ("cancel purge", 3, "is not running"),
    ("doctor", 0, "mend"),
    ("prune --dry-run", 0, "is registered here"),
    ("init-db", 1, "the jobs have no database"),
)


def test_each_command_that_asks_or_acts_at_once(terminal: Terminal) -> None:
    for words, code, seen in TYPED:
        terminal.jobs(*words.split())
        screen = terminal.ended(code)
        assert seen in " ".join(screen.split()), screen
        assert "Traceback" not in screen


def test_serve_runs_the_jobs_until_ctrl_c(terminal: Terminal, client: redis.Redis) -> None:
    terminal.jobs("serve")
    wait_for(lambda: client.zcard("{typed}:instances"), timeout=PATIENCE, message=terminal.screen)
    client.set("go on", 1)
    wait_for(
        lambda: client.xlen("{typed}:job:purge:history"), timeout=PATIENCE, message=terminal.screen
    )

    terminal.press("C-c")

    terminal.ended(0)
    assert not client.exists("{typed}:instances")


def test_no_command_is_forgotten_here() -> None:
    elsewhere = {"list", "watch", "run", "history", "serve"}

    assert elsewhere | {words.split()[0] for words, *_ in TYPED} == set(jobs.commands)


def test_an_unknown_job_suggests_the_nearest(terminal: Terminal) -> None:
    terminal.jobs("show", "slwo")

    assert "did you mean 'slow'?" in terminal.ended(2)


def test_watch_follows_the_fleet_until_ctrl_c(terminal: Terminal, client: redis.Redis) -> None:
    terminal.jobs("watch")
    terminal.until("typed: 3 jobs, 0 running, 0 instances", "Ctrl-C ends it")

    client.set(JOB, 1_700_000_000)
    client.hset(f"{JOB}:state", mapping={"run": "run-1", "runs": 41, "instance": "web-1"})
    client.set(f"{JOB}:lease", "run-1", px=600_000)
    screen = terminal.until("3 jobs, 1 running", "41")
    (row,) = (line for line in screen.splitlines() if line.split()[:1] == ["slow"])
    assert "running" in row

    client.delete(f"{JOB}:lease")
    client.hset(f"{JOB}:state", "error", "\x1b]0;owned\x07[red]no disk[/red]")
    screen = terminal.until("3 jobs, 0 running", r"\x1b]0;owned\x07[red]no disk[/red]")

    terminal.press("C-c")
    # The screen of before is back.
    assert "typed: " not in terminal.ended(0)


def test_run_shows_how_far_it_is_and_its_end(terminal: Terminal, client: redis.Redis) -> None:
    terminal.jobs("run", "slow")
    screen = terminal.until("slow", "━━━", "40 %, [red]two of five[/red]")
    assert "ended with 0" not in screen
    assert client.exists(f"{JOB}:lease")

    client.set("go on", 1)
    screen = terminal.ended(0)

    assert "slow: succeeded after " in screen
    assert '{"rows": 5}' in screen.replace('{"rows":5}', '{"rows": 5}')
    assert not client.exists(f"{JOB}:lease")
    terminal.jobs("history", "slow")
    screen = terminal.ended(0)
    rows = [line for line in screen.splitlines() if " UTC " in line]
    assert ["succeeded"] == [row.split()[5] for row in rows], screen


@pytest.mark.parametrize("job", ["slow", "blocks"])
def test_ctrl_c_ends_a_run_and_releases_its_job(
    terminal: Terminal, client: redis.Redis, job: str
) -> None:
    terminal.jobs("run", job)
    terminal.until(job, "━━━", " %")
    keys = f"{{typed}}:job:{job}"
    holder = client.get(f"{keys}:lease")
    assert holder

    terminal.press("C-c")
    screen = terminal.ended(1)

    assert f"the run of {job!r} was interrupted, and the job is released" in screen
    assert "Traceback" not in screen
    assert not client.exists(f"{keys}:lease")
    assert client.hget(f"{keys}:state", "run") is None
    ((_, entry),) = client.xrange(f"{keys}:history")
    assert (holder, "cancelled") == (entry["run"], entry["outcome"])
    terminal.jobs("history", job, "--outcome", "cancelled")
    assert "cancelled" in terminal.ended(0)
