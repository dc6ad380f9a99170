"""When a job is due, from what Redis holds of it and now. Pure; reads no clock.

All times are Redis's milliseconds.
"""

from __future__ import annotations

from typing import NamedTuple

from ..job import JobDefinition
from ..schedules import Schedule
from ..store.answers import OF_REQUEST, Known

#: So many due times that were given up are told one by one; those before them are not.
MOST_TOLD = 10

#: Earlier than any clock, an injected one too; and later.
LONG_AGO_MS, NEVER_MS = -(10**15), 10**15


class Due(NamedTuple):
    """The next due time of a job."""

    #: 0: at once; OF_REQUEST: at once, for a request.
    at_ms: int
    #: The last moment at which it is too early for that.
    early_until_ms: int
    #: The last start lies further ahead than any right clock could have written.
    in_future: bool = False
    #: Due times that passed by more than the job's grace allows and are given up: the newest, in
    #: order.
    misfired: tuple[int, ...] = ()


AT_ONCE = Due(0, LONG_AGO_MS)


def due_again(
    definition: JobDefinition, known: Known, now_ms: int, since_ms: int = LONG_AGO_MS
) -> Due:
    """The next due time. `since_ms`: when the fleet first saw the job's schedule.

    A job that recovers is due at once for what was abandoned, and with that due time, so that
    the run can know what it repeats.
    """
    schedule, policies = definition.schedule, definition.policies
    ordinarily_ms = ordinarily_due_ms(definition, known, now_ms, since_ms)
    if ordinarily_ms is not None:
        return Due(ordinarily_ms, schedule.early_until_ms(ordinarily_ms))
    if known.request:
        return Due(OF_REQUEST, LONG_AGO_MS)
    if policies.recover and known.abandoned_due_ms is not None:
        return Due(known.abandoned_due_ms, LONG_AGO_MS)
    if schedule.counts_from == "finish" and known.running is not None:
        return Due(NEVER_MS, NEVER_MS)  # nobody knows yet: looked at again, as all that is held
    base_ms, in_future = _base(schedule, known, now_ms)
    if in_future:
        return Due(0, LONG_AGO_MS, True)
    if base_ms is None:
        if known.first_seen_ms is not None and known.first_seen_ms <= LONG_AGO_MS:
            return AT_ONCE  # a person has reset it
        if not schedule.on_grid:
            due_ms = schedule.first_due_ms(known.first_seen_ms or now_ms)
            return Due(due_ms, schedule.early_until_ms(due_ms)) if due_ms else AT_ONCE
        base_ms = now_ms if known.first_seen_ms is None else known.first_seen_ms
    if schedule.on_grid:
        # The times of a rule that is newer than the last run count from when it was deployed.
        base_ms = max(base_ms, since_ms)
    if policies.misfire == "all" and known.served_ms is not None:
        base_ms = max(known.served_ms, since_ms)
    return _after_misfires(definition, base_ms, now_ms)


def ordinarily_due_ms(
    definition: JobDefinition, known: Known, now_ms: int, since_ms: int
) -> int | None:
    """When a job is due of which nothing but the last start and the schedule says when; None: for
    this one something else does, too.
    """
    schedule, last_ms = definition.schedule, known.last_ms
    if (
        last_ms is None
        or last_ms > now_ms
        or known.touched is not None
        or known.abandoned_due_ms is not None
        or schedule.counts_from != "start"
        or not definition.policies.keeps_no_account
    ):
        return None
    return schedule.next_due_ms(max(last_ms, since_ms) if schedule.on_grid else last_ms)


def _base(schedule: Schedule, known: Known, now_ms: int) -> tuple[int | None, bool]:
    """What the next due time counts from (None: it never ran), and whether that lies in an
    impossible future.

    A last start a little ahead of now, by less than the schedule tolerates, is simply not due
    yet: else a small step back of the clock would start jobs twice.
    """
    if known.last_ms is None:
        return None, False
    if known.last_ms > now_ms + schedule.future_tolerance_ms:
        return None, True
    if schedule.counts_from == "finish" and known.finished_ms is not None:
        return max(known.last_ms, known.finished_ms), False
    return known.last_ms, False


def _after_misfires(definition: JobDefinition, base_ms: int, now_ms: int) -> Due:
    """The first due time after `base_ms` that is not too old to be run for."""
    schedule, policies = definition.schedule, definition.policies
    first_ms = due_ms = schedule.next_due_ms(base_ms)
    grace_ms = policies.grace_ms
    if grace_ms is not None and due_ms + grace_ms < now_ms:
        due_ms = schedule.next_due_from_ms(base_ms, now_ms - grace_ms)
    if policies.misfire == "all" and due_ms <= now_ms:
        missed = _newest_before(schedule, base_ms, now_ms + 1, policies.max_catch_up)
        due_ms = max(due_ms, missed[0]) if missed else due_ms
    given_up: tuple[int, ...] = ()
    if due_ms > first_ms:
        given_up = _newest_before(schedule, base_ms, due_ms, MOST_TOLD)
    return Due(due_ms, schedule.early_until_ms(due_ms), False, given_up)


def _newest_before(
    schedule: Schedule, base_ms: int, before_ms: int, number: int
) -> tuple[int, ...]:
    """The newest due times after `base_ms` and before `before_ms`, `number` at most, in order.

    Steps back until it has enough: how long ago `base_ms` is costs nothing.
    """
    gap_ms = 60_000
    while True:
        start_ms = max(base_ms + 1, before_ms - gap_ms)
        times: list[int] = []
        due_ms = schedule.next_due_from_ms(base_ms, start_ms)
        while due_ms < before_ms:
            times.append(due_ms)
            due_ms = schedule.next_due_ms(due_ms)
        if len(times) >= number or start_ms == base_ms + 1:
            return tuple(times[-number:])
        gap_ms *= 4


def overdue_since_ms(definition: JobDefinition, known: Known) -> int | None:
    """From when the time is counted in which the job is expected to succeed: its last success,
    or its first sight. None: nothing is expected of it.
    """
    if definition.policies.expect is None:
        return None
    since_ms = known.first_seen_ms if known.succeeded_ms is None else known.succeeded_ms
    return None if since_ms is None or since_ms <= LONG_AGO_MS else since_ms
