"""The settings: where each comes from, and what each refuses."""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields
from datetime import timedelta
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from jobrunner import ConfigurationError, JobRunner
from jobrunner.settings import PREFIX, Settings, SettingsKeywords, check_keywords

NAMES = [spec.name for spec in fields(Settings)]


def load(
    keywords: Mapping[str, Any] = types.MappingProxyType({}),
    config: Mapping[str, Any] = types.MappingProxyType({}),
    environ: Mapping[str, str] = types.MappingProxyType({}),
    default_namespace: str | None = "shop",
) -> Settings:
    return Settings.load(keywords, config, environ, default_namespace=default_namespace)


class TestWhereTheyComeFrom:
    def test_the_defaults(self) -> None:
        settings = load()

        assert {
            "redis_url": "redis://localhost:6379/0",
            "namespace": "shop",
            "check_interval": 1.0,
            "resync_interval": 60.0,
            "lease": 30.0,
            "max_concurrent_runs": 100,
            "drain_timeout": 25.0,
            "redis_timeout": None,
            "history": 100,
            "enabled": True,
            "mode": "auto",
            "fenced": False,
            "quarantine_after": 3,
            "min_replicas": 0,
            "timezone": "UTC",
            "tags": (),
            "history_age": None,
            "max_traceback": 4000,
            "max_result": 4000,
            "progress_interval": 0.5,
        } == {name: getattr(settings, name) for name in NAMES}
        assert 2.0 == settings.call_timeout

    @pytest.mark.parametrize("name", [name for name in NAMES if name != "namespace"])
    def test_each_default_is_allowed(self, name: str) -> None:
        default = getattr(load(), name)

        assert default == getattr(load({name: default}), name)

    def test_keyword_then_configuration_then_environment(self) -> None:
        keywords = {"lease": 3}
        config = {"JOBRUNNER_LEASE": 4, "OTHER": 1}
        environ = {"JOBRUNNER_LEASE": "5", "LEASE": "6"}

        assert 3.0 == load(keywords, config, environ).lease
        assert 4.0 == load({}, config, environ).lease
        assert 5.0 == load({}, {}, environ).lease
        assert 30.0 == load({}, {}, {"LEASE": "6"}).lease

    def test_an_empty_value_is_a_value(self) -> None:
        config = {"JOBRUNNER_REDIS_TIMEOUT": None, "JOBRUNNER_ENABLED": False}
        environ = {"JOBRUNNER_REDIS_TIMEOUT": "1", "JOBRUNNER_ENABLED": "true"}

        settings = load({}, config, environ)

        assert (None, False) == (settings.redis_timeout, settings.enabled)

    @pytest.mark.parametrize(
        ("key", "text", "expected"),
        [
            ("LEASE", "2.5", 2.5),
            ("HISTORY", "7", 7),
            ("ENABLED", "false", False),
            ("ENABLED", "0", False),
            ("ENABLED", "no", False),
            ("ENABLED", "Off", False),
            ("ENABLED", "1", True),
            ("ENABLED", "YES", True),
            ("MODE", "thread", "thread"),
            ("MODE", '"thread"', "thread"),
            ("NAMESPACE", "my shop", "my shop"),
            ("NAMESPACE", '"123"', "123"),
            ("REDIS_URL", "redis://cache:6379/1", "redis://cache:6379/1"),
            ("REDIS_TIMEOUT", "null", None),
        ],
    )
    def test_the_environment_is_json_or_else_a_string(
        self, key: str, text: str, expected: Any
    ) -> None:
        settings = load({}, {}, {PREFIX + key: text})

        assert expected == getattr(settings, key.lower())

    def test_durations_are_seconds_or_a_timedelta(self) -> None:
        settings = load({"lease": timedelta(minutes=2), "check_interval": timedelta(seconds=0.25)})

        assert (120.0, 0.25) == (settings.lease, settings.check_interval)

    def test_the_namespace_is_the_application_s_name_or_given(self) -> None:
        assert "shop" == load().namespace
        assert "other" == load({"namespace": "other"}).namespace
        with pytest.raises(ConfigurationError, match=r"namespace='…'.*JOBRUNNER_NAMESPACE"):
            load(default_namespace=None)

    def test_an_application_s_name_that_is_no_namespace_is_quoted(self) -> None:
        with pytest.raises(ConfigurationError, match=r"the application's name: '\{shop\}' is not"):
            load(default_namespace="{shop}")

    def test_they_do_not_change(self) -> None:
        with pytest.raises(AttributeError):
            load().lease = 5.0  # type: ignore[misc]


