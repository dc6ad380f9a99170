"""run_in="thread" beside a gevent hub: the hub goes on, and nothing of it is shared."""

import contextvars
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from flask import Flask, current_app
from gevent.monkey import get_original
from sqlalchemy import Engine, MetaData, create_engine, event, func, text
from sqlalchemy.orm import sessionmaker

from jobrunner import JobContext, JobRunner, Outcome, Retry, every, fence_table
from jobrunner.database.fence_table import create_fence_table
from tests.runtime.actor import Stage, instance_of
from tests.runtime.stage import Play, play
from tests.runtime.watch import LeaseWatch
from tests.support.wait import wait_for

native_sleep = get_original("time", "sleep")
native_id = get_original("threading", "get_native_id")

whose = contextvars.ContextVar("whose", default="nobody's")


def runner_on(redis_url: str, app: Flask | None = None, **settings: Any) -> JobRunner:
    """One that starts in any process, with an application too."""
    settings |= {"namespace": "threads", "check_interval": 0.05, "mode": "greenlet"}
    return JobRunner(app, redis_url=redis_url, **settings)


def spins(stage: Stage, redis_url: str) -> dict[str, Any]:
    app = Flask("shop")
    runner = runner_on(redis_url, app, lease=0.5)
    seen: dict[str, Any] = {"beats": 0, "hub": native_id()}

    @runner.job(every(hours=1), run_in="thread")
    def work(ctx: JobContext) -> None:
        seen.update(thread=native_id(), whose=whose.get(), app=current_app == app)
        stage.say("started", run=ctx.run.id)
        before, until = seen["beats"], time.monotonic() + 2  # four leases
        while time.monotonic() < until:
            native_sleep(0.001)  # blocks this thread, and a greenlet's hub would stand still
        seen["beats meanwhile"] = seen["beats"] - before
        stage.say("ended")

    def beat() -> None:
        while True:
            gevent.sleep(0.01)
            seen["beats"] += 1

    heart = gevent.spawn(beat)
    whose.set("the caller's")
    runner.start()
    wait_for(lambda: runner.history("work", limit=1))
    heart.kill()
    seen["history"] = [entry.outcome for entry in runner.history("work")]
    runner.stop()
    return seen


def test_the_hub_goes_on_and_the_lease_is_kept(redis_url: str) -> None:
    with (
        LeaseWatch(redis_url, "threads", "work") as watch,
        Play(spins, patched=True, redis_url=redis_url) as one,
    ):
        seen = one.end()
        started, ended = one.events("started")[0], one.events("ended")[0]

    assert seen["hub"] != seen["thread"]
    assert seen["beats meanwhile"] >= 10
    assert (True, "nobody's", ["succeeded"]) == (seen["app"], seen["whose"], seen["history"])
    assert {started["run"]} == set(watch.holders(after=started["at"], before=ended["at"]))


def takes_too_long(stage: Stage, redis_url: str) -> list[Any]:
    runner = runner_on(redis_url)
    seen: list[Any] = []

    def checks(ctx: JobContext) -> None:
        while True:
            native_sleep(0.005)
            ctx.check()

    def returns_late(ctx: JobContext) -> str:
        while not ctx.cancelled:
            native_sleep(0.005)
        return "done"

    for function in (checks, returns_late):
        retry = Retry(attempts=2, base=0)
        runner.job(every(hours=1), run_in="thread", timeout=0.1, retry=retry)(function)
    runner.tick(wait=True)
    for name in ("checks", "returns_late"):
        (entry,) = runner.history(name)
        seen.append([entry.outcome, entry.attempts, entry.error])
    runner.stop()
    return seen


def test_a_thread_that_takes_too_long_is_told_and_has_timed_out(redis_url: str) -> None:
    checks, returns_late = play(takes_too_long, patched=True, redis_url=redis_url)

    assert [Outcome.TIMED_OUT, 2] == checks[:2] == returns_late[:2]
    assert "'checks' took longer than its timeout of 0.1 s" in checks[2]


def cancels(stage: Stage, redis_url: str) -> list[str]:
    runner = runner_on(redis_url)
    started: list[str] = []

    @runner.job(every(hours=1), run_in="thread")
    def work(ctx: JobContext) -> None:
        started.append(ctx.run.id)
        while True:
            native_sleep(0.005)
            ctx.check()

    runner.start()
    wait_for(lambda: started)
    instance_of(runner).executor.cancel(started[0], "wrong day")
    (entry,) = wait_for(lambda: runner.history("work"))
    runner.stop()
    return [entry.outcome, entry.error or ""]


def test_a_thread_can_be_cancelled(redis_url: str) -> None:
    outcome, error = play(cancels, patched=True, redis_url=redis_url)

    assert ("cancelled", "RunCancelledError: job 'work' was cancelled: wrong day") == (
        outcome,
        error,
    )


