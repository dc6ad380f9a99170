"""The replies of the slots of a Cluster, put together to the answers of one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ..errors import StoreError
from .servers import Reply

T = TypeVar("T")


def values_of(replies: Mapping[int, Reply]) -> dict[int, Any]:
    """The values of the replies; raises when all of them are errors."""
    values = {slot: reply.value for slot, reply in replies.items()}
    errors = [value for value in values.values() if isinstance(value, StoreError)]
    if errors and len(errors) == len(values):
        raise errors[0]
    return values


def in_order(
    groups: Mapping[int, Sequence[int]],
    values: Mapping[int, Any],
    read: Callable[[Sequence[int], Any], Sequence[T | StoreError]],
    number: int,
) -> list[T | StoreError]:
    """The answers of all slots in the order of the questions. `read` makes them of the questions'
    places in one slot and of its value.
    """
    answers: list[Any] = [None] * number
    for slot, indexes in groups.items():
        value = values.get(slot)
        if isinstance(value, StoreError):
            found: Sequence[T | StoreError] = [value] * len(indexes)
        else:
            found = read(indexes, value)
        if len(indexes) == number:
            return list(found)
        for index, answer in zip(indexes, found, strict=True):
            answers[index] = answer
    return answers
