"""One instance of a fleet under faults: `python -m tests.faults.worker setup.json`."""

if __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()

import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import gevent
from gevent.monkey import get_original
from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

from jobrunner import Job, JobContext, JobRunner
from jobrunner.errors import LeaseLostError
from tests.faults.effects import EFFECT, OPENED
from tests.faults.jobs import Work
from tests.faults.moments import moment_ms
from tests.faults.witness import Witness

#: Seconds between two looks of a run at its own lease, and between two reports of them.
LOOK, REPORT = 0.02, 0.2


class WatchedJob(Job):
    """Works as its description says, and tells the witness how long it held its lease."""

    def __init__(self, work: Work, witness: Witness) -> None:
        self.name = work.name
        self.interval = work.interval
        self.recover = work.recover
        self.fenced = work.fenced and work.kind in ("commits", "obeys")
        self._work = work
        self._witness = witness
        #: The last moment at which the lease was trusted; each run has a copy of the job.
        self._trusted = 0.0

    def run(self, ctx: JobContext) -> None:
        begun = moment_ms()
        self._look(ctx)
        ending = "returned"
        try:
            self._witness.tell(ctx.run, os.getpid(), begun=begun, trusted=self._trusted)
            self._do(ctx)
        except BaseException as error:
            ending = type(error).__name__
            raise
        finally:
            facts = {"begun": begun, "trusted": self._trusted, "ended": moment_ms()}
            # In a greenlet of its own, which nothing is thrown into.
            telling = gevent.spawn(self._witness.tell, ctx.run, os.getpid(), **facts, ending=ending)
            telling.join()

    def _do(self, ctx: JobContext) -> None:
        if self._work.kind == "kills":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._work.kind == "commits":
            self._commit(ctx, self._work_for_its_time)
        elif self._work.kind == "obeys":
            self._commit(ctx, lambda ctx: self._wait_for_leave(ctx, "commit"))
            self._wait_for_leave(ctx, "end")
        else:
            self._work_for_its_time(ctx)
        if self._work.kind == "raises":
            raise ValueError("a job's own")

    def _commit(self, ctx: JobContext, work: Callable[[JobContext], None]) -> None:
        facts = {"job": self.name, "token": ctx.run.token}
        with ctx.session() as session:
            session.execute(EFFECT, facts)
            # By the side: the run has opened its session now, whatever becomes of it.
            with session.get_bind().engine.begin() as connection:
                connection.execute(OPENED, facts)
            # A job that does not let itself be stopped: only its fence is left.
            with suppress(LeaseLostError):
                work(ctx)

    def _wait_for_leave(self, ctx: JobContext, what: str) -> None:
        """Until the witness gives it. A lost lease ends the wait as well, and not the run."""
        while not self._witness.has_leave(ctx.run.id, what):
            self._look(ctx)
            gevent.sleep(LOOK)

    def _work_for_its_time(self, ctx: JobContext) -> None:
        until = moment_ms() + self._work.seconds * 1000
        reported = moment_ms()
        while moment_ms() < until:
            self._look(ctx)
            if self._work.kind == "computes":
                sum(range(1000))
                continue
            gevent.sleep(LOOK)
            if moment_ms() > reported + REPORT * 1000:
                reported = moment_ms()
                self._witness.tell(ctx.run, os.getpid(), trusted=self._trusted)

    def _look(self, ctx: JobContext) -> None:
        # The moment first: a process that is stopped in between claims nothing it cannot know.
        moment = moment_ms()
        if not ctx.cancelled:
            self._trusted = moment


def end_with_the_test() -> None:
    """Nothing of a test that is gone, however it went, may stay behind."""
    read = get_original("os", "read")
    while read(0, 1):
        pass
    os._exit(3)


def sessions_of(url: str | None) -> sessionmaker[Session] | None:
    return None if url is None else sessionmaker(create_engine(url, pool_size=10))


def main() -> None:
    # A native thread, which waits without holding up the hub.
    get_original("_thread", "start_new_thread")(end_with_the_test, ())
    setup = json.loads(Path(sys.argv[1]).read_text())
    logging.basicConfig(format="%(process)d %(levelname)s %(message)s", level=setup["log_level"])
    witness = Witness(setup["witness"])
    runner = JobRunner(
        jobs=[WatchedJob(Work(**work), witness) for work in setup["jobs"]],
        redis_url=setup["redis_url"],
        namespace="fleet",
        mode="greenlet",
        context=JobContext(session_factory=sessions_of(setup["database"])),
        **setup["settings"],
    )
    runner.start()
    witness.ready(os.getpid(), moment_ms())
    runner.run_jobs()


if __name__ == "__main__":
    main()
