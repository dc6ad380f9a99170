"""What fenced runs commit to PostgreSQL, and a witness in the database of who came too late.

The witness does not know the library's table. A run that has opened its session says so in
`opened`, through a connection of its own; a trigger that fires inside each commit of an effect
notes the largest token that had been said by then. A stale commit is one that notes a larger token
than its own.
"""

from typing import Any

from sqlalchemy import Engine, MetaData, create_engine, text
from sqlalchemy.pool import NullPool

from jobrunner import Outcome, fence_table
from tests.faults.judge import Evidence

_TABLES = """
CREATE TABLE opened (job text NOT NULL, token bigint NOT NULL);
CREATE TABLE effects (job text NOT NULL, token bigint NOT NULL);
CREATE TABLE commits (job text NOT NULL, token bigint NOT NULL, newest bigint NOT NULL);
CREATE FUNCTION witness() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO commits SELECT NEW.job, NEW.token, max(token) FROM opened WHERE job = NEW.job;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON effects
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION witness();
"""

OPENED = text("INSERT INTO opened VALUES (:job, :token)")
EFFECT = text("INSERT INTO effects VALUES (:job, :token)")


class Effects:
    """The database at `url`, as the judge asks it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine: Engine = create_engine(url, poolclass=NullPool)

    def prepare(self) -> None:
        """Make the tables: ours, and the library's."""
        metadata = MetaData()
        fence_table(metadata)
        with self._engine.begin() as connection:
            metadata.create_all(connection)
            connection.exec_driver_sql(_TABLES)

    def objections(self, evidence: Evidence) -> list[str]:
        """The commits of runs that had been superseded, and the effects that are missing."""
        commits = self._ask("SELECT job, token, newest FROM commits")
        found = [
            f"stale commit: {job} with {token} after {newest}"
            for job, token, newest in commits
            if newest > token
        ]
        done = {(job, token) for job, token, _ in commits}
        for run_id, outcome in evidence.outcomes.items():
            run = evidence.runs[run_id]
            if evidence.works[run.job].kind != "commits":
                continue
            if outcome is Outcome.SUCCEEDED and (run.job, run.token) not in done:
                found.append(f"effect lost: run {run_id} of {run.job} succeeded")
            if outcome is Outcome.STALE and (run.job, run.token) in done:
                found.append(f"stale commit: run {run_id} of {run.job} was refused all the same")
        return found

    def count(self) -> int:
        """How many effects were committed."""
        return int(self._ask("SELECT count(*) FROM commits")[0][0])

    def opened(self) -> list[int]:
        """The tokens of the runs that have opened their sessions and written, committed or not."""
        return [token for (token,) in self._ask("SELECT token FROM opened ORDER BY token")]

    def committed(self) -> list[int]:
        """The tokens of the runs whose effects are there."""
        return [token for (token,) in self._ask("SELECT token FROM effects ORDER BY token")]

    def _ask(self, query: str) -> list[Any]:
        with self._engine.connect() as connection:
            return list(connection.execute(text(query)))
