"""A fenced run: what its sessions commit is refused once a newer run has opened its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..context import JobContext
from ..database.fencing import Fence
from ..errors import StaleRunError
from ..job import JobDefinition
from ..run import Run


def fence_of(
    run: Run, definition: JobDefinition, newer_token: Callable[[int], int | None]
) -> Fence:
    """The fence of a run, for all of its attempts: the row in the database and its mark are the
    run's, and what one attempt has committed the next one finds with `already_committed`.
    """
    return Fence(
        sync_key=definition.keys.sync_key,
        run_id=run.id,
        token=run.token,
        due_at=run.due_at,
        newer_token=newer_token,
    )


@contextmanager
def fenced(context: JobContext, fence: Fence) -> Iterator[None]:
    """Fence the sessions of the attempt of `context`, those that its application makes too.

    `StaleRunError` at the end, when the run was refused and did not let that pass.
    """
    run, sessions = context.run, context.session_factory
    if sessions is not None:
        context.bind_fence(
            fence.factory(sessions), fence.commit, lambda: fence.already_committed(sessions)
        )
    with fence.around():
        yield
    if fence.is_stale:
        raise StaleRunError(f"run {run.id} of job {run.job!r} is superseded by a newer one")
