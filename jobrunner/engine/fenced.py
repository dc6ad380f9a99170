"""A fenced run: what its sessions commit is refused once a newer run has opened its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..context import JobContext
from ..database.fencing import Fence
from ..errors import StaleRunError
from ..job import JobDefinition
from ..store.redis import RedisStore


@contextmanager
def fenced(context: JobContext, definition: JobDefinition, store: RedisStore) -> Iterator[None]:
    """Fence the sessions of the run of `context`, those that its application makes too.

    `StaleRunError` at the end, when the run was refused and did not let that pass.
    """
    run, sessions = context.run, context.session_factory
    fence = Fence(
        sync_key=definition.keys.sync_key,
        run_id=run.id,
        token=run.token,
        due_at=run.due_at,
        newer_token=lambda stored: store.larger_token(definition, run.id, stored),
    )
    if sessions is not None:
        context.bind_fence(
            fence.factory(sessions), fence.commit, lambda: fence.already_committed(sessions)
        )
    with fence.around():
        yield
    if fence.is_stale:
        raise StaleRunError(f"run {run.id} of job {run.job!r} is superseded by a newer one")
