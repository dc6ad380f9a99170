"""The policies of a job: one table, held equal to its three faces."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import Any, get_type_hints

import pytest

from jobrunner.errors import InvalidJobError
from jobrunner.job import FunctionJob, Job, JobDefinition
from jobrunner.policies import DEFAULT, Policies, PolicyKeywords
from jobrunner.retry import Retry
from jobrunner.schedules import every


def defined(**policies: Any) -> JobDefinition:
    job = FunctionJob(lambda ctx: None, every(minutes=1), name="purge", **policies)
    return JobDefinition.of(job, "shop")


def test_the_keywords_and_a_job_s_attributes_are_the_policies() -> None:
    names = [spec.name for spec in fields(Policies)]

    assert names == list(get_type_hints(PolicyKeywords))
    assert {spec.name: spec.default for spec in fields(Policies)} == {
        name: getattr(Job, name) for name in names
    }


def test_each_policy_says_what_it_is_and_allows_its_default() -> None:
    for spec in fields(Policies):
        assert spec.metadata["sentence"].endswith(".")
        assert spec.default == spec.metadata["check"](spec.default)


def test_a_job_that_names_none_shares_the_default() -> None:
    assert DEFAULT is defined().policies
    assert DEFAULT is defined(recover=False, timeout=None).policies


def test_what_is_given_is_read() -> None:
    policies = defined(
        timeout=timedelta(minutes=2),
        retry=Retry(),
        instances="web-*",
        tags={"b", "a"},
        spread=True,
        expect=timedelta(days=1),
    ).policies

    assert 120.0 == policies.timeout
    assert Retry() == policies.retry
    assert (("web-*",), ("a", "b")) == (policies.instances, policies.tags)
    assert (True, 86400.0) == (policies.spread, policies.expect)


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ({"recover": 1}, "recover = 1: it must be one of True, False"),
        ({"fenced": "yes"}, "fenced = 'yes': it must be one of True, False, None"),
        ({"retry": 3}, r"retry = 3: it must be a Retry, such as Retry\(attempts=3\)"),
        ({"timeout": 0}, "timeout = 0: it must be from 0.001 seconds"),
        ({"timeout": float("inf")}, "timeout = inf"),
        ({"run_in": "process"}, "run_in = 'process': it must be one of 'greenlet', 'thread'"),
        ({"misfire": "never"}, "misfire = 'never': it must be one of 'once', 'skip', 'all'"),
        ({"grace": -1}, "grace = -1"),
        ({"max_catch_up": 0}, "max_catch_up = 0: it must be a whole number from 1"),
        ({"jitter": "5"}, "jitter = '5': it must be a number of seconds or a timedelta"),
        ({"spread": "wide"}, "spread = 'wide': it must be True, False, a number of seconds"),
        ({"enabled": None}, "enabled = None"),
        ({"when": True}, "when = True: it must be a function without arguments"),
        ({"instances": 5}, "instances = 5: it must be a string, or several"),
        ({"tags": [""]}, r"tags = \[''\]"),
        ({"expect": "1d"}, "expect = '1d'"),
    ],
)
def test_a_wrong_one_is_quoted_with_what_is_allowed(given: dict[str, Any], allowed: str) -> None:
    with pytest.raises(InvalidJobError, match=f"job 'purge' has {allowed}"):
        defined(**given)


def test_a_skip_s_grace_is_a_minute_unless_it_says_so() -> None:
    assert DEFAULT.grace_ms is None
    assert 60_000 == Policies(misfire="skip").grace_ms
    assert 5_000 == Policies(misfire="skip", grace=5).grace_ms
    assert 5_000 == Policies(grace=5).grace_ms


def test_where_a_job_may_run() -> None:
    anywhere, web = Policies(), Policies(instances=("web-*", "report"))
    tagged = Policies(tags=("eu", "big"))

    assert anywhere.may_run_on("db-1", ())
    assert web.may_run_on("web-3", ())
    assert web.may_run_on("db-1", ("report",))
    assert not web.may_run_on("db-1", ("reports",))
    assert tagged.may_run_on("db-1", ("big", "eu", "x"))
    assert not tagged.may_run_on("db-1", ("eu",))


def test_parameters_reach_the_function() -> None:
    seen = []
    job = FunctionJob(
        lambda ctx, tenant: seen.append((ctx, tenant)),
        every(minutes=1),
        name="purge acme",
        parameters={"tenant": "acme"},
    )

    job.run("ctx")  # type: ignore[arg-type]

    assert [("ctx", "acme")] == seen


@pytest.mark.parametrize("parameters", [["acme"], {1: "acme"}, "acme"])
def test_parameters_are_keywords(parameters: Any) -> None:
    with pytest.raises(InvalidJobError, match="job 'purge' has parameters = "):
        defined(parameters=parameters)
