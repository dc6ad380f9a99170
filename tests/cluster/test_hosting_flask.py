"""Under the flask command: the development server and `flask jobs serve` run jobs, others none."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.cluster.support.endings import DRAIN, LONG, assert_both_ended_well, long_jobs
from tests.cluster.support.hosted import STARTED, Hosted, flask, python
from tests.cluster.support.together import together
from tests.support.processes import is_alive
from tests.support.servers import RedisServer

pytestmark = pytest.mark.cluster

RUN = ("run", "--port", "{port}")


@pytest.fixture(scope="module")
def untouched_redis() -> Iterator[RedisServer]:
    """A Redis that nobody else connects to."""
    with RedisServer() as server:
        yield server


def runs_jobs(redis_url: str, *words: str, **env: str) -> None:
    with Hosted(redis_url, flask(*words), **env) as server:
        server.until_recorded("beat0")
        server.until(lambda: len(server.records("beat0")) > 3, "more runs")
        assert str(server.pid) == server.get()
        assert {server.pid} == {run["pid"] for run in server.records()}
        assert {False} == {run["patched"] for run in server.records()}
        assert 1 == server.log().count(STARTED)
        server.assert_one_run_per_due_time()


def runs_jobs_in_the_reloaded_process_alone(redis_url: str, *words: str, **env: str) -> None:
    with Hosted(redis_url, flask(*words), **env) as server:
        server.until(lambda: len(server.records("beat0")) > 3, "runs")
        (served_by,) = {run["pid"] for run in server.records()}
        assert {server.pid} == {run["parent"] for run in server.records()}
        assert str(served_by) == server.get()
        assert 1 == server.log().count(STARTED)
        assert 1 == len(server.instances())
        server.assert_one_run_per_due_time()


def test_the_development_server_runs_jobs_and_the_parent_of_its_reloader_none(
    redis_url: str,
) -> None:
    together(
        partial(runs_jobs, redis_url, *RUN),
        partial(runs_jobs, redis_url, *RUN, "--debug", "--no-reload"),
        partial(runs_jobs, redis_url, *RUN, FLASK_DEBUG="0"),
        partial(runs_jobs_in_the_reloaded_process_alone, redis_url, *RUN, "--debug"),
        partial(runs_jobs_in_the_reloaded_process_alone, redis_url, *RUN, FLASK_DEBUG="1"),
        partial(runs_jobs_in_the_reloaded_process_alone, redis_url, *RUN, "--reload"),
    )


def test_a_reload_ends_one_instance_and_starts_another(redis_url: str, tmp_path: Path) -> None:
    watched = tmp_path / "watched"
    watched.touch()
    command = flask(*RUN, "--debug", "--extra-files", str(watched))
    with Hosted(redis_url, command) as server:
        before = server.until_recorded("beat0")[0]

        def changed() -> bool:
            os.utime(watched, (0, server.records("beat0")[-1]["at"]))
            return len({run["pid"] for run in server.records()}) > 1

        server.until(changed, "runs in a new process")
        assert not is_alive(before["pid"])
        assert before["instance"] not in server.instances()
        server.assert_one_run_per_due_time()


#: Commands that are known before the application is made, and make it themselves.
OWN_PROGRAM = """
import click
from flask.cli import AppGroup, FlaskGroup
from tests.cluster.apps.hosted import create_app, linger
own = FlaskGroup(create_app=create_app)
tools = AppGroup("tools")
tools.command("run")(linger)
tools.command("serve")(linger)
own.add_command(tools)

@own.group("run", invoke_without_command=True)
@click.argument("what", default="")
def run(what):
    create_app()
    linger()

own()
"""


def runs_nothing(redis: RedisServer, *words: str, said: str) -> None:
    with Hosted(redis.url, words) as command:
        assert 0 == command.wait(), command.log()
        assert said in command.log()
        assert STARTED not in command.log()


def test_other_commands_run_no_jobs_and_do_not_connect(untouched_redis: RedisServer) -> None:
    nothing = partial(runs_nothing, untouched_redis)
    program = python(OWN_PROGRAM)
    with untouched_redis.client() as client:
        before = client.info("stats")["total_connections_received"]
        together(
            partial(nothing, *flask("--help"), said="custom"),
            partial(nothing, *flask("shell"), said="Python"),
            partial(nothing, *flask("routes"), said="/slow"),
            partial(nothing, *flask("custom"), said="lingered"),
            partial(nothing, *flask("serve"), said="lingered"),
            partial(nothing, *flask("tools", "run"), said="lingered"),
            partial(nothing, *flask("own", "run", "custom"), said="lingered"),
            partial(nothing, *flask("jobs", "--help"), said="serve"),
            partial(nothing, *program, "tools", "run", said="lingered"),
            partial(nothing, *program, "tools", "serve", said="lingered"),
            partial(nothing, *program, "run", said="lingered"),
        )
        assert before == client.info("stats")["total_connections_received"]
        assert 0 == client.dbsize()


def test_jobs_list_shows_the_jobs_and_runs_none(redis_url: str) -> None:
    with Hosted(redis_url, flask("jobs", "list"), HOSTED_BEATS="2") as command:
        assert 0 == command.wait(), command.log()
        lines = command.output().splitlines()
        assert ["JOB", "SCHEDULE", "LAST", "RUN", "NEXT", "DUE", "OUTCOME"] == lines[0].split()
        assert ["beat0", "beat1"] == [line.split()[0] for line in lines[1:]]
        assert STARTED not in command.log()
        assert set() == command.keys()


def test_jobs_list_shows_what_a_server_has_run(redis_url: str) -> None:
    with Hosted(redis_url, flask("jobs", "serve"), HOSTED_LONG='{"short": 0.1}') as server:
        server.until(lambda: server.outcomes("short"), "the end of the job")
        listing = Hosted(
            redis_url,
            flask("jobs", "list"),
            namespace=server.namespace,
            HOSTED_LONG='{"short": 0.1}',
        )
        with listing:
            assert 0 == listing.wait()
            (line,) = (row for row in listing.output().splitlines() if row.startswith("short"))
            assert line.endswith("succeeded")


def ends_well(redis_url: str, how: signal.Signals, *words: str) -> None:
    with Hosted(redis_url, flask(*words), **long_jobs(LONG, DRAIN)) as server:
        (instance,) = {record["instance"] for record in server.until_recorded(*BOTH_BEGAN)}
        server.tell(how)
        assert 0 == server.wait(), server.log()
        assert_both_ended_well(server)
        assert instance not in server.instances()
        assert "Traceback" not in server.log(), server.log()


BOTH_BEGAN = ("long began", "endless began")


def test_jobs_serve_drains_on_term_and_int_and_the_development_server_on_ctrl_c(
    redis_url: str,
) -> None:
    together(
        partial(ends_well, redis_url, signal.SIGTERM, "jobs", "serve"),
        partial(ends_well, redis_url, signal.SIGINT, "jobs", "serve"),
        partial(ends_well, redis_url, signal.SIGTERM, "--debug", "jobs", "serve"),
        partial(ends_well, redis_url, signal.SIGINT, *RUN),
    )
