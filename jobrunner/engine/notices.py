"""What a tick learns and people should hear of: log lines and signals."""

from __future__ import annotations

import logging

from ..errors import LastRunParseError
from ..job import JobDefinition
from ..keys import JobKeys
from ..quarantine import quarantined_until_ms
from ..run import Skip
from ..signals import Notify, job_overdue, job_quarantined, job_skipped
from ..store.answers import Known
from .agenda import Entry

logger = logging.getLogger("jobrunner")


class Notices:
    """Says what the scheduler has learnt."""

    def __init__(self, notify: Notify, quarantine_after: int) -> None:
        self._notify = notify
        self._quarantine_after = quarantine_after

    def abandoned(self, entry: Entry, run_id: str, known: Known) -> None:
        """This instance has recorded the death of a run; the job may be quarantined for it."""
        name, extra = entry.definition.name, {"job": entry.definition.name, "run_id": run_id}
        logger.warning(
            "Job %s was abandoned: the instance of run %s died or lost Redis",
            name,
            run_id,
            extra=extra,
        )
        in_row = known.abandoned_in_row
        until_ms = quarantined_until_ms(in_row, known.abandoned_ms, self._quarantine_after)
        if until_ms is None or known.abandoned_ms is None:
            return
        logger.error(
            "Job %s is quarantined for %.0f s: its last %d runs were abandoned, so it may be "
            "what kills its instances; it goes on when it has succeeded",
            name,
            (until_ms - known.abandoned_ms) / 1000,
            in_row,
            extra=extra,
        )
        entry.tell(Skip.QUARANTINED, known.abandoned_ms)
        self._notify(job_quarantined, job=name, abandoned_in_row=in_row, until=until_ms / 1000)

    def noted(self, entry: Entry, noted: str) -> None:
        """This instance was the first to note that due times passed, or a success did not come."""
        name = entry.definition.name
        reason, _, times = noted.partition(":")
        for ms in map(int, times.split(",")):
            if reason == "overdue":
                logger.error(
                    "Job %s is overdue: it has had no success for %g s",
                    name,
                    entry.definition.policies.expect,
                    extra={"job": name},
                )
                self._notify(job_overdue, job=name, since=ms / 1000)
            else:
                logger.info("Job %s was due and not run: %s", name, reason, extra={"job": name})
                self._notify(job_skipped, job=name, reason=Skip(reason), due_at=ms / 1000)

    def in_future(self, entry: Entry) -> None:
        """It is run though its last start lies ahead of now."""
        logger.warning(
            "Job %s had a last run further in the future than its schedule allows (%s ms): "
            "a clock was wrong; it runs now",
            entry.definition.name,
            entry.computed_from,
            extra={"job": entry.definition.name},
        )

    def no_due_time(self, entry: Entry, known: Known) -> None:
        """Its schedule raises; called where that is handled."""
        logger.exception(
            "Job %s: its schedule %s gave no due time after %s",
            entry.definition.name,
            entry.definition.schedule,
            known,
            extra={"job": entry.definition.name},
        )

    def corrupt(self, definition: JobDefinition, problem: str) -> None:
        """What Redis holds of the job cannot be read, so it is not run."""
        error = parse_error(definition, problem)
        logger.error(
            "Job %s is not run: %s", definition.name, error, extra={"job": definition.name}
        )

    def moved(self, definition: JobDefinition, origin: str) -> None:
        """The job was announced before by other code."""
        logger.warning(
            "Job %s was announced before from %s and is now from %s: do two services share a "
            "namespace, or was the job moved?",
            definition.name,
            origin,
            definition.origin,
            extra={"job": definition.name},
        )


def parse_error(definition: JobDefinition, problem: str) -> LastRunParseError:
    """The error of a job whose keys cannot be read, with the mend."""
    mend = how_to_mend(definition.keys, problem)
    return LastRunParseError(f"{problem}: {mend}, and job {definition.name!r} runs again")


def how_to_mend(keys: JobKeys, problem: str) -> str:
    """What an operator should do about a key that cannot be read, the one that `problem` names."""
    for key in (keys.state, keys.lease, keys.history):
        if problem.startswith(f"{key}: "):
            return f"something else than jobrunner wrote there; delete {key!r} in Redis"
    return (
        f"it must be the Unix time of the last run in whole seconds; "
        f"delete or set {keys.sync_key!r} in Redis"
    )
