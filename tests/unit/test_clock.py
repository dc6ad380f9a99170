"""The two clocks: trust seconds that nothing stops, and Redis's time as it is estimated here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import freezegun
import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from jobrunner import clock
from jobrunner.clock import RedisClock, trust_seconds
from tests.support.wait import wait_for

LONG_AGO = datetime(2001, 9, 9)


@contextmanager
def replaced() -> Iterator[None]:
    """The functions of `time` replaced, as a test's monkeypatch does."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("time", "monotonic", "clock_gettime", "time_ns", "monotonic_ns"):
            monkeypatch.setattr(time, name, lambda *clock_id: 1e9)
        yield


STOPPED: list[Callable[[], object]] = [
    replaced,
    lambda: time_machine.travel(LONG_AGO, tick=False),
    lambda: freezegun.freeze_time(LONG_AGO),
]


class TestTrustSeconds:
    @pytest.mark.parametrize("stopped", STOPPED, ids=["monkeypatch", "time-machine", "freezegun"])
    def test_no_test_s_frozen_time_moves_or_stops_it(self, stopped: Callable[[], object]) -> None:
        before = trust_seconds()
        with stopped():  # type: ignore[attr-defined]
            inside = trust_seconds()
            assert 1e9 == time.time() or LONG_AGO.year == datetime.now().year
            wait_for(lambda: trust_seconds() > inside, message="the clock to go on")
        after = trust_seconds()

        assert before <= inside <= after
        assert after - before < 600, "it was moved"

    def test_it_goes_on_while_the_machine_is_suspended(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(time, "CLOCK_BOOTTIME", 77, raising=False)
        monkeypatch.setattr(time, "clock_gettime", lambda clock_id: clock_id * 10.0)

        assert 770.0 == clock._capture_trust_clock()()

    def test_without_that_clock_it_is_the_monotonic_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
        monkeypatch.setattr(time, "CLOCK_MONOTONIC", 5, raising=False)
        monkeypatch.setattr(time, "clock_gettime", lambda clock_id: clock_id * 10.0)
        assert 50.0 == clock._capture_trust_clock()()

        monkeypatch.delattr(time, "clock_gettime")
        assert clock._capture_trust_clock() is time.monotonic


class TestRedisClock:
    def test_before_the_first_answer_the_time_is_not_known(self) -> None:
        assert RedisClock().now_ms() is None
        assert RedisClock().injected_ms() is None

    def test_the_estimate_counts_from_the_sending(self) -> None:
        now = 100.0
        estimate = RedisClock(trust=lambda: now)
        sent_at = now
        now = 100.25  # the answer took a quarter of a second

        estimate.heard(1_700_000_000_000.0, sent_at)

        assert 1_700_000_000_250 == estimate.now_ms()
        now = 160.0
        assert 1_700_000_060_000 == estimate.now_ms()

    def test_what_an_answer_tells_is_as_of_its_question(self) -> None:
        estimate = RedisClock(trust=lambda: 160.0)  # the process stood still for a minute

        estimate.heard(1_700_000_000_000.0, 100.0)

        assert 1_700_000_000_000 == estimate.at_ms(100.0)
        assert RedisClock().at_ms(100.0) is None
        assert 12_500 == RedisClock(lambda: lambda: 12.5).at_ms(100.0)

    def test_the_next_call_is_timed_by_the_one_that_took_least_to_get_there(self) -> None:
        now = 100.0
        estimate = RedisClock(trust=lambda: now)
        estimate.heard(1_700_000_000_000.25, 100.0)  # a quarter of a millisecond, at the most
        now = 100.008
        estimate.heard(1_700_000_000_004.0, 100.0)  # this one took 4 ms to get there

        assert 1_700_000_000_012 == estimate.now_ms()
        # The clocks may have gone apart by 8 microseconds.
        assert 991.742 == pytest.approx(estimate.ms_until(1_700_000_001_000), abs=1e-3)

    def test_that_follows_a_clock_that_goes_a_little_faster(self) -> None:
        now = 100.0
        estimate = RedisClock(trust=lambda: now)
        for second in range(60):
            now = 100.0 + second
            estimate.heard(1_700_000_000_000 + second * 1000.5, now - 0.005)

        assert 465.5 == pytest.approx(estimate.ms_until(1_700_000_059_500), abs=1e-3)

    def test_and_one_that_jumps_as_far_as_an_answer_says_for_sure(self) -> None:
        now = 100.0
        estimate = RedisClock(trust=lambda: now)
        estimate.heard(1_700_000_000_000, 100.0)
        now = 100.25

        estimate.heard(1_700_000_010_000, 100.0)  # read at that time, or up to a quarter later
        assert 250 == pytest.approx(estimate.ms_until(1_700_000_010_250), abs=1e-3)
        estimate.heard(1_600_000_000_000, 100.25)
        assert 250 == pytest.approx(estimate.ms_until(1_600_000_000_250), abs=1e-3)

    def test_whether_a_time_has_come_goes_by_the_answer_that_took_least_to_come_back(self) -> None:
        now = 100.004
        estimate = RedisClock(trust=lambda: now)
        estimate.heard(1_700_000_000_000, 100.0)  # it may have taken 4 ms to come back
        assert 1_700_000_000_000 == estimate.surely_ms()
        now = 100.005
        estimate.heard(1_700_000_000_004.5, 100.0045)  # half a millisecond at the most

        assert 1_700_000_000_004.5 == estimate.surely_ms()
        assert 100.0055 == pytest.approx(estimate.reached_at(1_700_000_000_005), abs=1e-6)
        now = 100.105
        estimate.heard(1_700_000_000_100, 100.0995)  # 5 ms: the one before knew better
        # But the clocks may have gone apart by a tenth of a millisecond.
        assert 1_700_000_000_104.4 == pytest.approx(estimate.surely_ms(), abs=1e-3)

    def test_it_has_not_come_before_the_first_answer_and_has_by_an_injected_clock(self) -> None:
        assert RedisClock().surely_ms() < 0
        assert RedisClock(lambda: lambda: 12.5).surely_ms() > 1e15

    def test_nor_any_more_when_redis_s_clock_went_back(self) -> None:
        estimate = RedisClock(trust=lambda: 100.0)
        estimate.heard(1_700_000_000_000, 100.0)
        estimate.heard(1_600_000_000_000, 100.0)

        assert 1_600_000_000_000 == estimate.surely_ms()

    @given(
        rate=st.floats(0.9991, 1.0009),
        answers=st.lists(st.tuples(*[st.floats(0, 0.01)] * 2, st.floats(0, 3)), min_size=1),
    )
    def test_it_is_never_said_to_have_come_too_early(
        self, rate: float, answers: list[tuple[float, float, float]]
    ) -> None:
        """Whatever the calls and the answers take, and however the two clocks go apart."""
        now = 0.0
        estimate = RedisClock(trust=lambda: now)
        for there, back, pause in answers:
            sent_at = now
            estimate_said = (now + there) * rate * 1000
            now += there + back
            estimate.heard(estimate_said, sent_at)
            assert estimate.surely_ms() <= now * rate * 1000 + 1e-6
            now += pause

    def test_an_answer_to_a_call_that_stood_still_before_it_left_is_as_of_that_answer(self) -> None:
        now = 100.0
        estimate = RedisClock(trust=lambda: now)
        estimate.heard(1_700_000_000_000, 100.0)
        now = 160.0  # the process stood still, and sent it then

        estimate.heard(1_700_000_060_000, 100.0)

        assert 1_700_000_060_000 == estimate.at_ms(100.0)

    def test_the_newest_answer_counts_also_when_redis_s_clock_went_back(self) -> None:
        estimate = RedisClock(trust=lambda: 100.0)
        estimate.heard(1_700_000_000_000.0, 100.0)

        estimate.heard(1_600_000_000_000.0, 100.0)

        assert 1_600_000_000_000 == estimate.now_ms()

    def test_an_injected_clock_rules_from_when_it_is_set_until_it_is_taken_away(self) -> None:
        injected: clock.Clock | None = None
        estimate = RedisClock(lambda: injected, lambda: 100.0)
        estimate.heard(1_700_000_000_000.0, 100.0)

        injected = lambda: 12.5  # noqa: E731
        assert (12_500, 12_500) == (estimate.injected_ms(), estimate.now_ms())
        injected = None
        assert (None, 1_700_000_000_000) == (estimate.injected_ms(), estimate.now_ms())

    @pytest.mark.parametrize("start_ms", [0, 1_000_000, 1_700_000_000_000, -5_000])
    def test_an_injected_clock_s_milliseconds_are_not_cut(self, start_ms: int) -> None:
        """1000.001 * 1000 is 1000000.9999…, and means 1000001."""
        for ms in range(start_ms, start_ms + 2000):
            estimate = RedisClock(lambda ms=ms: lambda: ms / 1000)  # type: ignore[misc]
            assert ms == estimate.injected_ms()
