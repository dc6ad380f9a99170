"""The registry: the same job again replaces itself; a different one never takes its place."""

from __future__ import annotations

import pytest

from jobrunner import DuplicateJobError, InvalidJobError, Job, UnknownJobError, every
from jobrunner.job import FunctionJob
from jobrunner.registry import Registry


def purge(ctx: object) -> None: ...


def report(ctx: object) -> None: ...


def job(
    function: object, name: str | None = None, sync_key: str | None = None, seconds: float = 5
) -> FunctionJob:
    return FunctionJob(function, every(seconds=seconds), name=name, sync_key=sync_key)  # type: ignore[arg-type]


@pytest.fixture
def registry() -> Registry:
    return Registry("shop")


def test_it_holds_jobs_by_name_in_their_order(registry: Registry) -> None:
    first, second = registry.register(job(report)), registry.register(job(purge))

    assert ["report", "purge"] == registry.names()
    assert [first, second] == list(registry)
    assert 2 == len(registry)
    assert "purge" in registry
    assert "other" not in registry
    assert second is registry.get("purge")


def test_the_same_function_again_replaces_itself(registry: Registry) -> None:
    registry.register(job(purge, seconds=5))
    registry.register(job(purge, seconds=7))

    assert [every(seconds=7)] == [definition.schedule for definition in registry]


def test_the_same_class_again_replaces_itself(registry: Registry) -> None:
    def make() -> Job:
        class Purge(Job):
            name = "purge"
            interval = 5

            def run(self, ctx: object) -> None: ...

        return Purge()

    registry.register(make())
    second = make()
    registry.register(second)

    assert [second] == [definition.job for definition in registry]


def test_one_function_may_be_several_jobs(registry: Registry) -> None:
    registry.register(job(purge, name="a"))
    registry.register(job(purge, name="b"))

    assert ["a", "b"] == registry.names()


def test_a_different_job_of_the_same_name_is_refused(registry: Registry) -> None:
    first = registry.register(job(purge, name="clean"))

    with pytest.raises(DuplicateJobError) as caught:
        registry.register(job(report, name="clean", sync_key="other"))

    for quoted in ("'clean'", f"{__name__}.report", f"{__name__}.purge", "a different name"):
        assert quoted in str(caught.value)
    assert [first] == list(registry)


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("LAST_RUN", "LAST_RUN", "LAST_RUN"),
        ("LAST_RUN", "{LAST_RUN}:state", "{LAST_RUN}:state"),
        ("LAST_RUN", "{LAST_RUN}:lease", "{LAST_RUN}:lease"),
        ("{LAST_RUN}:history", "LAST_RUN", "{LAST_RUN}:history"),
        ("LAST_RUN", "{LAST_RUN}", "{LAST_RUN}:state"),
        ("{LAST_RUN}", "LAST_RUN", "{LAST_RUN}:state"),
        ("{a}b", "{a}b:state", "{a}b:state"),
    ],
)
def test_a_key_of_another_job_is_refused(
    registry: Registry, first: str, second: str, shared: str
) -> None:
    registry.register(job(purge, sync_key=first))

    with pytest.raises(DuplicateJobError) as caught:
        registry.register(job(report, sync_key=second))

    for quoted in ("'report'", repr(shared), "'purge'", "a different sync_key"):
        assert quoted in str(caught.value)
    assert ["purge"] == registry.names()


@pytest.mark.parametrize("other", ["LAST_RUN:state", "{LAST_RUN}:other"])
def test_a_key_that_only_looks_like_another_job_s_is_its_own(
    registry: Registry, other: str
) -> None:
    registry.register(job(purge, sync_key="LAST_RUN"))
    registry.register(job(report, sync_key=other))

    assert ["purge", "report"] == registry.names()


def test_names_whose_default_keys_meet_are_refused(registry: Registry) -> None:
    registry.register(job(purge, name="purge"))

    with pytest.raises(DuplicateJobError, match=r"\{shop\}:job:purge:state"):
        registry.register(job(report, name="purge:state"))


@pytest.mark.parametrize("kind", ["jobs", "instances", "control"])
def test_a_key_of_the_namespace_is_refused(registry: Registry, kind: str) -> None:
    with pytest.raises(DuplicateJobError) as caught:
        registry.register(job(purge, sync_key=f"{{shop}}:{kind}"))

    assert f"'{{shop}}:{kind}'" in str(caught.value)
    assert "namespace 'shop'" in str(caught.value)
    assert 0 == len(registry)


def test_a_replaced_job_s_keys_are_free_again(registry: Registry) -> None:
    registry.register(job(purge, sync_key="OLD"))
    registry.register(job(purge, sync_key="NEW"))

    registry.register(job(report, sync_key="OLD"))
    with pytest.raises(DuplicateJobError):
        registry.register(job(report, sync_key="NEW"))
    assert ["NEW", "OLD"] == [definition.keys.sync_key for definition in registry]


def test_a_refused_replacement_leaves_the_job_as_it_was(registry: Registry) -> None:
    registry.register(job(purge, sync_key="PURGE"))
    registry.register(job(report, sync_key="REPORT"))

    with pytest.raises(DuplicateJobError):
        registry.register(job(report, sync_key="PURGE"))

    assert "REPORT" == registry.get("report").keys.sync_key
    with pytest.raises(DuplicateJobError):
        registry.register(job(test_names_whose_default_keys_meet_are_refused, sync_key="REPORT"))


def test_every_change_shows_in_the_version_and_nothing_else_does(registry: Registry) -> None:
    versions = [registry.version]
    registry.register(job(purge))
    versions.append(registry.version)
    registry.register(job(purge))
    versions.append(registry.version)
    assert 3 == len(set(versions))

    with pytest.raises(InvalidJobError):
        registry.register(job(report, sync_key="a}b"))
    list(registry), registry.names(), registry.get("purge")
    assert versions[-1] == registry.version


def test_an_unknown_name_is_answered_with_the_nearest_or_all(registry: Registry) -> None:
    registry.register(job(purge, name="purge sessions"))

    with pytest.raises(UnknownJobError, match=r"no job 'purge_session': did you mean 'purge ses"):
        registry.get("purge_session")
    with pytest.raises(UnknownJobError, match=r"did you mean 'purge sessions'"):
        registry.get("PURGE SESSIONS")
    with pytest.raises(UnknownJobError, match=r"no job 'x': known are \['purge sessions'\]"):
        registry.get("x")
    with pytest.raises(UnknownJobError, match=r"no job None"):
        registry.get(None)  # type: ignore[arg-type]


def test_jobs_may_be_registered_while_somebody_goes_through_them(registry: Registry) -> None:
    registry.register(job(purge))

    for _ in registry:
        registry.register(job(report))

    assert ["purge", "report"] == registry.names()
