"""What goes wrong, done to the world."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .plan import OF_A_CALL, Fault

if TYPE_CHECKING:
    from .process import Process
    from .world import World


def plant(world: World, fault: Fault) -> None:
    """Let it happen at its time."""
    if fault.kind == "failover":
        # The replica is behind: it gets what was written until then, and becomes the master.
        def lag() -> None:
            snapshot = world.redis.snapshot()
            world.time.at(fault.at, _fail_over, world, fault, snapshot)

        world.time.at(max(0.0, fault.at - fault.size), lag)
    else:
        world.time.at(fault.at, _happen, world, fault)


def end_all(world: World) -> None:
    """From now on nothing goes wrong: wires are mended, every slot has a process that goes on."""
    world.note("the faults end")
    for process in world.live():
        process.health.recover()
    for slot, process in enumerate(world.serving):
        if process.is_dead or process.drains_since is not None:
            world.start_process(slot)


def _happen(world: World, fault: Fault) -> None:
    world.note("FAULT %s", describe(fault))
    if fault.kind in OF_A_CALL:
        world.serving[fault.slot].health.arm(fault)
    else:
        _DEEDS[fault.kind](world, world.serving[fault.slot], fault)


def describe(fault: Fault) -> str:
    """In words, for the history."""
    words = f"{fault.at:.3f} {fault.kind} at slot {fault.slot}, {fault.size:g}"
    return f"{words}, {fault.how}" if fault.how else words


def _crash(world: World, process: Process, fault: Fault) -> None:
    world.note("%s dies", process)
    process.die()
    _again_later(world, fault)


def _freeze(world: World, process: Process, fault: Fault) -> None:
    process.health.freeze(fault.size)


def _hog(world: World, process: Process, fault: Fault) -> None:
    process.health.freeze(fault.size, hub_alone=True)


def _redis_stalls(world: World, process: Process, fault: Fault) -> None:
    world.stalled_until = max(world.stalled_until, world.time.now + fault.size)


def _cut(world: World, process: Process, fault: Fault) -> None:
    process.health.cut_off(fault.how, fault.size)


def _redis_away(world: World, process: Process, fault: Fault) -> None:
    for every in world.live():
        _cut(world, every, fault)


def _clock_jump(world: World, process: Process, fault: Fault) -> None:
    process.wall_error += fault.size


def _redis_clock(world: World, process: Process, fault: Fault) -> None:
    world.redis.offset += fault.size
    world.watch.clock_jumped(fault.size)


def _data_loss(world: World, process: Process, fault: Fault) -> None:
    world.redis.flush()
    world.watch.data_lost()


def _fail_over(world: World, fault: Fault, snapshot: object) -> None:
    world.note("FAULT %s", describe(fault))
    world.redis.restore(snapshot)
    world.watch.data_lost()


def _script_flush(world: World, process: Process, fault: Fault) -> None:
    world.redis.forget_scripts()


def _drain(world: World, process: Process, fault: Fault) -> None:
    process.drain(fault.size)
    _again_later(world, fault)


def _deploy(world: World, process: Process, fault: Fault) -> None:
    for slot in range(world.plan.slots):
        world.time.at(world.time.now + 0.2 * slot, _replace, world, slot, int(fault.size))


def _replace(world: World, slot: int, version: int) -> None:
    old = world.serving[slot]
    world.start_process(slot, version)
    old.drain(world.plan.lease / 2)


_DEEDS: dict[str, Callable[[World, Process, Fault], None]] = {
    "crash": _crash,
    "freeze": _freeze,
    "hog": _hog,
    "cut": _cut,
    "redis away": _redis_away,
    "redis stalls": _redis_stalls,
    "clock jump": _clock_jump,
    "redis clock": _redis_clock,
    "data loss": _data_loss,
    "script flush": _script_flush,
    "drain": _drain,
    "deploy": _deploy,
}


def _again_later(world: World, fault: Fault) -> None:
    """Another process takes the place, soon; the orchestrator sees to it."""
    later = world.time.now + min(fault.size, world.plan.lease)
    world.time.at(later, _fill, world, fault.slot)


def _fill(world: World, slot: int) -> None:
    process = world.serving[slot]
    if process.is_dead or process.drains_since is not None:
        world.start_process(slot)
