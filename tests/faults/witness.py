"""What runs tell a second Redis, which no fault touches: when they began, trusted, and ended.

Each fact carries the moment at which it was true (see `moments.py`), so that a record that comes
late, because its process stood still, says what was and not when it was told.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobrunner import Run

FACTS, READY, LEAVE = "facts", "ready", "leave"


@dataclass(frozen=True, slots=True)
class Seen:
    """One run. Moments are those of `moments.py`, in milliseconds."""

    job: str
    run_id: str
    token: int
    pid: int
    #: Unix milliseconds of the fleet's Redis.
    due_ms: int
    started_ms: int
    #: When its first line ran; None: a claim that only the history knows.
    begun: float | None = None
    #: The last moment at which it could say: the lease is mine.
    trusted: float | None = None
    ended: float | None = None
    #: "returned", or the name of the exception that left it.
    ending: str | None = None


class Witness:
    """The second Redis, as workers write to it and as the judge reads it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._last = "-"
        self._runs: dict[str, Seen] = {}

    @cached_property
    def client(self) -> redis.Redis:
        return redis.Redis.from_url(
            self._url, retry=Retry(NoBackoff(), 0), decode_responses=True, socket_timeout=30
        )

    def close(self) -> None:
        self.client.close()

    def tell(self, run: Run, pid: int, **moments: float | str) -> None:
        """A run says something of itself: begun, trusted, ended, ending."""
        facts = {
            "job": run.job,
            "run": run.id,
            "token": run.token,
            "pid": pid,
            "due_ms": round(run.due_at * 1000),
            "started_ms": round(run.started_at * 1000),
        }
        self.client.xadd(FACTS, {**facts, **moments})

    def ready(self, pid: int, moment: float) -> None:
        """An instance checks jobs from that moment on."""
        self.client.hset(READY, str(pid), moment)

    def ready_since(self, pid: int) -> float | None:
        held = self.client.hget(READY, str(pid))
        return None if held is None else float(held)

    def give_leave(self, run_id: str, what: str) -> None:
        """The run, which waits for it, may do that now."""
        self.client.sadd(LEAVE, f"{run_id} {what}")

    def has_leave(self, run_id: str, what: str) -> bool:
        return bool(self.client.sismember(LEAVE, f"{run_id} {what}"))

    def runs(self) -> list[Seen]:
        """All runs so far."""
        for number, fields in self.client.xrange(FACTS, min=self._last):
            self._last = f"({number}"
            self._runs[fields["run"]] = _merged(self._runs.get(fields["run"]), fields)
        return list(self._runs.values())

    def forget(self, run_ids: Iterable[str]) -> None:
        """Of these nothing more will come that matters."""
        for run_id in run_ids:
            self._runs.pop(run_id, None)


def _merged(known: Seen | None, fields: Mapping[str, str]) -> Seen:
    seen = known or Seen(
        fields["job"],
        fields["run"],
        int(fields["token"]),
        int(fields["pid"]),
        int(fields["due_ms"]),
        int(fields["started_ms"]),
    )
    told = {name: float(fields[name]) for name in ("begun", "trusted", "ended") if name in fields}
    return replace(seen, **told, ending=fields.get("ending", seen.ending))
