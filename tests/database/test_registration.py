"""A run registers with its first session: at once, alone, and without hurting anybody."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.orm import Session, sessionmaker

from jobrunner.database import fence_table, fencing
from jobrunner.errors import ConfigurationError, JobRunnerError, LeaseLostError, StaleRunError

from .runs import Database, open_and_leave, run, write


class Frozen:
    """Stops one engine's commits between the check and the database, until it is thawed."""

    def __init__(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.thawed = threading.Event(), threading.Event()
        commit = engine.dialect.do_commit

        def do_commit(connection: Any) -> None:
            self.reached.set()
            assert self.thawed.wait(60)
            commit(connection)

        monkeypatch.setattr(engine.dialect, "do_commit", do_commit)


def test_it_waits_for_an_older_run_between_its_check_and_its_commit(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = run(1), run(2)
    sessions = database.sessions()
    open_and_leave(older, sessions)

    def commit() -> None:
        with older.around(), sessions() as session:
            write(session, "older's")
            session.commit()

    frozen = Frozen(sessions.kw["bind"], monkeypatch)
    with ThreadPoolExecutor() as threads:
        try:
            committing = threads.submit(commit)
            assert frozen.reached.wait(60)
            impatient = run(2, lock_timeout=0.5)
            with pytest.raises(JobRunnerError, match=r"locked: an older run .* after 0.5 s"):
                open_and_leave(impatient, database.sessions())
            assert "run-1" == database.row().run_id
            registering = threads.submit(open_and_leave, newer, database.sessions())
        finally:
            frozen.thawed.set()
        committing.result(60)
        registering.result(60)
    assert ["older's"] == database.effects()
    assert "run-2" == database.row().run_id


def test_after_a_lock_timeout_the_pool_is_whole_and_the_run_may_try_again(
    server: Database,
) -> None:
    sessions = server.sessions()
    newer = run(2, lock_timeout=0.5)
    open_and_leave(run(1), sessions)
    with newer.around(), sessions() as session:
        with server.outside.begin() as holder:
            holder.execute(text("SELECT * FROM jobrunner_fence FOR UPDATE"))
            with pytest.raises(JobRunnerError, match="locked"):
                session.connection()
        write(session, "later")
        session.commit()
    assert ["later"] == server.effects()
    assert 0 == sessions.kw["bind"].pool.checkedout()


def test_a_check_does_not_wait_for_ever_either(postgres: Database) -> None:
    sessions = postgres.sessions()
    only = run(1, lock_timeout=0.5)
    open_and_leave(only, sessions)
    with only.around(), sessions() as session, postgres.outside.begin() as holder:
        holder.execute(text("SELECT * FROM jobrunner_fence FOR UPDATE"))
        write(session, "x")
        with pytest.raises(JobRunnerError, match="locked"):
            session.commit()
    assert [] == postgres.effects()


def test_two_first_rows_at_once_are_one_row_of_the_newer_run(database: Database) -> None:
    for number in range(5):
        key = f"JOB-{number}"
        start = threading.Barrier(2)

        def enter(
            fence: Any, sessions: sessionmaker[Session], start: threading.Barrier = start
        ) -> None:
            with fence.around(), sessions() as session:
                start.wait(60)
                session.connection()

        with ThreadPoolExecutor() as threads:
            older = threads.submit(enter, run(1, sync_key=key), database.sessions())
            newer = threads.submit(enter, run(2, sync_key=key), database.sessions())
        assert_registered(older, newer)
        assert "run-2" == database.row(key).run_id
    assert 5 == database.rows()


def test_two_that_both_found_no_row(server: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    both_found_none = threading.Barrier(2)
    read = fence_table.read_for_update

    def read_for_update(*arguments: Any) -> Any:
        stored = read(*arguments)
        if stored is None:
            with suppress(threading.BrokenBarrierError):
                both_found_none.wait(60)
        return stored

    monkeypatch.setattr(fence_table, "read_for_update", read_for_update)
    with ThreadPoolExecutor() as threads:
        older = threads.submit(open_and_leave, run(1), server.sessions())
        newer = threads.submit(open_and_leave, run(2), server.sessions())
    assert_registered(older, newer)
    assert "run-2" == server.row().run_id


def assert_registered(older: Future[None], newer: Future[None]) -> None:
    """The newer run did; the older one was before it, or is stale."""
    assert newer.exception() is None
    assert isinstance(older.exception(), StaleRunError | None)


def test_nobody_comes_between_reading_the_row_and_writing_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = run(1), run(2)
    open_and_leave(run(0), database.sessions())
    read = fence_table.read_for_update
    refusals = []

    def let_the_newer_run_try(connection: Connection, key: str) -> Any:
        stored = read(connection, key)
        monkeypatch.setattr(fence_table, "read_for_update", read)
        with pytest.raises(JobRunnerError, match="locked") as refusal:
            open_and_leave(run(2, lock_timeout=0.3), database.sessions())
        refusals.append(refusal)
        return stored

    monkeypatch.setattr(fence_table, "read_for_update", let_the_newer_run_try)
    open_and_leave(older, database.sessions())
    assert 1 == len(refusals)
    open_and_leave(newer, database.sessions())
    assert "run-2" == database.row().run_id


@pytest.mark.parametrize("runs", [1, 6])
def test_runs_that_fill_the_pool_do_not_wait_for_each_other(database: Database, runs: int) -> None:
    """Each holds a connection when it registers: a second one it could not get."""
    size = max(1, runs // 2)
    sessions = database.sessions(pool_size=size, max_overflow=0, pool_timeout=20)
    full = threading.Barrier(size)

    def body(number: int) -> None:
        with run(number, sync_key=f"JOB-{number}").around(), sessions() as session:
            session.connection()
            with suppress(threading.BrokenBarrierError):
                full.wait(1)
            write(session, "done")
            session.commit()

    with ThreadPoolExecutor() as threads:
        list(threads.map(body, range(runs)))
    assert ["done"] * runs == database.effects()


def test_the_connection_is_left_as_it_was(database: Database) -> None:
    questions = {
        "postgresql": "SELECT current_setting('lock_timeout'), "
        "current_setting('transaction_isolation')",
        "mariadb": "SELECT @@innodb_lock_wait_timeout, @@tx_isolation",
        "sqlite": "PRAGMA busy_timeout",
    }
    expected = {
        "postgresql": ("0", "repeatable read"),
        "mariadb": (50, "REPEATABLE-READ"),
        "sqlite": (5000,),
    }
    options = {} if database.kind == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    sessions = database.sessions(**options)
    with run(1).around(), sessions() as session:
        assert expected[database.kind] == session.execute(text(questions[database.kind])).one()
    with pytest.raises(StaleRunError):
        open_and_leave(run(0), sessions)
    with sessions() as session:
        assert expected[database.kind] == session.execute(text(questions[database.kind])).one()


def test_an_interruption_leaves_the_pool_whole(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is thrown into the run while it waits for the row."""

    def interrupted(*arguments: Any) -> None:
        raise LeaseLostError("stop")

    sessions = database.sessions(pool_size=1, max_overflow=0, pool_timeout=5)
    with run(1).around():
        with monkeypatch.context() as patch, sessions() as session:
            patch.setattr(fence_table, "read_for_update", interrupted)
            with pytest.raises(LeaseLostError):
                session.connection()
            assert 0 == database.idle_in_transaction()
        assert database.row() is None
        with sessions() as session:
            write(session, "later")
            session.commit()
    assert ["later"] == database.effects()
    assert "run-1" == database.row().run_id


def test_it_waits_within_its_own_limit_and_without_a_snapshot(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = {
        "postgresql": "SELECT current_setting('lock_timeout'), "
        "current_setting('transaction_isolation')",
        "mariadb": "SELECT @@innodb_lock_wait_timeout",
        "sqlite": "PRAGMA busy_timeout",
    }
    # Whole seconds on MariaDB; SQLite's waits are ours, so that the hub goes on meanwhile.
    expected = {"postgresql": ("500ms", "read committed"), "mariadb": (1,), "sqlite": (0,)}
    answers = []
    read = fence_table.read_for_update

    def read_for_update(connection: Connection, key: str) -> Any:
        answers.append(connection.exec_driver_sql(questions[database.kind]).one())
        return read(connection, key)

    monkeypatch.setattr(fence_table, "read_for_update", read_for_update)
    open_and_leave(run(1, lock_timeout=0.5), database.sessions())
    assert [expected[database.kind]] == answers


def test_a_missing_table_names_both_ways_to_get_it(database: Database) -> None:
    with database.outside.begin() as connection:
        connection.execute(text("DROP TABLE jobrunner_fence"))
    sessions = database.sessions()
    with run(1).around(), sessions() as session, pytest.raises(ConfigurationError) as raised:
        session.connection()
    assert "fence_table(metadata)" in str(raised.value)
    assert "flask jobs init-db" in str(raised.value)
    fence_table.create_fence_table(database.outside)
    fence_table.create_fence_table(database.outside)  # again: nothing happens
    open_and_leave(run(1), sessions)


def test_it_precedes_what_a_users_listener_executes(postgres: Database) -> None:
    """Such as the settings of row-level security: they hold for the transaction they are in."""
    event.remove(Session, "after_begin", fencing._after_begin)
    seen: list[str] = []

    @event.listens_for(Session, "after_begin")
    def set_up(session: Session, part: object, connection: Connection) -> None:
        connection.execute(text("SET LOCAL work_mem = '77MB'"))
        seen.append(postgres.row().run_id)

    try:
        fencing.install()  # with the first fenced run, after the user's
        with run(1).around(), postgres.sessions()() as session:
            assert "77MB" == session.scalar(text("SHOW work_mem"))
    finally:
        event.remove(Session, "after_begin", set_up)
    assert ["run-1"] == seen


def test_what_the_engine_executes_at_begin_holds_after_it(postgres: Database) -> None:
    engine = postgres.engine()

    @event.listens_for(engine, "begin")
    def set_up(connection: Any) -> None:
        connection.exec_driver_sql("SET LOCAL work_mem = '77MB'")

    with run(1).around(), Session(engine) as session:
        assert "77MB" == session.scalar(text("SHOW work_mem"))


def test_a_driver_that_begins_by_hand_is_fenced(sqlite: Database) -> None:
    """As SQLAlchemy's documentation does it for savepoints: the lock is held from the start."""
    engine = sqlite.engine()

    @event.listens_for(engine, "connect")
    def never_begin(connection: Any, record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    older = run(1)
    with older.around(), Session(engine) as session:
        write(session, "of 1")
        session.commit()
        open_and_leave(run(2), sqlite.sessions())
        write(session, "stale")
        with pytest.raises(StaleRunError):
            session.commit()
    assert ["of 1"] == sqlite.effects()


def test_unfenced_sessions_are_left_alone(database: Database) -> None:
    statements: list[str] = []
    engine = database.engine()
    run(1)  # the listeners are there

    @event.listens_for(engine, "before_cursor_execute")
    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        statements.append(statement)

    def outside(sessions: Callable[[], Session]) -> None:
        with sessions() as session:
            write(session, "x")
            session.commit()

    with run(1).around(), ThreadPoolExecutor() as threads:
        threads.submit(outside, sessionmaker(engine)).result()  # a thread is another context
    outside(sessionmaker(engine))
    assert ["x", "x"] == database.effects()
    assert [] == [statement for statement in statements if "fence" in statement]
    assert database.row() is None
