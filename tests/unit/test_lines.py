"""The two lines of every run are ordinary log records."""

import logging
import os
import threading
import time
from collections.abc import Iterator

import pytest

from jobrunner.engine.lines import RunLine

RUN = ("purge", "abc", 7)


class Kept(logging.Handler):
    """Keeps what it handles."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def kept() -> Iterator[Kept]:
    logger, handler = logging.getLogger("jobrunner"), Kept()
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(before)


def test_a_record_has_what_logging_gives_to_one(kept: Kept) -> None:
    line = RunLine("Starting job %s")
    line.log(*RUN)
    line.log("report", "abc", 7)
    extra = {"job": "purge", "run_id": "abc", "token": 7}
    logging.getLogger("jobrunner").info("Starting job %s", "purge", extra=extra)
    first, second, plain = kept.records

    assert "Starting job purge" == first.getMessage()
    assert "Starting job report" == second.getMessage()
    assert set(plain.__dict__) == set(second.__dict__)
    for name in ("name", "levelno", "levelname", "msg", "process", "processName", "thread"):
        assert getattr(plain, name) == getattr(second, name), name
    assert ("report", "abc", 7) == (second.job, second.run_id, second.token)  # type: ignore[attr-defined]
    assert "jobrunner" == second.threadName
    assert second.pathname.endswith(os.path.join("engine", "lines.py"))


def test_each_record_has_its_own_time(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    line = RunLine("Starting job %s")
    line.log(*RUN)
    later = time.time() + 12.3456
    monkeypatch.setattr(time, "time", lambda: later)
    line.log(*RUN)
    first, second = kept.records

    assert later == second.created
    assert int(later * 1000) % 1000 == second.msecs
    apart = (second.created - first.created) * 1000
    assert apart == pytest.approx(second.relativeCreated - first.relativeCreated)


def test_it_names_the_thread_that_logs(kept: Kept) -> None:
    line = RunLine("Starting job %s")
    line.log(*RUN)
    other = threading.Thread(target=line.log, args=RUN)
    other.start()
    other.join()
    first, second = kept.records

    assert threading.get_ident() == first.thread
    assert other.ident == second.thread


def test_levels_and_filters_apply(kept: Kept) -> None:
    logger, line = logging.getLogger("jobrunner"), RunLine("Starting job %s")
    logger.setLevel(logging.WARNING)
    line.log(*RUN)
    logger.setLevel(logging.INFO)
    refuse = lambda record: record.job != "purge"  # noqa: E731
    logger.addFilter(refuse)
    try:
        line.log(*RUN)
        line.log("report", "abc", 7)
    finally:
        logger.removeFilter(refuse)

    assert ["Starting job report"] == [record.getMessage() for record in kept.records]


def test_an_application_s_record_factory_is_asked(kept: Kept) -> None:
    class Traced(logging.LogRecord):
        trace = "t-1"

    line = RunLine("Starting job %s")
    line.log(*RUN)
    logging.setLogRecordFactory(Traced)
    try:
        line.log(*RUN)
    finally:
        logging.setLogRecordFactory(logging.LogRecord)
    line.log(*RUN)

    assert [False, True, False] == [isinstance(record, Traced) for record in kept.records]
    assert "abc" == kept.records[1].run_id  # type: ignore[attr-defined]


def test_what_an_application_wants_left_out_is_left_out(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "logThreads", False)
    line = RunLine("Starting job %s")
    line.log(*RUN)
    line.log(*RUN)

    assert [None, None] == [record.thread for record in kept.records]
    assert [None, None] == [record.threadName for record in kept.records]
