"""`start()` where nothing tells what this process is: pytest, and servers unknown to us."""

from __future__ import annotations

import fakeredis
import pytest
from flask import Flask

from jobrunner import ConfigurationError, JobRunner, every
from jobrunner.application import AppState
from jobrunner.hosting.detect import Process
from jobrunner.hosting.request import StartWithRequest

from .runners import note, runner_of


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[AppState]:
    """The states that were started here, which does nothing else."""
    started: list[AppState] = []
    monkeypatch.setattr(AppState, "start_here", lambda state: started.append(state))
    return started


@pytest.fixture
def app() -> Flask:
    return Flask("shop")


def test_an_application_under_test_is_left_alone(app: Flask, started: list[AppState]) -> None:
    app.testing = True
    wsgi_app = app.wsgi_app

    JobRunner(app, redis=fakeredis.FakeRedis()).start()

    assert wsgi_app == app.wsgi_app
    app.test_client().get("/", environ_overrides={"SERVER_SOFTWARE": "gevent"})
    assert [] == started


def test_elsewhere_it_starts_with_a_server_s_first_request(
    app: Flask, started: list[AppState]
) -> None:
    runner = JobRunner(app, redis=fakeredis.FakeRedis())
    assert runner is runner.start()

    assert isinstance(app.wsgi_app, StartWithRequest)
    app.test_client().get("/")
    assert [] == started
    for _ in range(2):
        app.test_client().get("/", environ_overrides={"SERVER_SOFTWARE": "gevent"})
    assert [app.extensions["jobrunner"]] == started


def test_calling_it_again_changes_nothing(app: Flask, started: list[AppState]) -> None:
    runner = JobRunner(app, redis=fakeredis.FakeRedis()).start()
    wsgi_app = app.wsgi_app

    runner.start().start(app)

    assert wsgi_app is app.wsgi_app


def test_in_a_factory_it_is_the_factory_s_own_application(started: list[AppState]) -> None:
    runner = JobRunner(redis=fakeredis.FakeRedis(), mode="greenlet")

    def create_app(name: str) -> Flask:
        app = Flask(name)
        runner.init_app(app)
        runner.start()
        return app

    apps = [create_app("shop"), create_app("blog")]
    assert [app.extensions["jobrunner"] for app in apps] == started


@pytest.mark.parametrize("mode", ["greenlet", "thread"])
def test_an_explicit_mode_starts_here_and_now(
    app: Flask, started: list[AppState], mode: str
) -> None:
    app.testing = True

    JobRunner(app, redis=fakeredis.FakeRedis(), mode=mode).start()

    assert [app.extensions["jobrunner"]] == started


def test_switched_off_it_never_starts(app: Flask, started: list[AppState]) -> None:
    wsgi_app = app.wsgi_app
    runner = JobRunner(app, redis=fakeredis.FakeRedis(), enabled=False, mode="greenlet")

    runner.start()

    assert wsgi_app == app.wsgi_app
    assert [] == started
    with pytest.raises(ConfigurationError, match="JOBRUNNER_ENABLED is false"):
        runner.run_jobs()


def test_switched_off_a_test_may_tick_all_the_same(app: Flask) -> None:
    ran: list[str] = []
    runner = runner_of(enabled=False)
    runner.job(every(minutes=1))(note(ran))
    runner.init_app(app)

    runner.tick(wait=True)

    assert ["shop"] == ran


def test_without_an_application_no_request_will_tell_so_it_starts_at_once(
    started: list[AppState],
) -> None:
    JobRunner(redis=fakeredis.FakeRedis(), namespace="shop").start()

    assert 1 == len(started)


def test_stopping_what_never_started_is_nothing(app: Flask) -> None:
    assert JobRunner(app, redis=fakeredis.FakeRedis()).stop()


def test_in_a_gunicorn_worker_an_explicit_mode_waits_for_the_worker_too(
    app: Flask, started: list[AppState], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Worker:
        def run(self) -> None:
            pass

    worker = Worker()
    monkeypatch.setattr("jobrunner.application.detect", lambda: Process.GUNICORN_WORKER)
    monkeypatch.setattr("jobrunner.application.find_worker", lambda: worker)
    plain_run = worker.run

    JobRunner(app, redis=fakeredis.FakeRedis(), mode="greenlet").start()

    assert [] == started
    assert plain_run != worker.run


def test_threads_are_refused_where_gevent_has_patched_them(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobrunner.hosting.instance.is_patched", lambda: True)
    runner = JobRunner(app, redis=fakeredis.FakeRedis(), mode="thread")

    with pytest.raises(ConfigurationError, match="JOBRUNNER_MODE = 'thread' cannot be had"):
        runner.start()


@pytest.mark.parametrize(("jobs", "level"), [(50, "INFO"), (51, "DEBUG")])
def test_many_jobs_do_not_flood_the_log_of_each_instance(
    app: Flask, caplog: pytest.LogCaptureFixture, jobs: int, level: str
) -> None:
    runner = JobRunner(redis=fakeredis.FakeRedis(), mode="greenlet")
    for number in range(jobs):
        runner.job(every(days=1), name=f"job-{number}", when=lambda: False)(note)
    runner.init_app(app)

    with caplog.at_level("DEBUG", logger="jobrunner"):
        runner.start(app)
        runner.stop(app=app)

    lines = [record for record in caplog.records if record.msg == "Job %s: %s"]
    assert (jobs, {level}) == (len(lines), {record.levelname for record in lines})
    assert f"checks {jobs} jobs" in caplog.text