BAD: list[tuple[str, Any, str]] = [
    ("redis_url", "", "a string that is not empty"),
    ("redis_url", 6379, "a string that is not empty"),
    ("namespace", "", "printable string that is not empty"),
    ("namespace", "  ", "printable string that is not empty"),
    ("namespace", "a\nb", "printable string that is not empty"),
    ("namespace", 7, "printable string that is not empty"),
    ("namespace", "{shop}", "a string without braces"),
    ("namespace", "sh}op", "a string without braces"),
    ("check_interval", 0, "from 0.01 to 604800 seconds"),
    ("check_interval", -1, "from 0.01 to 604800 seconds"),
    ("check_interval", float("nan"), "from 0.01 to 604800 seconds"),
    ("check_interval", float("inf"), "from 0.01 to 604800 seconds"),
    ("check_interval", "soon", "a number of seconds or a timedelta"),
    ("check_interval", True, "a number of seconds or a timedelta"),
    ("check_interval", None, "a number of seconds or a timedelta"),
    ("resync_interval", timedelta(0), "from 0.01 to 604800 seconds"),
    ("lease", 0.05, "from 0.1 to 604800 seconds"),
    ("lease", timedelta(days=8), "from 0.1 to 604800 seconds"),
    ("drain_timeout", -1, "from 0 to 604800 seconds"),
    ("redis_timeout", 0, "from 0.01 to 604800 seconds"),
    ("redis_timeout", "fast", "a number of seconds or a timedelta"),
    ("max_concurrent_runs", 0, "a whole number from 1 to 100000"),
    ("max_concurrent_runs", 2.5, "a whole number from 1 to 100000"),
    ("max_concurrent_runs", True, "a whole number from 1 to 100000"),
    ("max_concurrent_runs", "many", "a whole number from 1 to 100000"),
    ("history", 0, "a whole number from 1 to 100000"),
    ("history", 10**9, "a whole number from 1 to 100000"),
    ("enabled", "perhaps", "true or false"),
    ("enabled", 2, "true or false"),
    ("enabled", None, "true or false"),
    ("enabled", [], "true or false"),
    ("mode", "process", "one of 'auto', 'greenlet', 'thread'"),
    ("mode", None, "one of 'auto', 'greenlet', 'thread'"),
    ("mode", ["auto"], "one of 'auto', 'greenlet', 'thread'"),
    ("fenced", "perhaps", "true or false"),
    ("quarantine_after", 0, "a whole number from 1 to 1000"),
    ("min_replicas", -1, "a whole number from 0 to 100"),
    ("min_replicas", True, "a whole number from 0 to 100"),
    ("timezone", "Mars/Olympus", "a name of the tz database"),
    ("timezone", 1, "a name of the tz database"),
    ("tags", 5, "words such as 'web eu'"),
    ("tags", ["web", ""], "words such as 'web eu'"),
    ("history_age", 0, "from 1 to"),
    ("max_traceback", -1, "a whole number from 0"),
    ("max_result", "big", "a whole number from 0"),
    ("progress_interval", 0, "from 0.01"),
]


