"""The final commit of a run records its due time, so that a run that repeats it knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from jobrunner.database.fencing import Fence
from jobrunner.errors import ConfigurationError, StaleRunError

from .runs import Database, Effect, run, write

DUE = 1_700_000_123.456


class Ctx:
    """As much of a job's context as these tests need."""

    def __init__(self, fence: Fence, sessions: sessionmaker[Session]) -> None:
        self._fence = fence
        self._sessions = sessions

    @contextmanager
    def session(self, final: bool | None = None) -> Iterator[Session]:
        with self._sessions() as session:
            yield session
            self._fence.commit(session, final)

    @property
    def already_committed(self) -> bool:
        return self._fence.already_committed(self._sessions)


Body = Callable[[Ctx], object]


class Failure(Exception):
    """What a job of these tests raises."""


def perform(database: Database, fence: Fence, *bodies: Body) -> None:
    """Attempts of one run, which may fail with a Failure."""
    for body in bodies:
        with fence.around():
            try:
                body(Ctx(fence, database.sessions()))
            except Failure:
                continue


def one_block(*notes: str, final: bool | None = None, fail: bool = False) -> Body:
    """Writes the notes, commits after each, and writes `last`; or fails before that."""

    def body(ctx: Ctx) -> None:
        with ctx.session(final) as session:
            for note in notes:
                write(session, note)
                session.commit()
            if fail:
                raise Failure
            write(session, "last")

    return body


def first_run() -> Fence:
    return run(1, due_at=DUE)


def a_recovered_run_knows(database: Database, number: int = 2) -> bool:
    answers: list[bool] = []
    recovered = run(number, due_at=DUE)
    perform(database, recovered, lambda ctx: answers.append(ctx.already_committed))
    return answers[0]


def test_a_recovered_run_knows_that_the_effect_is_there(database: Database) -> None:
    def body(ctx: Ctx) -> None:
        assert not ctx.already_committed
        with ctx.session() as session:
            write(session, "x")

    perform(database, first_run(), body)
    assert round(DUE * 1000) == database.row().committed_due_ms
    assert a_recovered_run_knows(database)
    answers: list[bool] = []
    of_the_next_due_time = run(3, due_at=DUE + 60)
    perform(database, of_the_next_due_time, lambda ctx: answers.append(ctx.already_committed))
    assert [False] == answers


def test_commits_in_the_middle_are_not_final(database: Database) -> None:
    perform(database, first_run(), one_block("half", fail=True))
    assert ["half"] == database.effects()
    assert not a_recovered_run_knows(database)


def test_the_end_of_the_block_is_final_though_all_was_committed_before(database: Database) -> None:
    def body(ctx: Ctx) -> None:
        with ctx.session() as session:
            write(session, "x")
            session.commit()

    perform(database, first_run(), body)
    assert a_recovered_run_knows(database)


def test_sessions_made_and_committed_by_hand_are_not_final(database: Database) -> None:
    fence = first_run()
    with fence.around(), fence.factory(database.sessions())() as session:
        write(session, "x")
        session.commit()
    assert not a_recovered_run_knows(database)


def test_a_block_that_only_read_is_not_final_unless_it_says_so(database: Database) -> None:
    def read(ctx: Ctx) -> None:
        with ctx.session() as session:
            session.execute(select(Effect)).all()

    def decide_that_there_is_nothing_to_do(ctx: Ctx) -> None:
        with ctx.session(final=True):
            pass

    perform(database, first_run(), read)
    assert not a_recovered_run_knows(database)
    perform(database, run(3, due_at=DUE), decide_that_there_is_nothing_to_do)
    assert a_recovered_run_knows(database, number=4)


def test_a_run_takes_its_mark_back_when_it_writes_once_more(database: Database) -> None:
    marks = []

    def body(ctx: Ctx) -> None:
        with ctx.session() as session:
            write(session, "first")
        marks.append(database.row().committed_due_ms)
        with ctx.session() as session:
            write(session, "second")
            session.commit()
            marks.append(database.row().committed_due_ms)
            write(session, "third")

    perform(database, first_run(), body)
    assert [round(DUE * 1000), None] == marks
    assert ["first", "second", "third"] == database.effects()
    assert a_recovered_run_knows(database)


