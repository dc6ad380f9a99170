"""The control stream: which jobs people have touched since an instance last asked."""

from __future__ import annotations

import logging
import re

import pytest

from jobrunner.job import JobDefinition
from jobrunner.store.answers import Status
from jobrunner.store.redis import CONTROL_LENGTH
from tests.support.wait import wait_for

from .controlling import Listener, control, look
from .fleet import Fleet, job

STREAM = "{shop}:control"


@pytest.fixture
def listener(fleet: Fleet) -> Listener:
    """An instance that has begun."""
    listener = Listener(fleet.two)
    listener.listen()
    return listener


def test_who_begins_need_not_look_at_what_was_before(fleet: Fleet, purge: JobDefinition) -> None:
    control(fleet, purge, "reset")
    listener = Listener(fleet.two)

    assert (False, []) == listener.listen()
    assert listener.listen() is None


def test_nothing_is_new(listener: Listener) -> None:
    assert listener.listen() is None


def test_names_are_heard_once_by_each_in_their_order(fleet: Fleet, listener: Listener) -> None:
    other = Listener(fleet.one)
    other.listen()
    for name, what in (("purge", "resume"), ("report", "reset"), ("purge", "resume")):
        control(fleet, job(name), what)

    assert (False, ["purge", "report", "purge"]) == listener.listen()
    assert listener.listen() is None
    assert (False, ["purge", "report", "purge"]) == other.listen()

    control(fleet, job("late"), "resume")
    assert (False, ["late"]) == listener.listen()


def test_what_was_refused_is_not_told(
    fleet: Fleet, listener: Listener, purge: JobDefinition
) -> None:
    control(fleet, purge, "cancel")

    assert listener.listen() is None


def test_the_word_comes_with_an_answer_that_knows_it_already(
    fleet: Fleet, listener: Listener, purge: JobDefinition
) -> None:
    control(fleet, purge, "pause", "-", "")

    touched = look(fleet, purge, fleet.two).touched

    assert touched is not None
    assert "-" == touched.paused


def test_trimmed_past_us_everything_is_to_be_looked_at(
    fleet: Fleet, listener: Listener, purge: JobDefinition
) -> None:
    control(fleet, purge, "resume")
    listener.listen()
    for name in ("a", "b", "c"):
        control(fleet, job(name), "resume")
    fleet.client.xtrim(STREAM, maxlen=2, approximate=False)

    assert (True, []) == listener.listen()
    assert listener.listen() is None
    control(fleet, purge, "resume")
    assert (False, ["purge"]) == listener.listen()


def test_more_than_a_batch_at_once_is_everything(fleet: Fleet, listener: Listener) -> None:
    for number in range(501):
        fleet.client.xadd(STREAM, {"job": f"job-{number}"})

    assert (True, []) == listener.listen()
    assert listener.listen() is None


def test_a_full_batch_is_heard_name_by_name(fleet: Fleet, listener: Listener) -> None:
    for number in range(500):
        fleet.client.xadd(STREAM, {"job": f"job-{number}"})

    assert (False, [f"job-{number}" for number in range(500)]) == listener.listen()


@pytest.mark.parametrize("anew", [False, True])
def test_emptied_everything_is_to_be_looked_at(
    fleet: Fleet, listener: Listener, purge: JobDefinition, anew: bool
) -> None:
    control(fleet, purge, "resume")
    listener.listen()
    (read_ms, _, _) = fleet.client.xinfo_stream(STREAM)["last-generated-id"].partition("-")
    fleet.client.flushdb()
    # Within one millisecond the new stream would begin with the very id of the old one.
    wait_for(lambda: _now_ms(fleet) > int(read_ms))
    if anew:
        control(fleet, purge, "resume")

    assert (True, []) == listener.listen()
    assert listener.listen() is None
    control(fleet, purge, "resume")
    assert (False, ["purge"]) == listener.listen()


def test_emptied_and_begun_anew_by_a_clock_behind_everything_is_to_be_looked_at(
    fleet: Fleet, listener: Listener, purge: JobDefinition
) -> None:
    control(fleet, purge, "resume")
    listener.listen()
    fleet.client.delete(STREAM)
    fleet.client.xadd(STREAM, {"job": "purge"}, id="1-1")

    assert (True, []) == listener.listen()
    assert listener.listen() is None


def test_it_stays_short(fleet: Fleet, purge: JobDefinition) -> None:
    for number in range(2 * CONTROL_LENGTH):
        fleet.client.xadd(STREAM, {"job": f"job-{number}"})

    control(fleet, purge, "resume")

    assert CONTROL_LENGTH <= fleet.client.xlen(STREAM) < 1.5 * CONTROL_LENGTH


class TestAWrongType:
    def test_hinders_no_claim(self, fleet: Fleet, listener: Listener, purge: JobDefinition) -> None:
        fleet.client.set(STREAM, "what is this?")

        assert listener.listen() is None
        assert Status.CLAIMED == fleet.claim(purge, "run-1", store=fleet.two).status

    def test_in_the_place_of_what_was_read_everything_is_to_be_looked_at_once(
        self, fleet: Fleet, listener: Listener, purge: JobDefinition
    ) -> None:
        control(fleet, purge, "resume")
        listener.listen()
        fleet.client.set(STREAM, "what is this?")

        assert (True, []) == listener.listen()
        assert listener.listen() is None

    def test_hinders_no_control_and_is_told(
        self, fleet: Fleet, purge: JobDefinition, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is done already when the stream is to be told: the rolling look hears of it."""
        fleet.client.set(STREAM, "what is this?")

        with caplog.at_level(logging.ERROR, "jobrunner"):
            assert "done" == control(fleet, purge, "trigger", "request-1", "").status

        assert "request-1" == look(fleet, purge).request
        (record,) = caplog.records
        assert re.search(r"'\{shop\}:control'.*WRONGTYPE", record.getMessage())
        assert fleet.one.link.up


def _now_ms(fleet: Fleet) -> int:
    seconds, micros = fleet.client.time()
    return int(seconds) * 1000 + int(micros) // 1000