class TestWhatTheyRefuse:
    @pytest.mark.parametrize(("name", "value", "allowed"), BAD)
    def test_a_bad_value_is_quoted_with_its_key_and_what_is_allowed(
        self, name: str, value: Any, allowed: str
    ) -> None:
        key = PREFIX + name.upper()
        for keywords, config, place in (
            ({name: value}, {}, f"{name}="),
            ({}, {key: value}, f"{key} in the configuration"),
        ):
            with pytest.raises(ConfigurationError) as caught:
                load(keywords, config)
            assert f"{place}: {value!r} is not allowed; it must be " in str(caught.value)
            assert allowed in str(caught.value)

    def test_a_bad_value_of_the_environment_says_so(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            load({}, {}, {"JOBRUNNER_LEASE": "30s"})

        assert "JOBRUNNER_LEASE in the environment: '30s' is not allowed" in str(caught.value)

    def test_each_setting_refuses_something(self) -> None:
        assert set(NAMES) == {name for name, _, _ in BAD}

    def test_the_namespace_is_not_looked_at_before_a_bad_one_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="JOBRUNNER_NAMESPACE in the configuration"):
            load({}, {"JOBRUNNER_NAMESPACE": "{}"})

    def test_a_misspelt_key_of_the_configuration_is_an_error_with_a_suggestion(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            load({}, {"JOBRUNNER_LAESE": 30})

        assert "JOBRUNNER_LAESE = 30" in str(caught.value)
        assert "did you mean JOBRUNNER_LEASE?" in str(caught.value)

    def test_an_unknown_key_is_answered_with_all(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            load({}, {"JOBRUNNER_XYZ": 1})

        for name in NAMES:
            assert PREFIX + name.upper() in str(caught.value)

    def test_an_unknown_keyword_is_a_type_error_with_a_suggestion(self) -> None:
        with pytest.raises(TypeError, match=r"keyword argument 'leese': did you mean 'lease'\?"):
            check_keywords({"leese": 30})
        with pytest.raises(TypeError, match=r"keyword argument 'xyz'; the settings are .*'mode'"):
            check_keywords({"xyz": 30})
        check_keywords({name: object() for name in NAMES})


class TestTheTimeLimitOfACall:
    @pytest.mark.parametrize(
        ("lease", "expected"), [(30, 2.0), (8, 2.0), (4, 1.0), (0.1, 0.025), (3600, 2.0)]
    )
    def test_by_default_two_seconds_or_a_quarter_of_the_lease(
        self, lease: float, expected: float
    ) -> None:
        assert expected == load({"lease": lease}).call_timeout

    def test_given_it_is_what_was_given(self) -> None:
        assert 7.5 == load({"redis_timeout": 7.5}).call_timeout
        assert 0.5 == load({"redis_timeout": timedelta(seconds=0.5)}).call_timeout

    def test_more_than_a_quarter_of_the_lease_is_refused(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            load({"redis_timeout": 1.01, "lease": 4})

        for quoted in ("JOBRUNNER_REDIS_TIMEOUT = 1.01", "JOBRUNNER_LEASE = 4", "at most 1 sec"):
            assert quoted in str(caught.value)
        with pytest.raises(ConfigurationError, match=r"at most 0\.5 seconds"):
            load({}, {"JOBRUNNER_LEASE": 2}, {"JOBRUNNER_REDIS_TIMEOUT": "2"})


class TestOneTable:
    def test_the_keywords_are_the_settings(self) -> None:
        assert NAMES == list(get_type_hints(SettingsKeywords))
        assert frozenset() == SettingsKeywords.__required_keys__

    @pytest.mark.parametrize("spec", fields(Settings), ids=lambda spec: spec.name)
    def test_each_keyword_takes_what_its_setting_is(self, spec: Any) -> None:
        keyword = get_type_hints(SettingsKeywords)[spec.name]
        setting = get_type_hints(Settings)[spec.name]

        expected = alternatives(setting)
        if spec.metadata["unit"] == "seconds":
            expected |= {timedelta}
        assert expected == alternatives(keyword)

    def test_the_keywords_of_the_runner_are_the_settings(self) -> None:
        parameters = inspect.signature(JobRunner).parameters

        assert "Unpack[SettingsKeywords]" == parameters["settings"].annotation
        assert inspect.Parameter.VAR_KEYWORD == parameters["settings"].kind
        assert set() == set(NAMES) & set(parameters)

    @pytest.mark.parametrize("spec", fields(Settings), ids=lambda spec: spec.name)
    def test_each_has_a_unit_a_check_and_a_sentence(self, spec: Any) -> None:
        assert spec.default is not MISSING
        assert spec.metadata["unit"]
        assert callable(spec.metadata["check"])
        assert spec.metadata["sentence"].endswith(".")


def alternatives(hint: Any) -> set[Any]:
    return set(get_args(hint)) if get_origin(hint) is types.UnionType else {hint}
