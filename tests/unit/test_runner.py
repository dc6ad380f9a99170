"""`JobRunner`: one object beside the application, a state of its own for each application."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import fakeredis
import pytest
from flask import Flask

from jobrunner import (
    ConfigurationError,
    DuplicateJobError,
    InvalidJobError,
    JobContext,
    JobRunner,
    UnknownJobError,
    every,
)
from jobrunner.application import AppState

from .runners import Other, note, runner_of


class TestWhichApplication:
    @pytest.fixture
    def ran(self) -> list[str]:
        return []

    @pytest.fixture
    def runner(self, ran: list[str]) -> JobRunner:
        runner = runner_of()
        runner.job(every(minutes=1))(note(ran))
        return runner

    def test_the_only_one(self, runner: JobRunner, ran: list[str]) -> None:
        app = Flask("shop")
        runner.init_app(app)

        runner.tick(wait=True)

        assert ["shop"] == ran
        assert isinstance(app.extensions["jobrunner"], AppState)

    def test_of_two_it_must_be_said_which(self, runner: JobRunner, ran: list[str]) -> None:
        shop, blog = Flask("shop"), Flask("blog")
        runner.init_app(shop)
        runner.init_app(blog)

        for use in (runner.tick, runner.status, runner.stop, runner.run_jobs):
            with pytest.raises(ConfigurationError, match=r"serves 2 applications.*app=…"):
                use()
        runner.tick(wait=True, app=blog)
        assert ["blog"] == ran
        with shop.app_context():
            runner.tick(wait=True)
        assert ["blog", "shop"] == ran
        with shop.app_context():  # the one that is given goes before the current one
            assert ["note_app"] == [status.name for status in runner.status(app=blog)]
            assert "{blog}:job:note_app" == runner.status(app=blog)[0].sync_key

    def test_by_count_and_not_by_what_was_collected(self, runner: JobRunner) -> None:
        shop = Flask("shop")
        runner.init_app(shop)
        gone = Flask("blog")
        runner.init_app(gone)
        collected = weakref.ref(gone)
        del gone
        gc.collect()

        with pytest.raises(ConfigurationError, match="serves 2 applications"):
            runner.tick()
        assert collected() is None

    def test_one_that_does_not_have_this_runner(self, runner: JobRunner) -> None:
        shop, stranger, blog = Flask("shop"), Flask("stranger"), Flask("blog")
        runner.init_app(shop)
        runner_of().init_app(blog)

        for app in (stranger, blog):
            with pytest.raises(ConfigurationError, match=f"'{app.name}' does not have this job r"):
                runner.tick(app=app)

    def test_another_runner_s_application_around_us_is_not_ours(
        self, runner: JobRunner, ran: list[str]
    ) -> None:
        shop, blog = Flask("shop"), Flask("blog")
        runner.init_app(shop)
        runner_of().init_app(blog)

        with blog.app_context():
            runner.tick(wait=True)

        assert ["shop"] == ran

    def test_a_factory_that_is_called_twice(self, runner: JobRunner, ran: list[str]) -> None:
        """As every test suite does: one runner in a module, an application for each test."""

        def create_app() -> Flask:
            app = Flask("shop")
            app.config["TESTING"] = True
            runner.job(every(minutes=1), name="again")(note(ran))
            runner.init_app(app, jobs=[Other()])
            runner.start()
            return app

        for app in (create_app(), create_app()):
            with app.app_context():
                assert ["note_app", "again", "other"] == [s.name for s in runner.status()]
                runner.tick(wait=True)
        # Two states, and one Redis: what ran in the first is not due in the second.
        assert ["shop", "shop"] == ran

    def test_the_same_application_twice_is_an_error(self, runner: JobRunner) -> None:
        app = Flask("shop")
        runner.init_app(app)

        for again in (runner, runner_of()):
            with pytest.raises(ConfigurationError, match="'shop' has a job runner already"):
                again.init_app(app)

    def test_a_state_goes_with_its_application(self, runner: JobRunner) -> None:
        app = Flask("shop")
        runner.init_app(app)
        state = weakref.ref(app.extensions["jobrunner"])

        del app
        gc.collect()

        assert state() is None
        assert not [value for value in vars(runner).values() if isinstance(value, Flask)]


class TestWithoutFlask:
    def test_it_runs_all_the_same(self) -> None:
        ran: list[Any] = []
        runner = runner_of(namespace="shop")
        runner.job(every(minutes=1))(note(ran))

        runner.tick(wait=True)
        runner.tick(wait=True)

        assert [None] == ran
        assert ["succeeded"] == [str(entry.outcome) for entry in runner.history("note_app")]

    def test_it_needs_a_namespace(self) -> None:
        with pytest.raises(ConfigurationError, match="namespace='…'"):
            runner_of(jobs=[Other()]).tick()

    def test_settings_come_from_keyword_and_environment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("JOBRUNNER_NAMESPACE", "from the environment")

        (status,) = runner_of(jobs=[Other()]).status()

        assert "{from the environment}:job:other" == status.sync_key


class TestJobs:
    @pytest.fixture
    def app(self) -> Flask:
        return Flask("shop")

    def test_the_decorator_returns_the_function_unchanged(self) -> None:
        def purge(ctx: JobContext) -> str:
            return "purged"

        assert purge is runner_of().job(every(minutes=1))(purge)

    def test_jobs_of_the_runner_and_of_one_application(self, app: Flask) -> None:
        runner = runner_of(jobs=[Other()])
        blog = Flask("blog")

        class Own(Other):
            name = "own"

        runner.init_app(app, jobs=[Own()])
        runner.init_app(blog)

        assert ["other", "own"] == [status.name for status in runner.status(app=app)]
        assert ["other"] == [status.name for status in runner.status(app=blog)]

    def test_all_in_one(self, app: Flask) -> None:
        app.testing = True
        runner = JobRunner(app, redis=fakeredis.FakeRedis(), jobs=[Other()]).start()

        assert ["other"] == [status.name for status in runner.status()]

    def test_a_job_registered_late_reaches_every_application_and_runs(self, app: Flask) -> None:
        ran: list[str] = []
        runner, blog = runner_of(), Flask("blog")
        for late in (app, blog):
            runner.init_app(late)
            runner.tick(wait=True, app=late)

        runner.job(every(minutes=1))(note(ran))
        for late in (app, blog):
            runner.tick(wait=True, app=late)

        assert ["shop", "blog"] == ran

    def test_a_bad_job_is_an_error_when_it_is_registered(self, app: Flask) -> None:
        runner = runner_of()
        with pytest.raises(InvalidJobError, match="Other is a class"):
            runner.register(Other)  # type: ignore[arg-type]
        runner.register(Other())

        class Different(Other): ...

        with pytest.raises(DuplicateJobError, match="'other'"):
            runner.register(Different())
        with pytest.raises(DuplicateJobError, match="'other'"):
            runner.init_app(app, jobs=[Different()])
        # Nothing is half done: the application may be given another runner.
        assert "jobrunner" not in app.extensions
        runner.init_app(app)

    def test_a_key_of_the_namespace_is_an_error_once_that_is_known(self, app: Flask) -> None:
        class Grabbing(Other):
            sync_key = "{shop}:jobs"

        with pytest.raises(DuplicateJobError, match="namespace 'shop' itself"):
            runner_of(jobs=[Grabbing()]).init_app(app)

    def test_an_unknown_name_is_an_error(self, app: Flask) -> None:
        runner = runner_of(jobs=[Other()])
        runner.init_app(app)

        with pytest.raises(UnknownJobError, match="did you mean 'other'"):
            runner.history("othr")


class TestSettings:
    def test_an_unknown_keyword_is_a_type_error(self) -> None:
        with pytest.raises(TypeError, match=r"unexpected keyword argument 'leese'.*'lease'"):
            JobRunner(leese=30)  # type: ignore[call-arg]

    def test_a_policy_is_no_setting_and_a_setting_no_policy(self) -> None:
        with pytest.raises(TypeError, match="misfire"):
            JobRunner(misfire="skip")  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="lease"):
            runner_of().job(every(minutes=1), lease=30)  # type: ignore[call-arg]

    def test_an_unknown_policy_is_a_type_error_that_suggests_one(self) -> None:
        with pytest.raises(TypeError, match=r"'timeot': did you mean 'timeout'"):
            runner_of().job(every(minutes=1), timeot=30)  # type: ignore[call-arg]

    def test_a_bad_setting_is_an_error_at_init_app(self) -> None:
        app = Flask("shop")
        app.config["JOBRUNNER_LEASE"] = "long"

        with pytest.raises(ConfigurationError, match="JOBRUNNER_LEASE in the configuration: 'lo"):
            runner_of().init_app(app)
        assert "jobrunner" not in app.extensions

    def test_the_keyword_goes_before_the_configuration(self) -> None:
        app = Flask("shop")
        app.config["JOBRUNNER_NAMESPACE"] = "from the configuration"
        runner = runner_of(jobs=[Other()], namespace="from the keyword")
        runner.init_app(app)

        assert "{from the keyword}:job:other" == runner.status()[0].sync_key

    def test_a_bad_url_is_an_error_at_init_app(self) -> None:
        with pytest.raises(ConfigurationError, match="JOBRUNNER_REDIS_URL = 'http://cache'"):
            JobRunner(Flask("shop"), redis_url="http://cache")

    def test_a_client_that_is_none_is_an_error_at_init_app(self) -> None:
        with pytest.raises(ConfigurationError, match="redis='redis://cache'"):
            JobRunner(Flask("shop"), redis="redis://cache")  # type: ignore[arg-type]

    @pytest.mark.parametrize("context", [JobContext, "context", object()])
    def test_a_context_that_is_none_is_an_error(self, context: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"must be a JobContext, such as JobContext\("):
            JobRunner(context=context)
