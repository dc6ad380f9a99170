"""Shallow copies of objects of users' classes, as `copy.copy` makes them and at a part of its cost:
every attempt of a run has a copy of its job and of its context.
"""

from __future__ import annotations

import copy
import copyreg
from functools import lru_cache
from typing import Any, TypeVar

T = TypeVar("T")


def shallow_copy(original: T) -> T:
    """What `copy.copy(original)` returns."""
    cls = type(original)
    if not _is_plain(cls):  # type: ignore[arg-type]
        return copy.copy(original)
    made = object.__new__(cls)
    made.__dict__.update(original.__dict__)
    return made


#: The methods by which a class says how it is copied, as a class without any has them.
_DEFAULTS: dict[str, Any] = {
    name: getattr(object, name, None)
    for name in (
        *("__copy__", "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__"),
        *("__getnewargs__", "__getnewargs_ex__", "__new__"),
    )
}


@lru_cache(maxsize=256)
def _is_plain(cls: type) -> bool:
    """Whether the attributes in its `__dict__` are all there is to an object of the class."""
    return (
        cls.__dictoffset__ != 0
        and cls not in copyreg.dispatch_table
        and all(getattr(cls, name, None) is default for name, default in _DEFAULTS.items())
        and not any(base.__dict__.get("__slots__") for base in cls.__mro__)
    )
