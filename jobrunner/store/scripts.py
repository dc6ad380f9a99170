"""The Lua scripts of `lua/`, loaded once, and sent by their digest."""

from __future__ import annotations

import hashlib
from importlib import resources

from .wire import Batch


class Script:
    """One script of `lua/`, with `_state.lua` put in front."""

    def __init__(self, name: str) -> None:
        folder = resources.files(__package__) / "lua"
        shared = (folder / "_state.lua").read_text("utf-8")
        self.source = shared + (folder / f"{name}.lua").read_text("utf-8")
        self.digest = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def command(self, batch: Batch, *, known: bool = True) -> bytes:
        """The command that runs it; the long one where it is not known (yet, or any more), which
        leaves it known.
        """
        return batch.command(*(("EVALSHA", self.digest) if known else ("EVAL", self.source)))


claim = Script("claim")
give_back = Script("give_back")
renew = Script("renew")
finish = Script("finish")
progress = Script("progress")
token = Script("token")
control = Script("control")
prune = Script("prune")
