"""What belongs to no single application: created here, bound to one in `create_app`."""

from __future__ import annotations

from redis import Redis

from jobrunner import JobContext, JobRunner

from .database import new_session
from .shared import redis_client


class ExampleContext(JobContext):
    """What every job of this example is handed: `session()` of the library, and `redis` on top."""

    @property
    def redis(self) -> Redis:
        """The application's own Redis client; the runner keeps connections of its own."""
        return redis_client()


runner = JobRunner(context=ExampleContext(session_factory=new_session))
