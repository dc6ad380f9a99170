"""What a job is handed: a session that commits or rolls back, and whether to stop."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest

from jobrunner import (
    ConfigurationError,
    JobContext,
    LeaseLostError,
    Run,
    RunInterruptedError,
    RunStopped,
)

RUN = Run("run-1", "purge", "one", 1, 1.0, 1.0)


class Bound:
    """A run that a context is bound to: `reasons` to stop, the last of which it says."""

    def __init__(
        self,
        run: Run,
        reasons: Sequence[RunStopped] = (),
        told: list[tuple[Any, ...]] | None = None,
    ) -> None:
        self.run = run
        self._reasons = reasons
        self._told = told

    def reason(self) -> RunStopped | None:
        return self._reasons[-1] if self._reasons else None

    def report(self, *told: Any) -> None:
        assert self._told is not None
        self._told.append(told)


class Session:
    """Notes what is done to it; raises what it is told to."""

    def __init__(self, commit: BaseException | None = None, rollback: Exception | None = None):
        self.done: list[str] = []
        self._errors = {"commit": commit, "rollback": rollback}

    def __getattr__(self, name: str) -> object:
        def note() -> None:
            self.done.append(name)
            if error := self._errors.get(name):
                raise error

        return note


def context(session: Session) -> JobContext:
    return JobContext(session_factory=lambda: session)  # type: ignore[arg-type, return-value]


class TestSession:
    def test_it_commits_at_the_end_and_is_closed(self) -> None:
        session = Session()

        with context(session).session() as opened:
            assert session is opened
            opened.flush()

        assert ["flush", "commit", "close"] == session.done

    @pytest.mark.parametrize(
        "error", [ValueError("x"), SystemExit(1), KeyboardInterrupt(), LeaseLostError("gone")]
    )
    def test_it_rolls_back_on_any_error_and_is_closed(self, error: BaseException) -> None:
        session = Session()

        with pytest.raises(type(error)) as caught, context(session).session():
            raise error

        assert error is caught.value
        assert ["rollback", "close"] == session.done

    def test_a_commit_that_fails_is_rolled_back(self) -> None:
        session = Session(commit=ValueError("serialization failure"))

        with pytest.raises(ValueError, match="serialization"), context(session).session():
            pass

        assert ["commit", "rollback", "close"] == session.done

    def test_it_is_closed_though_the_rollback_fails(self) -> None:
        session = Session(rollback=OSError("connection lost"))

        with pytest.raises(OSError, match="connection lost"), context(session).session():
            raise ValueError("x")

        assert ["rollback", "close"] == session.done

    def test_each_is_one_of_its_own(self) -> None:
        made: list[Session] = []

        def factory() -> Session:
            made.append(Session())
            return made[-1]

        ctx = JobContext(session_factory=factory)  # type: ignore[arg-type]
        with ctx.session() as first, ctx.session() as second:
            assert first is not second

        assert [["commit", "close"]] * 2 == [session.done for session in made]

    def test_without_a_database_the_error_names_what_to_set(self) -> None:
        with pytest.raises(ConfigurationError) as caught, JobContext().session():
            pass

        for way in ("SQLALCHEMY_DATABASE_URI", "Flask-SQLAlchemy", "session_factory="):
            assert way in str(caught.value)


class TestStopping:
    def test_a_run_goes_on_while_there_is_no_reason_to_stop(self) -> None:
        ctx = JobContext().for_run(Bound(RUN))

        assert not ctx.cancelled
        ctx.check()

    @pytest.mark.parametrize("reason", [LeaseLostError("gone"), RunInterruptedError("stopping")])
    def test_it_is_told_to_stop_and_why(self, reason: RunStopped) -> None:
        reasons: list[RunStopped] = []
        ctx = JobContext().for_run(Bound(RUN, reasons))
        assert not ctx.cancelled

        reasons.append(reason)

        assert ctx.cancelled
        with pytest.raises(type(reason)) as caught:
            ctx.check()
        assert reason is caught.value

    def test_outside_a_run_there_is_none(self) -> None:
        assert not JobContext().cancelled
        JobContext().check()


class TestForRun:
    def test_each_run_gets_a_copy_with_its_run(self) -> None:
        class Context(JobContext):
            def __init__(self) -> None:
                super().__init__()
                self.number = 1
                self.shared: list[int] = []

        original = Context()
        first = original.for_run(Bound(RUN))
        second = original.for_run(Bound(Run("run-2", "purge", "one", 2, 1.0, 1.0)))

        first.number = 2
        first.shared.append(1)

        assert (Context, Context) == (type(first), type(second))
        assert ("run-1", "run-2") == (first.run.id, second.run.id)
        assert (1, 1) == (original.number, second.number)
        assert [1] == original.shared == second.shared
        assert not hasattr(original, "run")

    def test_its_run_is_asked_for_once(self) -> None:
        bound = Bound(RUN)
        ctx = JobContext().for_run(bound)
        assert RUN is ctx.run

        bound.run = Run("run-2", "purge", "one", 2, 1.0, 1.0)

        assert RUN is ctx.run

    def test_outside_a_run_the_error_says_so(self) -> None:
        with pytest.raises(AttributeError, match="not bound to a run"):
            _ = JobContext().run

    def test_the_reason_to_stop_is_the_run_s_own(self) -> None:
        original = JobContext()
        original.for_run(Bound(RUN, [LeaseLostError("gone")]))

        assert not original.cancelled
        assert not original.for_run(Bound(RUN)).cancelled


class TestProgress:
    def told(self, *arguments: Any, **keywords: Any) -> tuple[Any, ...]:
        noted: list[tuple[Any, ...]] = []
        ctx = JobContext().for_run(Bound(RUN, told=noted))
        ctx.progress(*arguments, **keywords)
        (one,) = noted
        return one

    def test_done_total_and_message_are_told(self) -> None:
        assert (3, 10, "rows") == self.told(3, total=10, message="rows")
        assert (0.5, None, "") == self.told(0.5)
        assert (0.5, 2, "") == self.told(Fraction(1, 2), 2)

    def test_a_long_message_is_cut(self) -> None:
        assert "x" * 200 == self.told(1, message="x" * 300)[2]

    def test_a_message_can_always_be_stored(self) -> None:
        assert "a?" == self.told(1, message="a\ud800")[2]

    @pytest.mark.parametrize(
        ("arguments", "error", "quoted"),
        [
            (("3",), TypeError, "done='3'"),
            ((None,), TypeError, "done=None"),
            ((True,), TypeError, "done=True"),
            ((3, "10"), TypeError, "total='10'"),
            ((1j,), TypeError, "done=1j"),
            ((float("nan"),), ValueError, "done=nan"),
            ((1, float("inf")), ValueError, "total=inf"),
            ((10**5000,), ValueError, "done="),
            ((1, 2, b"x"), TypeError, "message=b'x'"),
        ],
    )
    def test_what_is_no_number_is_quoted(
        self, arguments: Any, error: type[Exception], quoted: str
    ) -> None:
        with pytest.raises(error) as caught:
            self.told(*arguments)

        assert quoted in str(caught.value)

    def test_outside_a_run_it_does_nothing(self) -> None:
        JobContext().progress(1, 2, "nobody listens")  # and raises nothing

        assert not hasattr(JobContext(), "run")