def test_who_relies_on_the_mark_may_not_write_past_it(database: Database) -> None:
    def body(ctx: Ctx) -> None:
        assert not ctx.already_committed
        one_block()(ctx)
        with ctx.session() as session:
            assert ["last"] == list(session.scalars(select(Effect.note)))  # to read is no harm
        one_block("more")(ctx)

    with pytest.raises(ConfigurationError, match="final=False"):
        perform(database, first_run(), body)
    assert ["last"] == database.effects()


def test_blocks_that_say_which_is_the_last(database: Database) -> None:
    marks = []

    def body(ctx: Ctx) -> None:
        assert not ctx.already_committed
        one_block(final=False)(ctx)
        marks.append(database.row().committed_due_ms)
        one_block()(ctx)

    perform(database, first_run(), body)
    assert [None] == marks
    assert a_recovered_run_knows(database)


def test_a_declared_final_commit_is_kept_to(database: Database) -> None:
    def body(ctx: Ctx) -> None:
        one_block(final=True)(ctx)
        one_block()(ctx)

    with pytest.raises(ConfigurationError, match="after its final commit"):
        perform(database, first_run(), body)
    assert ["last"] == database.effects()


def test_who_asks_after_its_final_commit_asks_too_late(database: Database) -> None:
    def body(ctx: Ctx) -> bool:
        one_block()(ctx)
        return ctx.already_committed

    with pytest.raises(ConfigurationError, match="at the beginning"):
        perform(database, first_run(), body)


def test_a_later_attempt_is_told_what_the_database_says(database: Database) -> None:
    answers = []

    def body(ctx: Ctx) -> None:
        answers.append(ctx.already_committed)
        if not answers[-1]:
            one_block()(ctx)
            raise Failure

    perform(database, first_run(), body, body)
    assert [False, True] == answers
    assert ["last"] == database.effects()


def test_a_later_attempt_may_do_it_again(database: Database) -> None:
    marks = []

    def halfway(ctx: Ctx) -> None:
        with ctx.session() as session:
            write(session, "again")
            session.commit()
            marks.append(database.row().committed_due_ms)

    perform(database, first_run(), one_block("first"), halfway)
    assert [None] == marks
    assert a_recovered_run_knows(database)


def test_a_commit_that_fails_marks_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = []

    def fail_the_next_commit(dialect: Any) -> None:
        def fail(connection: Any) -> None:
            monkeypatch.undo()
            dialect.do_rollback(connection)
            raise dialect.loaded_dbapi.OperationalError("away")

        monkeypatch.setattr(dialect, "do_commit", fail)

    def first_try(ctx: Ctx) -> None:
        with ctx.session() as session:
            write(session, "x")
            fail_the_next_commit(session.get_bind().dialect)

    def body(ctx: Ctx) -> None:
        assert not ctx.already_committed
        with pytest.raises(OperationalError, match="away"):
            first_try(ctx)
        marks.append(database.row().committed_due_ms)
        one_block()(ctx)  # which is not past any final commit

    perform(database, first_run(), body)
    assert [None] == marks
    assert ["last"] == database.effects()
    assert a_recovered_run_knows(database)


def test_a_superseded_run_marks_nothing(database: Database) -> None:
    def body(ctx: Ctx) -> None:
        with ctx.session() as session:
            session.add(Effect(note="stale"))
            session.connection()
            assert not a_recovered_run_knows(database)

    with pytest.raises(StaleRunError):
        perform(database, first_run(), body)
    assert database.row().committed_due_ms is None
    assert [] == database.effects()


def test_sessions_without_one_bind_for_all_are_marked(database: Database) -> None:
    fence = first_run()
    with fence.around(), sessionmaker(binds={Effect: database.engine()})() as session:
        session.add(Effect(note="x"))
        session.commit()
        fence.commit(session)
    assert a_recovered_run_knows(database)


def test_the_final_commit_costs_no_statement_more_than_any_other(database: Database) -> None:
    sessions = database.sessions()
    costs = []
    statements: list[str] = []

    @event.listens_for(sessions.kw["bind"], "before_cursor_execute")
    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        statements.append(statement)

    for final in (False, True):
        fence = first_run()
        with fence.around(), Ctx(fence, sessions).session(final) as session:
            session.connection()  # registers
            statements.clear()
            write(session, "x")
        costs.append(len(statements))
    assert costs[0] == costs[1]
