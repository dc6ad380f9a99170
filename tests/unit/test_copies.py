"""Copies are those of `copy.copy`, whatever a user's class does about being copied."""

import copyreg
from abc import ABC
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from jobrunner.copies import shallow_copy


class Plain:
    kind = "plain"

    def __init__(self) -> None:
        self.shared = [1]
        self.number = 2


class Slotted:
    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 2


class PartlySlotted(Slotted):
    def __init__(self) -> None:
        super().__init__()
        self.shared = [1]


class OfAnAbstractClass(ABC):  # noqa: B024
    def __init__(self) -> None:
        self.number = 2


class WithCopy(Plain):
    def __copy__(self) -> "WithCopy":
        made = WithCopy()
        made.number = 99
        return made


class WithState(Plain):
    def __getstate__(self) -> dict[str, Any]:
        return {"number": 99}


class WithSetState(Plain):
    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, number=99)


class WithReduce(Plain):
    def __reduce__(self) -> tuple[Any, ...]:
        return WithReduce, ()


class WithNew(Plain):
    def __new__(cls) -> "WithNew":
        made = super().__new__(cls)
        made.made_by_new = True
        return made


@dataclass(frozen=True)
class Frozen:
    number: int = 2


class AList(list[int]):
    pass


def attributes(thing: Any) -> dict[str, Any]:
    found = dict(getattr(thing, "__dict__", {}))
    if isinstance(thing, Slotted):
        found["number"] = thing.number
    return found


@pytest.mark.parametrize(
    "make", [Plain, Slotted, PartlySlotted, OfAnAbstractClass, WithNew, Frozen, AList]
)
def test_a_copy_has_the_attributes_of_the_original(make: Any) -> None:
    original = make()
    made = shallow_copy(original)

    assert made is not original
    assert type(original) is type(made)
    assert attributes(original) == attributes(made)


def test_what_the_attributes_refer_to_is_shared_and_the_attributes_are_not() -> None:
    original = Plain()
    made = shallow_copy(original)
    made.number = 3
    made.shared.append(2)

    assert (2, [1, 2]) == (original.number, original.shared)


@pytest.mark.parametrize("make", [WithCopy, WithState, WithSetState])
def test_a_class_that_says_how_it_is_copied_is_copied_so(make: Any) -> None:
    assert 99 == shallow_copy(make()).number


def test_a_class_that_reduces_itself_is_made_anew() -> None:
    original = WithReduce()
    original.number = 3
    assert 2 == shallow_copy(original).number


def test_the_items_of_a_container_are_copied() -> None:
    assert [1, 2] == shallow_copy(AList([1, 2]))


@pytest.fixture
def registered() -> Iterator[None]:
    copyreg.pickle(Registered, lambda original: (Registered, (99,)))
    yield
    del copyreg.dispatch_table[Registered]


class Registered:
    def __init__(self, number: int = 2) -> None:
        self.number = number


@pytest.mark.usefixtures("registered")
def test_a_registered_way_of_copying_is_taken() -> None:
    assert 99 == shallow_copy(Registered()).number
