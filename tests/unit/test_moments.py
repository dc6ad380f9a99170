"""Moments: what is to be asked about next? Milliseconds in, in any order; no clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobrunner.engine.moments import Moments


class One:
    def __init__(self, name: str) -> None:
        self.name = name
        self.at_ms: int | None = None
        self.is_current = True

    def __repr__(self) -> str:
        return self.name


class TestMoments:
    @pytest.fixture
    def moments(self) -> Moments[One]:
        return Moments()

    def put(self, moments: Moments[One], **at_ms: int) -> list[One]:
        made = [One(name) for name in at_ms]
        for one, moment in zip(made, at_ms.values(), strict=True):
            moments.put(one, moment)
        return made

    def all_taken(self, moments: Moments[One], now_ms: int, most: int = 500) -> Iterator[str]:
        while taken := moments.take(now_ms, most):
            assert all(one.at_ms is None for one in taken)
            yield "".join(one.name for one in taken)

    def test_the_earliest_comes_first_and_of_one_moment_the_first_that_was_put(
        self, moments: Moments[One]
    ) -> None:
        self.put(moments, x=7, a=5, b=9, c=5, d=5)

        assert 5 == moments.next_ms()
        assert ["acd", "x"] == list(self.all_taken(moments, 8))
        assert 9 == moments.next_ms()
        assert ["b"] == list(self.all_taken(moments, 9))
        assert moments.next_ms() is None

    def test_what_is_left_of_a_moment_is_taken_the_next_time(self, moments: Moments[One]) -> None:
        self.put(moments, a=5, b=5, c=5, d=5, e=5)

        assert ["ab", "cd", "e"] == list(self.all_taken(moments, 5, most=2))
        assert 0 == len(moments)

    def test_nothing_is_taken_before_its_moment(self, moments: Moments[One]) -> None:
        self.put(moments, a=5)

        assert [] == moments.take(4, 10)
        assert 5 == moments.next_ms()

    def test_the_moment_that_was_put_last_counts(self, moments: Moments[One]) -> None:
        a, b = self.put(moments, a=5, b=5)
        moments.put(a, 9)

        assert ["b"] == list(self.all_taken(moments, 8))
        assert ["a"] == list(self.all_taken(moments, 9))

        moments.put(b, 20)
        moments.put(b, 10)
        assert 10 == moments.next_ms()
        assert ["b"] == list(self.all_taken(moments, 10))
        assert moments.next_ms() is None, "an old moment came back"

    def test_what_comes_back_to_a_moment_is_taken_once(self, moments: Moments[One]) -> None:
        (a,) = self.put(moments, a=5)
        moments.put(a, 9)
        moments.put(a, 5)

        assert ["a"] == list(self.all_taken(moments, 9))

    def test_what_is_no_more_is_not_taken(self, moments: Moments[One]) -> None:
        a, _, c = self.put(moments, a=5, b=5, c=7)
        a.is_current = c.is_current = False

        assert 5 == moments.next_ms()
        assert ["b"] == list(self.all_taken(moments, 9))
        assert moments.next_ms() is None

    def test_to_see_that_nothing_is_due_it_looks_at_the_earliest_alone(
        self, moments: Moments[One]
    ) -> None:
        for n in range(1000):
            moments.put(One(f"job-{n}"), 1000 + n)

        class Counted(list[int]):
            looked_at = 0

            def __getitem__(self, index: object) -> object:  # type: ignore[override]
                Counted.looked_at += 1
                return super().__getitem__(index)  # type: ignore[index]

            def __iter__(self) -> object:  # type: ignore[override]
                raise AssertionError("it looked at all")

        moments._heap = Counted(moments._heap)

        assert [] == moments.take(999, 500)
        assert 1000 == moments.next_ms()
        assert 0 < Counted.looked_at < 5

    def test_rebuilt_it_keeps_what_counts_alone(self, moments: Moments[One]) -> None:
        a, b, c = self.put(moments, a=5, b=6, c=5)
        for moment in range(100, 200):
            moments.put(b, moment)
        assert 103 == len(moments)
        moments.put(c, 4)

        moments.rebuild([a, b, c])

        assert 3 == len(moments)
        assert ["c", "a", "b"] == list(self.all_taken(moments, 1000))


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.integers(0, 4), st.integers(0, 6)),
            st.tuples(st.just("take"), st.integers(0, 7), st.integers(1, 3)),
            st.tuples(st.just("away"), st.integers(0, 4), st.just(0)),
            st.tuples(st.just("rebuild"), st.just(0), st.just(0)),
        ),
        max_size=40,
    )
)
def test_it_tells_what_a_plain_list_would(steps: list[tuple[str, int, int]]) -> None:
    things, moments = [One(str(n)) for n in range(5)], Moments[One]()
    due: dict[One, int] = {}
    for step, which, how in steps:
        if step == "put" and things[which].is_current:
            moments.put(things[which], how)
            due[things[which]] = how
        elif step == "away":
            things[which].is_current = False
            due.pop(things[which], None)
        elif step == "rebuild":
            moments.rebuild([one for one in things if one.is_current])
        elif step == "take":
            taken = moments.take(which, how)
            come = sorted(moment for moment in due.values() if moment <= which)
            assert len(taken) <= how
            assert bool(taken) == bool(come)
            assert [due.pop(one) for one in taken] == come[: len(taken)]
        assert min(due.values(), default=None) == moments.next_ms()
        assert len(due) <= len(moments)
