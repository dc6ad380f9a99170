"""Stories by hand, of what people ask while something goes wrong, and of what comes too late."""

from __future__ import annotations

import pytest

from jobrunner.run import Outcome

from .plan import Control, Fault, JobPlan, Plan
from .story import tell
from .world import World


def story(job: JobPlan, *controls: Control, faults: tuple[Fault, ...] = ()) -> World:
    """One process and one job; what nobody is told is looked at only when the story is over."""
    plan = Plan(
        seed=2,
        lease=4.0,
        check_interval=0.4,
        resync_interval=400.0,
        slots=1,
        runs_at_once=10,
        quarantine_after=3,
        versions=((job,),),
        faults=faults,
        controls=controls,
        trouble=12.0,
        slow_calls=0,
        slowness=0.002,
    )
    return tell(plan, aloud=True)


def outcomes(world: World) -> list[str | None]:
    return [record.outcome for record in world.watch.runs.values()]


@pytest.mark.parametrize("lost", ["lost request", "lost answer"])
def test_a_cancel_whose_look_is_lost_is_heard_with_the_next_check(lost: str) -> None:
    fault = Fault(4.5, lost, 0, 0.0, "look")

    world = story(
        JobPlan("a", 30.0, manners=("too long",)), Control(4.5, "cancel", "a"), faults=(fault,)
    )

    assert [Outcome.CANCELLED] == outcomes(world)
    assert any("sends look a" in line for line in world.history), "the look was lost"


def test_a_request_is_answered_though_the_job_is_paused() -> None:
    world = story(
        JobPlan("a", 3.0), Control(1.1, "pause", "a"), Control(5.0, "trigger", "a"), faults=()
    )

    first, second = world.watch.runs.values()
    assert ("", "q1") == (first.request, second.request)
    assert [Outcome.SUCCEEDED] * 2 == outcomes(world)


def test_a_job_that_was_reset_is_run_at_once() -> None:
    world = story(JobPlan("a", 30.0), Control(5.0, "reset", "a"))

    first, second = world.watch.runs.values()
    assert first.forgotten
    assert second.kept_at < 5.0 + world.plan.check_interval + 0.01


def test_a_request_that_arrives_twice_is_answered_once() -> None:
    twice = Fault(0.0, "twice", 0, 3.0, "control")

    world = story(JobPlan("a", 30.0), Control(5.0, "trigger", "a", mishap=twice))

    assert ["", "q1"] == [record.request for record in world.watch.runs.values()]


@pytest.mark.parametrize("arrives", ["lost request", "lost answer", "late request"])
def test_a_claim_without_an_answer_is_not_granted_after_the_grace(arrives: str) -> None:
    """Nor is one that arrives when its sender has given it up: nobody would run it."""
    fault = Fault(2.0, arrives, 0, 1.5, "claim")

    world = story(JobPlan("a", 5.0, grace=0.5), faults=(fault,))

    runs = [record for record in world.watch.runs.values() if not record.given_back]
    assert len(runs) > 1
    assert all(record.due is not None for record in runs)
    assert [Outcome.SUCCEEDED] * len(runs) == [record.outcome for record in runs]
    assert any("give back a=" in line for line in world.history)
