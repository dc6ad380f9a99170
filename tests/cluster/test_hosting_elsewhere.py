"""Other servers, plain processes, tests, and a runner that is switched off."""

import signal
import threading
from functools import partial

import pytest
import redis

from tests.cluster.apps.hosted import create_app
from tests.cluster.support.endings import long_jobs
from tests.cluster.support.gunicorn import Gunicorn
from tests.cluster.support.hosted import STARTED, Hosted, flask, python
from tests.cluster.support.together import together

pytestmark = pytest.mark.cluster

PYWSGI = """
from gevent import monkey
monkey.patch_all()
from gevent.pywsgi import WSGIServer
from tests.cluster.apps.hosted import create_app
WSGIServer(("127.0.0.1", {port}), create_app(), log=None).serve_forever()
"""

WERKZEUG = """
from werkzeug.serving import make_server
from tests.cluster.apps.hosted import create_app
make_server("127.0.0.1", {port}, create_app(), threaded=True).serve_forever()
"""

APP_RUN = """
from tests.cluster.apps.hosted import create_app
create_app().run(port={port}, debug=True)
"""

SLEEPS = (
    "from tests.cluster.apps.hosted import create_app; import {0}; create_app(); {0}.sleep({1})"
)


def starts_with_its_first_request(
    redis_url: str, program: str, *, patched: bool, reloads: bool = False
) -> None:
    with Hosted(redis_url, python(program)) as server:
        # It listens, so the application is built, and what `start()` does is done.
        assert STARTED not in server.log()
        assert set() == server.keys()
        answered_by = int(server.get())
        server.until(lambda: len(server.records("beat0")) > 3, "runs")
        assert {answered_by} == {run["pid"] for run in server.records()}
        assert reloads == (answered_by != server.pid)
        assert {patched} == {run["patched"] for run in server.records()}
        server.get()
        assert 1 == server.log().count(STARTED)
        assert 1 == len(server.instances())
        server.assert_one_run_per_due_time()


def test_a_server_that_is_not_known_runs_jobs_from_its_first_request_on(redis_url: str) -> None:
    together(
        partial(starts_with_its_first_request, redis_url, PYWSGI, patched=True),
        partial(starts_with_its_first_request, redis_url, WERKZEUG, patched=False),
        partial(starts_with_its_first_request, redis_url, APP_RUN, patched=False, reloads=True),
    )


def runs_in_a_plain_process(redis_url: str, mode: str, sleep: str) -> None:
    """Until it ends by itself, and then the job that runs may finish."""
    env = {**long_jobs(seconds=3, drain=20), "HOSTED_LONG": '{"long": 3}'}
    program = SLEEPS.format(sleep, 2)
    with Hosted(redis_url, python(program), JOBRUNNER_MODE=mode, **env) as process:
        assert 0 == process.wait(), process.log()
        assert len(process.records("beat0")) > 3
        assert {process.pid} == {run["pid"] for run in process.records()}
        assert ["succeeded"] == process.outcomes("long")
        assert not process.has_lease("long")
        assert set() == process.instances()
        assert "Traceback" not in process.log(), process.log()
        process.assert_one_run_per_due_time()


def stays_idle(redis_url: str, sleep: str) -> None:
    with Hosted(redis_url, python(SLEEPS.format(sleep, 1))) as process:
        assert 0 == process.wait(), process.log()
        assert STARTED not in process.log()
        assert set() == process.keys()


def test_a_plain_process_runs_jobs_when_the_mode_says_so_and_else_none(redis_url: str) -> None:
    together(
        partial(runs_in_a_plain_process, redis_url, "thread", "time"),
        partial(runs_in_a_plain_process, redis_url, "greenlet", "gevent"),
        partial(stays_idle, redis_url, "time"),
        partial(stays_idle, redis_url, "gevent"),
    )


def serves_without_jobs(server: Hosted) -> None:
    with server:
        for _ in range(3):
            server.get()
        assert STARTED not in server.log()
        assert set() == server.keys()
        server.tell(signal.SIGTERM)
        server.wait()
        assert "Traceback" not in server.log(), server.log()


def refuses_to_serve_jobs(redis_url: str) -> None:
    with Hosted(redis_url, flask("jobs", "serve"), **OFF) as command:
        assert 1 == command.wait()
        assert "JOBRUNNER_ENABLED is false" in command.log()
        assert set() == command.keys()


OFF = {"JOBRUNNER_ENABLED": "false"}


def test_a_runner_that_is_switched_off_runs_nowhere(redis_url: str) -> None:
    together(
        partial(serves_without_jobs, Gunicorn(redis_url, **OFF)),
        partial(serves_without_jobs, Gunicorn(redis_url, preload=True, **OFF)),
        partial(serves_without_jobs, Gunicorn(redis_url, JOBRUNNER_MODE="greenlet", **OFF)),
        partial(serves_without_jobs, Hosted(redis_url, flask("run", "-p", "{port}"), **OFF)),
        partial(serves_without_jobs, Hosted(redis_url, python(PYWSGI), **OFF)),
        partial(refuses_to_serve_jobs, redis_url),
    )


@pytest.mark.parametrize("testing", [True, False])
def test_requests_of_a_test_client_start_nothing(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, testing: bool
) -> None:
    monkeypatch.setenv("JOBRUNNER_REDIS_URL", redis_url)
    monkeypatch.setenv("JOBRUNNER_NAMESPACE", "tested")
    threads = set(threading.enumerate())
    app = create_app(TESTING=testing)
    for _ in range(3):
        assert 200 == app.test_client().get("/").status_code
    assert 0 == app.test_cli_runner().invoke(args=["custom"]).exit_code
    assert threads == set(threading.enumerate())
    with redis.Redis.from_url(redis_url) as client:
        assert 0 == client.dbsize()


def test_a_testing_application_starts_nothing_under_a_real_server_either(redis_url: str) -> None:
    program = PYWSGI.replace("create_app()", "create_app(TESTING=True)")
    serves_without_jobs(Hosted(redis_url, python(program)))
