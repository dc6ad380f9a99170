"""What goes wrong with a Redis, in words that say how to mend it."""

from __future__ import annotations

from typing import Any

#: How the text or the type of an error begins, and what a person should know about it.
_MENDS = (
    (
        ("ReadOnlyError", "READONLY"),
        "it is a read-only replica: name the master, or let Sentinels name it (redis+sentinel://)",
    ),
    (
        ("OutOfMemoryError", "OOM"),
        "its memory is full: raise its maxmemory, or remove what other applications left there",
    ),
    (
        ("NoPermissionError", "NOPERM"),
        "this user lacks a right: docs/redis.md shows the rule that it needs",
    ),
    (
        ("AuthenticationError", "WRONGPASS", "NOAUTH"),
        "check user and password in JOBRUNNER_REDIS_URL",
    ),
    (("BusyLoadingError", "LOADING"), "it has just started, and answers when it has read its data"),
    (("NOREPLICAS",), "its min-replicas-to-write is not met: look after its replicas"),
    (("MISCONF",), "it cannot write to its disk, and takes no writes until it can"),
    (("ClusterDownError", "CLUSTERDOWN"), "a slot has no master now"),
)


def explained(error: BaseException) -> str:
    """Type and text of an error, and where it is known what it means, that."""
    cause = error.__cause__ or error
    named = f"{type(cause).__name__}: {cause}"
    words = (type(cause).__name__, str(cause).split(" ", 1)[0], _inner_word(str(cause)))
    for signs, mend in _MENDS:
        if any(word in signs for word in words):
            return f"{named} ({mend})"
    return named


def _inner_word(text: str) -> str:
    """The code of an error that a script met: Redis puts its own words in front of it, or in its
    place.
    """
    if "executing the script can't" in text or "ACL failure in script" in text:
        return "NOPERM"
    codes = (sign for signs, _ in _MENDS for sign in signs if sign.isupper())
    return next((code for code in codes if f"-{code} " in text or f": {code} " in text), "")


def eviction_problem(info: dict[str, Any]) -> str | None:
    """What the server may drop when its memory is full, by INFO memory; None: nothing of ours."""
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy == "noeviction" or not int(info.get("maxmemory", 0) or 0):
        return None
    # Of our keys only the leases have a time to live.
    if policy.startswith("volatile"):
        lost = "leases: a job could run a second time while it runs"
    else:
        lost = "last starts and leases: jobs could run too early, or a second time while they run"
    return (
        f"its maxmemory-policy is {policy}, so when its memory is full it may drop {lost}; "
        f"use noeviction"
    )
