"""In a process that is not patched: one loop thread, and a native thread for each run."""

import threading
from typing import Any

from jobrunner import JobContext, JobRunner, every
from tests.runtime.actor import Stage
from tests.runtime.stage import play
from tests.support.wait import wait_for


def meets(stage: Stage, redis_url: str) -> dict[str, Any]:
    runner = JobRunner(redis_url=redis_url, namespace="threads")
    together = threading.Barrier(3)  # blocks its thread: no hub could run the others meanwhile
    seen: dict[str, Any] = {"jobs": [], "main": threading.get_native_id()}

    def meet(ctx: JobContext) -> None:
        together.wait(timeout=60)
        seen["jobs"].append(threading.get_native_id())

    for name in ("first", "second", "third"):
        runner.job(every(hours=1), name=name)(meet)
    runner.start()
    seen["loop"] = [t.native_id for t in threading.enumerate() if t.name == "jobrunner"]
    wait_for(lambda: len(seen["jobs"]) == 3)
    seen["by themselves"] = runner.stop()
    seen["left"] = [t.name for t in threading.enumerate() if t.name == "jobrunner"]
    return seen


def test_the_loop_has_a_thread_and_blocking_jobs_run_side_by_side_in_others(
    redis_url: str,
) -> None:
    seen = play(meets, patched=False, redis_url=redis_url)
    assert 1 == len(seen["loop"])
    assert 5 == len({*seen["jobs"], *seen["loop"], seen["main"]})
    assert (True, []) == (seen["by themselves"], seen["left"])
