"""A process of a fleet: `python -m benchmarks.scale_fleet SHARE`, started by `benchmarks.scale`.

So many instances in one patched process, each with an application, connections and a keeper of
its own, as if it stood elsewhere; what they share is a core. Their jobs do nothing but note how
late they are. SHARE is JSON; a line of standard input asks for what was counted since the last.
"""

from __future__ import annotations

if __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()

import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import gevent
from flask import Flask
from gevent.fileobject import FileObjectThread

from jobrunner import JobContext, JobRunner, every
from jobrunner.engine import scheduler
from jobrunner.engine.spread import delay

#: What an instance waits before it asks, by the name of a way.
DELAYS: dict[str, Callable[..., float]] = {
    "adaptive": delay,
    "none": lambda chance, living, check_interval: 0.0,
    "2 ms": lambda chance, living, check_interval: float(chance.uniform(0, 0.002)),
}


@dataclass(frozen=True)
class Share:
    """What one process is to be."""

    redis_url: str
    instances: int
    jobs: int
    #: Seconds between two due times of a job, all on the clock's grid.
    interval: float
    #: Whether each job has an offset of its own within its interval, or all are due at once.
    spread: bool
    check_interval: float
    resync_interval: float
    delay: str

    @property
    def words(self) -> str:
        return json.dumps(asdict(self))


class Tally:
    """What the instances of this process asked and were answered, and how late their runs were."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._late_ms: list[float] = []
        self._won: Counter[str] = Counter()

    def ran(self, ctx: JobContext) -> None:
        """The job: by the clock of the machine, which is Redis's too."""
        self._late_ms.append((time.time() - ctx.run.due_at) * 1000)
        self._won[ctx.run.instance] += 1

    def watch(self, store: Any) -> None:
        """Count the calls of one instance."""
        claim, finish = store.claim, store.finish

        def claimed(asks: Sequence[Any]) -> Any:
            answers = claim(asks)
            tried = [a for ask, a in zip(asks, answers, strict=True) if ask.run_id]
            won = sum(answer.status == "claimed" for answer in tried)
            self._counts.update(
                claim_calls=1,
                asks=len(tried),
                looks=len(asks) - len(tried),
                won=won,
                early=sum(answer.status == "early" for answer in tried),
                won_calls=bool(won),
                lost_calls=bool(tried) and not won,
            )
            return answers

        def finished(endings: Sequence[Any]) -> Any:
            self._counts.update(finish_calls=1, finishes=len(endings))
            return finish(endings)

        store.claim, store.finish = claimed, finished

    def told(self) -> dict[str, Any]:
        """All since it was told last."""
        words = {"counts": self._counts, "late_ms": self._late_ms, "won": self._won}
        self._counts, self._late_ms, self._won = Counter(), [], Counter()
        return words


def main() -> None:
    logging.basicConfig(level=logging.INFO, handlers=[logging.NullHandler()])
    share = Share(**json.loads(sys.argv[1]))
    vars(scheduler)["delay"] = DELAYS[share.delay]
    tally = Tally()
    runner = JobRunner(
        redis_url=share.redis_url,
        namespace="fleet",
        mode="greenlet",
        check_interval=share.check_interval,
        resync_interval=share.resync_interval,
    )
    schedule = every(seconds=share.interval, align=True)
    for number in range(share.jobs):
        runner.job(schedule, name=f"job {number}", spread=share.spread)(tally.ran)
    apps = [Flask(f"instance {number}") for number in range(share.instances)]
    for app in apps:
        runner.init_app(app)
        tally.watch(app.extensions["jobrunner"].start_here().store)
        gevent.sleep(0.01)
    print(json.dumps(tally.told()), flush=True)
    for _ in FileObjectThread(sys.stdin.buffer, "rb"):
        print(json.dumps(tally.told()), flush=True)
    gevent.joinall([gevent.spawn(runner.stop, 1.0, app) for app in apps])


if __name__ == "__main__":
    main()
