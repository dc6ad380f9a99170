"""Which announced jobs may go, and what goes with them."""

from __future__ import annotations

from jobrunner.engine.prune import judged, refusal
from jobrunner.keys import JobKeys
from jobrunner.store.leftovers import Announced


def announced(
    sync_key: str | None = "OLD", instances: tuple[str, ...] = ("zero", "one")
) -> Announced:
    keys = None if sync_key is None else JobKeys.of(sync_key)
    return Announced(b"old", "old", keys, "shop.jobs.old", instances)


def test_what_a_live_instance_announced_stays() -> None:
    assert "the live instance one announced it" == refusal(announced(), (), {"one"})
    assert refusal(announced(), (), {"two"}) is None
    assert refusal(announced(instances=()), (), {"two"}) is None


def test_what_a_live_instance_ran_stays() -> None:
    why = refusal(announced(), {"three", "two", "four"}, {"two", "three"})

    assert "the live instance three has run it" == why
    assert refusal(announced(), {"four"}, {"two"}) is None


def test_what_nobody_knows_goes_with_its_keys() -> None:
    one = judged(announced(), None, {"{shop}:jobs": "the namespace"})

    assert (JobKeys.of("OLD"), None, None) == (one.keys, one.refusal, one.note)


def test_keys_of_another_job_stay_though_the_definition_goes() -> None:
    """A job that was renamed, and kept its key."""
    for key in JobKeys.of("OLD").all():
        one = judged(announced(), None, {key: "'new'"})

        assert (None, None) == (one.keys, one.refusal)
        assert "its keys are those of 'new', and stay" == one.note


def test_of_a_definition_that_cannot_be_read_the_keys_are_not_known() -> None:
    one = judged(announced(sync_key=None), None, {})

    assert (None, None) == (one.keys, one.refusal)
    assert "cannot be read" in str(one.note)


def test_what_must_stay_says_why() -> None:
    one = judged(announced(), "it lives", {})

    assert (None, "it lives") == (one.keys, one.refusal)
