"""The contenders: one row of every table each. What they are asked to do is a `Scenario`."""

from __future__ import annotations

import importlib
from dataclasses import replace

from .base import Command, Contender, Scenario

LIBRARY = Contender(
    "library",
    "this library",
    module="library",
    ours=True,
    schedule_in_redis=True,
    embeds=True,
)

LIBRARY_ALIGNED = replace(
    LIBRARY,
    name="library, aligned",
    title="this library, on the clock",
    on_grid=True,
    options={"schedule": "aligned"},
)

LIBRARY_CRON = replace(
    LIBRARY,
    name="library, cron",
    title="this library, cron",
    on_grid=True,
    finest=1.0,
    options={"schedule": "cron"},
)

APSCHEDULER_MEMORY = Contender(
    "apscheduler, memory",
    "APScheduler 3, in memory",
    module="apscheduler",
    embeds=True,
    on_grid=True,
    sources=(
        "https://apscheduler.readthedocs.io/en/3.x/userguide.html",
        "https://apscheduler.readthedocs.io/en/3.x/modules/schedulers/gevent.html",
    ),
    options={"store": "memory"},
)

APSCHEDULER_REDIS = replace(
    APSCHEDULER_MEMORY,
    name="apscheduler, redis",
    title="APScheduler 3, RedisJobStore",
    schedule_in_redis=True,
    burst=2_000,
    sources=(
        *APSCHEDULER_MEMORY.sources,
        "https://apscheduler.readthedocs.io/en/3.x/modules/jobstores/redis.html",
    ),
    options={"store": "redis"},
)

HUEY = Contender(
    "huey",
    "huey, greenlet consumer",
    module="huey",
    finest=60.0,
    burst=2_000,
    sources=(
        "https://huey.readthedocs.io/en/latest/consumer.html",
        "https://huey.readthedocs.io/en/latest/guide.html",
    ),
)

CELERY = Contender(
    "celery",
    "celery, RedBeat, gevent worker",
    module="celery_redbeat",
    schedule_in_redis=True,
    burst=1_000,
    slow=True,
    finest=1.0,
    sources=(
        "https://docs.celeryq.dev/en/stable/userguide/concurrency/gevent.html",
        "https://docs.celeryq.dev/en/stable/userguide/optimizing.html",
        "https://redbeat.readthedocs.io/en/latest/config.html",
    ),
    options={"lock": "default"},
)

CELERY_SHORT = replace(
    CELERY,
    name="celery, short lock",
    title="celery, RedBeat with a lock of 5 s",
    options={"lock": "short"},
)

RQ = Contender(
    "rq",
    "rq's cron, SimpleWorker",
    module="rq_cron",
    burst=200,
    finest=1.0,
    sources=(
        "https://python-rq.org/docs/cron/",
        "https://python-rq.org/docs/workers/",
        "https://python-rq.org/docs/results/",
    ),
)

DRAMATIQ = Contender(
    "dramatiq",
    "dramatiq, periodiq",
    module="dramatiq_periodiq",
    finest=60.0,
    burst=1_000,
    slow=True,
    sources=(
        "https://dramatiq.io/advanced.html",
        "https://gitlab.com/bersace/periodiq",
    ),
)

SEED = Contender(
    "seed",
    "GET, then SET, every second",
    module="seed",
    ours=True,
    burst=2_000,
    embeds=True,
    schedule_in_redis=True,
)

TIMERS = Contender(
    "timers",
    "bare gevent timers",
    module="limits",
    ours=True,
    embeds=True,
    on_grid=True,
    options={"limit": "timers"},
)

SPAWN = Contender(
    "spawn",
    "bare greenlets",
    module="limits",
    ours=True,
    options={"limit": "spawn"},
)

CALLS = Contender(
    "calls",
    "one EVALSHA a claim",
    module="limits",
    ours=True,
    burst=2_000,
    options={"limit": "calls"},
)

LOOP = Contender(
    "limit loop",
    "batched claim, greenlets, batched finish",
    module="limit_loop",
    ours=True,
    schedule_in_redis=True,
)

#: The library as its users have it.
LIBRARIES = (LIBRARY, LIBRARY_ALIGNED, LIBRARY_CRON)

#: What others made.
PEERS = (
    APSCHEDULER_MEMORY,
    APSCHEDULER_REDIS,
    HUEY,
    CELERY,
    RQ,
    DRAMATIQ,
)


def asked(contender: Contender, scenario: Scenario) -> Scenario:
    """The scenario as this contender is asked it, with its own options."""
    return replace(scenario, options={**contender.options, **scenario.options})


def commands(contender: Contender, scenario: Scenario) -> list[Command]:
    """The processes that it needs for a scenario: one scheduler and one worker, or one instance."""
    module = importlib.import_module(f"benchmarks.contenders.{contender.module}")
    found: list[Command] = module.commands(asked(contender, scenario))
    return found
