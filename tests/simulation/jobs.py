"""The jobs of the simulated application, and how their runs behave."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import gevent
from sqlalchemy import text

from jobrunner import Job, JobContext, Retry, cron, every
from jobrunner.errors import RunStopped
from jobrunner.schedules import Schedule, every_interval

from .plan import JobPlan

if TYPE_CHECKING:
    from .world import World


class SimulatedJob(Job):
    """A job whose runs wait in virtual time, and tell the watch when they begin and end."""

    def __init__(self, world: World, plan: JobPlan) -> None:
        self.name = plan.name
        self.schedule = schedule_of(plan)
        self.recover = plan.recover
        self.fenced = plan.fenced
        self.misfire, self.grace = "once" if plan.grace is None else "skip", plan.grace
        self.jitter, self.timeout = plan.jitter, plan.timeout
        lease = world.plan.lease
        if plan.attempts > 1:
            self.retry = Retry(plan.attempts, base=0.1 * lease, cap=0.3 * lease)
        self._world = world
        self._plan = plan

    def run(self, ctx: JobContext) -> None:
        watch = self._world.watch
        nth = watch.began(self._world.processes[ctx.run.instance], ctx.run)
        try:
            self._do(ctx, random.Random(f"{self._world.plan.seed} {self.name} {nth}"))
        except BaseException as error:
            watch.ended(ctx.run, error)
            raise
        watch.ended(ctx.run, None)

    def _do(self, ctx: JobContext, rng: random.Random) -> None:
        is_done = self.fenced and self._open(ctx)
        lease, manner = self._world.plan.lease, rng.choice(self._plan.manners)
        if manner == "works":
            gevent.sleep(lease * rng.uniform(0.02, 0.4))
        elif manner == "too long":
            _work_carefully(ctx, lease * rng.uniform(1, 2.5))
        elif manner == "stubborn":
            _ignore_interrupts(self._world, lease * rng.uniform(0.1, 2))
        elif manner == "computes":
            self._compute(ctx, lease * rng.uniform(0.3, 1.5))
        elif manner == "fails":
            gevent.sleep(lease * rng.choice((0.0, 0.2)))
            raise rng.choice((ValueError("told to"), SystemExit(1), gevent.GreenletExit()))
        if self.fenced and not is_done:
            self._write(ctx)

    def _compute(self, ctx: JobContext, seconds: float) -> None:
        """Never yield meanwhile: the whole hub stands still, and only threads go on."""
        self._world.processes[ctx.run.instance].health.freeze(seconds, hub_alone=True)
        gevent.sleep(seconds)

    def _open(self, ctx: JobContext) -> bool:
        """Open the first session; whether what this run is due for has been done already."""
        is_done = self.recover and ctx.run.already_committed
        with ctx.session() as session:
            session.execute(text("SELECT run FROM effects"))
        self._world.watch.opened(ctx.run, is_done if self.recover else None)
        return is_done

    def _write(self, ctx: JobContext) -> None:
        with ctx.session() as session:
            session.execute(text("INSERT INTO effects (run) VALUES (:run)"), {"run": ctx.run.id})
        self._world.watch.committed(ctx.run)


def schedule_of(plan: JobPlan) -> Schedule:
    if not plan.interval:
        return cron("* * * * *")
    if plan.after == "midnight":
        return every(seconds=plan.interval, align=True)
    if plan.after == "finish":
        return every(seconds=plan.interval, after="finish")
    return every_interval(plan.interval)


def _work_carefully(ctx: JobContext, seconds: float) -> None:
    for _ in range(3):
        gevent.sleep(seconds / 3)
        ctx.check()


def _ignore_interrupts(world: World, seconds: float) -> None:
    end = world.time.now + seconds
    while world.time.now < end and not world.is_over:
        try:
            gevent.sleep(max(0.001, end - world.time.now))
        except RunStopped:
            continue
