"""The hosted application under gunicorn."""

import sys
import sysconfig
from pathlib import Path
from typing import Any

from tests.cluster.support.hosted import APP, Hosted
from tests.support.aside import gunicorn as gunicorn_aside

SCRIPT = Path(sysconfig.get_path("scripts"), "gunicorn")


class Gunicorn(Hosted):
    """One gunicorn, of the environment or of a `version` installed aside.

    `options` are its own, as on the command line; `configuration` is its gunicorn.conf.py.
    """

    def __init__(
        self,
        redis_url: str,
        *options: str,
        kind: str = "gevent",
        workers: int = 1,
        preload: bool = False,
        configuration: str = "",
        version: str = "",
        **env: str,
    ) -> None:
        # USR2 executes the program anew by its file name, which no `python -m` survives.
        program = [sys.executable, "-m", "gunicorn"] if version else [str(SCRIPT)]
        words = [
            *(*program, "--bind", "127.0.0.1:{port}"),
            *("--worker-class", kind, "--workers", str(workers)),
            *(["--preload"] if preload else []),
            # Newer ones would listen in the home directory, and older ones do not know the word.
            *([] if version else ["--no-control-socket"]),
            *options,
            f"{APP}:create_app()",
        ]
        aside = [gunicorn_aside(version)] if version else []
        super().__init__(redis_url, words, *aside, **env)
        (self.folder / "gunicorn.conf.py").write_text(configuration)

    def workers(self) -> set[int]:
        """The processes that ran jobs so far."""
        return {record["pid"] for record in self.records()}

    def assert_only_workers_ran_jobs(self, master: int | None = None) -> None:
        """Every run was in a child of the master, and never in the master."""
        master = self.pid if master is None else master
        records: list[dict[str, Any]] = self.records()
        assert {master} == {record["parent"] for record in records}, self.log()
        assert master not in {record["pid"] for record in records}
