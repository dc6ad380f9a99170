"""Progress on its way: the newest of each run, many in a call, and nothing when nobody reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gevent
import pytest
from gevent.threadpool import ThreadPool

from jobrunner.engine.active import ActiveRun, Here
from jobrunner.engine.progress import ProgressBoard
from jobrunner.errors import StoreError
from jobrunner.job import FunctionJob, JobDefinition
from jobrunner.schedules import every
from jobrunner.store.answers import Answer, Known, Report, Status
from tests.support.wait import wait_for

JOB = JobDefinition.of(FunctionJob(lambda ctx: None, every(hours=1), name="work"), "shop")


class Store:
    """Notes the calls; `answers` are given one after the other, then all is well."""

    def __init__(self) -> None:
        self.calls: list[list[tuple[str, float]]] = []
        self.answers: list[Any] = []

    def progress(self, reports: Sequence[Report]) -> list[Any]:
        self.calls.append(sorted((report.run_id, report.done) for report in reports))
        answer = self.answers.pop(0) if self.answers else [True] * len(reports)
        if isinstance(answer, Exception):
            raise answer
        return list(answer)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def board(store: Store) -> ProgressBoard:
    return ProgressBoard(store, interval=0.001, trust=lambda: 7.0)  # type: ignore[arg-type]


def run(name: str = "run-1") -> ActiveRun:
    here = Here("one", lambda: 7.0, ProgressBoard(Store()))  # type: ignore[arg-type]
    granted = Answer(Status.CLAIMED, Known(1000, None, name, 0), None, 1, 1000, "")
    return ActiveRun(JOB, granted, 1e12, here)


def test_the_newest_of_each_run_goes_in_one_call(store: Store, board: ProgressBoard) -> None:
    one, two = run("run-1"), run("run-2")
    for done in range(100):
        board.note(one, done, None, "")
    board.note(two, 5, None, "")

    board.send()
    board.send()

    assert [[("run-1", 99), ("run-2", 5)]] == store.calls


def test_many_go_in_several(store: Store, board: ProgressBoard) -> None:
    for number in range(501):
        board.note(run(f"run-{number}"), 1, None, "")

    board.send()

    assert [500, 1] == [len(call) for call in store.calls]


def test_what_did_not_arrive_is_sent_the_next_time(store: Store, board: ProgressBoard) -> None:
    board.note(run("run-1"), 1, None, "")
    board.note(run("run-2"), 1, None, "")
    store.answers = [[StoreError("a slot is away"), True], StoreError("away")]
    for _ in range(4):
        board.send()

    first, second, third = store.calls
    assert [("run-1", 1), ("run-2", 1)] == first
    assert second == third
    assert 1 == len(second)


def test_unless_there_is_something_newer(store: Store, board: ProgressBoard) -> None:
    active = run()

    class Answers(list[Any]):
        def pop(self, *_: Any) -> Any:
            board.note(active, 2, None, "")  # while the call is away
            self.clear()
            return StoreError("away")

    store.answers = Answers([1])
    board.note(active, 1, None, "")

    board.send()
    board.send()

    assert [[("run-1", 1)], [("run-1", 2)]] == store.calls


def test_of_a_run_that_is_over_nothing_goes(store: Store, board: ProgressBoard) -> None:
    active = run()
    board.note(active, 1, None, "")
    board.forget(active)
    active.ended = True
    board.note(active, 2, None, "")  # by a thread that the job left behind

    board.send()

    assert [] == store.calls


def test_the_loop_sends_what_greenlets_and_threads_note(store: Store, board: ProgressBoard) -> None:
    pool, active = ThreadPool(1), run()
    loop = gevent.spawn(board.loop)
    try:
        for done in range(1, 20):
            if done % 2:
                pool.spawn(board.note, active, done, None, "").get()
            else:
                board.note(active, done, None, "")
            wait_for(lambda done=done: gevent.sleep(0) or [("run-1", done)] in store.calls, every=0)  # type: ignore[misc]
    finally:
        loop.kill()
        pool.kill()


def test_the_loop_sends_what_was_noted_before_it_began(store: Store, board: ProgressBoard) -> None:
    board.note(run(), 1, None, "")
    loop = gevent.spawn(board.loop)

    wait_for(lambda: gevent.sleep(0) or store.calls, every=0)
    loop.kill()

    assert [[("run-1", 1)]] == store.calls


def test_the_loop_tries_again_what_did_not_arrive(store: Store, board: ProgressBoard) -> None:
    store.answers = [StoreError("away"), StoreError("away")]
    loop = gevent.spawn(board.loop)
    gevent.sleep(0)
    board.note(run(), 1, None, "")

    wait_for(lambda: gevent.sleep(0) or len(store.calls) == 3, every=0)
    loop.kill()

    assert [[("run-1", 1)]] * 3 == store.calls


def test_the_hub_is_called_once_for_many_notes(board: ProgressBoard) -> None:
    calls: list[object] = []

    class Loop:
        def run_callback_threadsafe(self, function: object) -> None:
            calls.append(function)

    board._hub_loop = Loop()
    for done in range(100):
        board.note(run(), done, None, "")

    assert 1 == len(calls)


def test_it_waits_while_nobody_notes_anything(store: Store, board: ProgressBoard) -> None:
    looks: list[int] = []
    loop = gevent.spawn(board.loop, lambda: not looks.append(1))
    board.note(run(), 1, None, "")
    wait_for(lambda: gevent.sleep(0) or len(looks) == 2, every=0)  # sent, and waiting again

    gevent.sleep(0.01)  # ten intervals
    loop.kill()

    assert (2, 1) == (len(looks), len(store.calls))