def logs(stage: Stage, redis_url: str) -> int:
    """Threads and greenlets log at once, all the time, through a handler with a patched lock."""
    lines: list[str] = []

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            gevent.sleep(0)  # holds its lock meanwhile, as one that writes to a socket does
            lines.append(record.getMessage())

    logger = logging.getLogger("chatty")
    logger.propagate = False
    logger.addHandler(Slow())
    logger.setLevel(logging.INFO)
    runner = runner_on(redis_url)

    def chats(ctx: JobContext) -> None:
        for number in range(300):
            logger.info("thread %d", number)

    for number in range(3):
        runner.job(every(hours=1), name=f"job{number}", run_in="thread")(chats)

    def greenlet() -> None:
        while not runner.history("job0"):
            logger.info("greenlet")

    other = gevent.spawn(greenlet)
    runner.tick(wait=True)
    other.join()
    runner.stop()
    return len([line for line in lines if line.startswith("thread")])


def test_what_a_thread_logs_is_handled_in_the_hub(redis_url: str) -> None:
    assert 900 == play(logs, patched=True, redis_url=redis_url)


def shares_an_engine(stage: Stage, redis_url: str, database_url: str, kind: str) -> dict[str, Any]:
    """Runs in threads, and greenlets that wait for the one connection of the same pool."""
    engine = create_engine(database_url, pool_size=1, max_overflow=0, pool_timeout=20)
    seen: dict[str, Any] = {"connects": [], "rows": 0, "greenlets": 0, "hub": native_id()}
    event.listen(engine, "connect", lambda *_: seen["connects"].append(threading.get_ident()))
    context = JobContext(session_factory=sessionmaker(engine))
    runner = runner_on(redis_url, context=context, fenced=kind == "fenced")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS notes (job text)"))
    if kind == "fenced":
        create_fence_table(engine)
        put_larger_token(engine, "{threads}:job:job0")
        note_who_asks(instance_of(runner).store, seen)

    def works(ctx: JobContext) -> None:
        for _ in range(20):
            with ctx.session() as session:
                session.execute(text("INSERT INTO notes VALUES (:job)"), {"job": ctx.run.job})
        with ctx.session() as session:
            session.execute(text("INSERT INTO notes VALUES ('never')"))
            session.rollback()

    for number in range(3):
        runner.job(every(hours=1), name=f"job{number}", run_in="thread")(works)
    over: list[bool] = []

    def greenlet() -> None:
        while not over:
            with engine.begin() as connection:
                connection.execute(text("SELECT 1"))
                gevent.sleep(0.001)
            seen["greenlets"] += 1
            gevent.sleep(0.001)  # the others' turn: the pool itself is not fair

    others = [gevent.spawn(greenlet) for _ in range(3)]
    runner.tick(wait=True)
    over.append(True)
    gevent.joinall(others, raise_error=True)
    entries = [runner.history(f"job{number}")[0] for number in range(3)]
    seen["ends"] = [[entry.outcome, entry.error] for entry in entries]
    with engine.begin() as connection:
        seen["rows"] = connection.execute(text("SELECT count(*) FROM notes")).scalar()
    seen["connects"] = len(seen["connects"])
    seen["left"] = engine.pool.checkedout()  # type: ignore[attr-defined]
    runner.stop()
    return seen


def put_larger_token(engine: Engine, sync_key: str) -> None:
    """The job's row holds a larger token than Redis will give: its run has to ask for one."""
    entry = (
        fence_table(MetaData())
        .insert()
        .values(sync_key=sync_key, token=4 * 10**15, run_id="before", updated_at=func.now())
    )
    with engine.begin() as connection:
        connection.execute(entry)


def note_who_asks(store: Any, seen: dict[str, Any]) -> None:
    """Note the thread that asks Redis for a larger token: the store is the hub's."""
    ask = store.larger_token

    def larger_token(*arguments: Any) -> Any:
        seen["asked by"] = native_id()
        return ask(*arguments)

    store.larger_token = larger_token


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Any) -> Callable[[str], str]:
    def url(kind: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{tmp_path}/rows.db?timeout=60"
        found: str = request.getfixturevalue("mariadb_url" if kind == "mariadb" else "postgres_url")
        return found

    return url


@pytest.mark.parametrize("kind", ["postgres", "mariadb", "sqlite", "fenced"])
def test_sessions_of_threads_take_no_connection_of_the_hub(
    redis_url: str, database: Callable[[str], str], kind: str
) -> None:
    seen = play(
        shares_an_engine, patched=True, redis_url=redis_url, database_url=database(kind), kind=kind
    )

    assert [["succeeded", None]] * 3 == seen["ends"]
    assert (60, 0) == (seen["rows"], seen["left"])
    assert seen["greenlets"] > 0
    if kind == "fenced":
        assert seen["hub"] == seen["asked by"]
    assert seen["connects"] > 60  # the listeners of the engine hear of each
