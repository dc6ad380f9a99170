"""`import jobrunner` brings along what it needs, and nothing that somebody may not have."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.aside import environment

PROGRAM = "import sys; import jobrunner; print(*sorted(sys.modules))"

#: Optional friends, and what is for tests.
OTHERS = (
    *("prometheus_client", "opentelemetry", "sentry_sdk", "rich"),
    *("flask_sqlalchemy", "gunicorn", "uwsgi", "psycopg", "valkey"),
    *("fakeredis", "lupa", "pytest", "hypothesis", "time_machine", "freezegun"),
)


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (0, "") == (done.returncode, done.stderr)
    return set(done.stdout.split())


@pytest.mark.parametrize("name", OTHERS)
def test_it_is_not_imported(loaded: set[str], name: str) -> None:
    assert [] == [module for module in loaded if module.split(".")[0] == name]


def test_what_it_needs_is_imported(loaded: set[str]) -> None:
    assert {"jobrunner.runner", "gevent", "redis", "sqlalchemy", "cronsim"} <= loaded


def test_the_dialects_of_databases_are_left_until_somebody_has_one(loaded: set[str]) -> None:
    assert [] == [name for name in loaded if name.startswith("sqlalchemy.dialects.")]
