"""The keys of a job: one Cluster slot for all of them, or no job."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from redis.crc import key_slot

from jobrunner import InvalidJobError
from jobrunner.keys import FleetKeys, JobKeys, default_sync_key, hash_tag


def slots(keys: tuple[str, ...]) -> set[int]:
    return {key_slot(key.encode()) for key in keys}


@pytest.mark.parametrize(
    ("key", "tag"),
    [
        ("plain", "plain"),
        ("{user1000}.following", "user1000"),
        ("foo{}{bar}", "foo{}{bar}"),
        ("foo{{bar}}zap", "{bar"),
        ("foo{bar}{zap}", "bar"),
        ("foo{bar", "foo{bar"),
        ("foo}bar", "foo}bar"),
        ("}foo{bar}", "bar"),
        ("", ""),
    ],
)
def test_the_tag_is_what_the_cluster_specification_says(key: str, tag: str) -> None:
    assert tag == hash_tag(key)
    assert key_slot(tag.encode()) == key_slot(key.encode())


@pytest.mark.parametrize(
    ("sync_key", "state"),
    [
        ("PURGE_LAST_RUN", "{PURGE_LAST_RUN}:state"),
        ("purge:last run", "{purge:last run}:state"),
        ("{shop}:job:purge", "{shop}:job:purge:state"),
        ("a{b}c", "a{b}c:state"),
        ("{shop}a}b", "{shop}a}b:state"),
        ("foo{bar", "{foo{bar}:state"),
        ("schlüssel", "{schlüssel}:state"),
    ],
)
def test_the_satellites_stand_in_the_slot_of_their_key(sync_key: str, state: str) -> None:
    keys = JobKeys.of(sync_key)

    stem = state.removesuffix("state")
    assert (sync_key, state, f"{stem}lease", f"{stem}history") == keys.all()
    assert 1 == len(slots(keys.all()))


@pytest.mark.parametrize("sync_key", ["a}b", "foo{}bar", "{}", "a{}", "}", "{}x{y}", "}{"])
def test_braces_that_would_part_them_are_refused(sync_key: str) -> None:
    with pytest.raises(InvalidJobError) as caught:
        JobKeys.of(sync_key)

    assert f"sync_key = {sync_key!r}" in str(caught.value)
    assert "leave the braces out" in str(caught.value)


@pytest.mark.parametrize("sync_key", ["", "a\nb", "a\x00b", "\ud800", b"bytes", None, 7])
def test_what_is_no_printable_text_is_refused(sync_key: Any) -> None:
    with pytest.raises(InvalidJobError) as caught:
        JobKeys.of(sync_key)

    assert f"sync_key = {sync_key!r}" in str(caught.value)
    assert "printable string" in str(caught.value)


@settings(derandomize=True, database=None, deadline=None, max_examples=500)
@given(st.text("ab{}:ü ", max_size=9))
@example("a}b")
@example("foo{}bar")
def test_either_all_keys_share_a_slot_or_the_key_is_refused(sync_key: str) -> None:
    try:
        keys = JobKeys.of(sync_key)
    except InvalidJobError:
        assert not sync_key or "}" in sync_key, "only an empty key or a brace is a reason"
        return
    assert sync_key == keys.sync_key
    assert 1 == len(slots(keys.all()))
    assert 4 == len(set(keys.all()))


@settings(derandomize=True, database=None, deadline=None)
@given(st.text("ab{}:ü ", min_size=1, max_size=9))
def test_all_jobs_of_an_application_share_its_slot_whatever_their_names(name: str) -> None:
    keys = JobKeys.of(default_sync_key("shop", name))

    assert slots(FleetKeys.of("shop").all()) == slots(keys.all())


def test_the_default_key_names_namespace_and_job() -> None:
    assert "{shop}:job:purge sessions" == default_sync_key("shop", "purge sessions")


def test_the_namespace_has_keys_of_its_own() -> None:
    kinds = ("jobs", "instances", "control", "hosts")

    assert tuple(f"{{shop}}:{kind}" for kind in kinds) == FleetKeys.of("shop").all()
