"""`JobRunner`: one object beside the application, a state of its own for each application."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest
from flask import Flask, current_app
from sqlalchemy import text

from jobrunner import (
    ConfigurationError,
    DuplicateJobError,
    InvalidJobError,
    Job,
    JobContext,
    JobRunner,
    UnknownJobError,
    every,
)
from jobrunner.hosting.request import StartWithRequest
from jobrunner.runner import AppState


def runner_of(**keywords: Any) -> JobRunner:
    """A runner whose time stands still, on a fakeredis of its own."""
    return JobRunner(redis=fakeredis.FakeRedis(), clock=lambda: 1_700_000_000.0, **keywords)


def note(ran: list[Any]) -> Any:
    """A job's function that notes the application it runs in."""

    def note_app(ctx: JobContext) -> None:
        assert ctx.app is (current_app._get_current_object() if current_app else None)  # type: ignore[attr-defined]
        ran.append(ctx.app and ctx.app.name)

    return note_app


class Other(Job):
    name = "other"
    interval = 60

    def run(self, ctx: JobContext) -> None: ...


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

    @pytest.mark.parametrize("name", ["retry", "timeout", "fenced", "misfire", "quarantine_after"])
    def test_what_does_not_exist_yet_is_not_accepted_and_ignored(self, name: str) -> None:
        with pytest.raises(TypeError, match=name):
            JobRunner(**{name: 1})
        with pytest.raises(TypeError, match=name):
            runner_of().job(every(minutes=1), **{name: 1})

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


class TestContext:
    def test_a_subclass_hands_the_jobs_more(self) -> None:
        class ShopContext(JobContext):
            def __init__(self, prices: dict[str, int]) -> None:
                super().__init__()
                self.prices = prices
                self.seen = 0

        seen: list[ShopContext] = []

        def look(ctx: ShopContext) -> None:
            ctx.seen += 1
            seen.append(ctx)

        prices = {"tea": 3}
        given = ShopContext(prices)
        runner, app = runner_of(context=given), Flask("shop")
        runner.job(every(minutes=1), name="a")(look)
        runner.job(every(minutes=1), name="b")(look)
        runner.init_app(app)

        runner.tick(wait=True)

        assert [ShopContext, ShopContext] == [type(ctx) for ctx in seen]
        assert seen[0] is not seen[1]
        assert [1, 1, 0] == [ctx.seen for ctx in (*seen, given)]
        assert all(ctx.prices is prices and ctx.app is app for ctx in seen)
        assert {"a", "b"} == {ctx.run.job for ctx in seen}
        assert given.app is None

    @pytest.fixture
    def app_with_database(self) -> Iterator[Flask]:
        app = Flask("shop")
        app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
        yield app
        factory = app.extensions["jobrunner"]._context.session_factory
        factory().get_bind().dispose()

    def test_a_session_on_the_application_s_database(self, app_with_database: Flask) -> None:
        found: list[Any] = []

        def ask(ctx: JobContext) -> None:
            with ctx.session() as session:
                found.append(session.execute(text("SELECT 1 + 1")).scalar())

        runner = runner_of()
        runner.job(every(minutes=1))(ask)
        runner.init_app(app_with_database)

        runner.tick(wait=True)

        assert [2] == found

    def test_the_session_factory_that_was_given_goes_first(self) -> None:
        app = Flask("shop")
        app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"

        def factory() -> Any:
            raise NotImplementedError

        seen: list[Any] = []
        runner = runner_of(context=JobContext(session_factory=factory))
        runner.job(every(minutes=1))(lambda ctx: seen.append(ctx.session_factory))
        runner.init_app(app)

        runner.tick(wait=True)

        assert [factory] == seen


class TestStart:
    """Where nothing tells what this process is: under pytest, as under an unknown server."""

    @pytest.fixture
    def started(self, monkeypatch: pytest.MonkeyPatch) -> list[AppState]:
        """The states that were started here, which does nothing else."""
        started: list[AppState] = []
        monkeypatch.setattr(AppState, "start_here", lambda state: started.append(state))
        return started

    @pytest.fixture
    def app(self) -> Flask:
        return Flask("shop")

    def test_an_application_under_test_is_left_alone(
        self, app: Flask, started: list[AppState]
    ) -> None:
        app.testing = True
        wsgi_app = app.wsgi_app

        JobRunner(app, redis=fakeredis.FakeRedis()).start()

        assert wsgi_app == app.wsgi_app
        app.test_client().get("/", environ_overrides={"SERVER_SOFTWARE": "gevent"})
        assert [] == started

    def test_elsewhere_it_starts_with_a_server_s_first_request(
        self, app: Flask, started: list[AppState]
    ) -> None:
        runner = JobRunner(app, redis=fakeredis.FakeRedis())
        assert runner is runner.start()

        assert isinstance(app.wsgi_app, StartWithRequest)
        app.test_client().get("/")
        assert [] == started
        for _ in range(2):
            app.test_client().get("/", environ_overrides={"SERVER_SOFTWARE": "gevent"})
        assert [app.extensions["jobrunner"]] == started

    def test_calling_it_again_changes_nothing(self, app: Flask, started: list[AppState]) -> None:
        runner = JobRunner(app, redis=fakeredis.FakeRedis()).start()
        wsgi_app = app.wsgi_app

        runner.start().start(app)

        assert wsgi_app is app.wsgi_app

    def test_in_a_factory_it_is_the_factory_s_own_application(
        self, started: list[AppState]
    ) -> None:
        runner = JobRunner(redis=fakeredis.FakeRedis(), mode="greenlet")

        def create_app(name: str) -> Flask:
            app = Flask(name)
            runner.init_app(app)
            runner.start()
            return app

        apps = [create_app("shop"), create_app("blog")]
        assert [app.extensions["jobrunner"] for app in apps] == started

    @pytest.mark.parametrize("mode", ["greenlet", "thread"])
    def test_an_explicit_mode_starts_here_and_now(
        self, app: Flask, started: list[AppState], mode: str
    ) -> None:
        app.testing = True

        JobRunner(app, redis=fakeredis.FakeRedis(), mode=mode).start()

        assert [app.extensions["jobrunner"]] == started

    def test_switched_off_it_never_starts(self, app: Flask, started: list[AppState]) -> None:
        wsgi_app = app.wsgi_app
        runner = JobRunner(app, redis=fakeredis.FakeRedis(), enabled=False, mode="greenlet")

        runner.start()

        assert wsgi_app == app.wsgi_app
        assert [] == started
        with pytest.raises(ConfigurationError, match="JOBRUNNER_ENABLED is false"):
            runner.run_jobs()

    def test_switched_off_a_test_may_tick_all_the_same(self, app: Flask) -> None:
        ran: list[str] = []
        runner = runner_of(enabled=False)
        runner.job(every(minutes=1))(note(ran))
        runner.init_app(app)

        runner.tick(wait=True)

        assert ["shop"] == ran

    def test_without_an_application_no_request_will_tell_so_it_starts_at_once(
        self, started: list[AppState]
    ) -> None:
        JobRunner(redis=fakeredis.FakeRedis(), namespace="shop").start()

        assert 1 == len(started)

    def test_stopping_what_never_started_is_nothing(self, app: Flask) -> None:
        assert JobRunner(app, redis=fakeredis.FakeRedis()).stop()
