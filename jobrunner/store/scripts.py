"""The Lua scripts of `lua/`, loaded once, and sent by their digest."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Any, NamedTuple

import redis
from redis.exceptions import NoScriptError


class Batch(NamedTuple):
    """What one execution of a script takes: keys of one slot, and its arguments."""

    keys: list[Any]
    arguments: list[Any]


class Script:
    """One script of `lua/`, with `_state.lua` put in front."""

    def __init__(self, name: str) -> None:
        folder = resources.files(__package__) / "lua"
        shared = (folder / "_state.lua").read_text("utf-8")
        self.source = shared + (folder / f"{name}.lua").read_text("utf-8")
        self._digest = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, client: redis.Redis, keys: list[Any], arguments: list[Any]) -> Any:
        """Run it in one round trip; two when the server does not know it (yet, or any more)."""
        try:
            return client.evalsha(self._digest, len(keys), *keys, *arguments)
        except NoScriptError:
            # Nothing was executed. EVAL runs the script and leaves it known.
            return client.eval(self.source, len(keys), *keys, *arguments)

    def words(self, batch: Batch, *, known: bool = True) -> tuple[Any, ...]:
        """The command that runs it, for a pipeline; the long one where it is not known."""
        command = ("EVALSHA", self._digest) if known else ("EVAL", self.source)
        return (*command, len(batch.keys), *batch.keys, *batch.arguments)


claim = Script("claim")
give_back = Script("give_back")
renew = Script("renew")
finish = Script("finish")
progress = Script("progress")
token = Script("token")
control = Script("control")
prune = Script("prune")
