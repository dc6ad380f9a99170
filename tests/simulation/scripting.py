"""The shipped Lua on fakeredis, without compiling it anew for every call.

fakeredis compiles a script and collects Lua's garbage each time: half a millisecond a call, which
would be nearly all that a simulation does. Here one interpreter serves all simulations of the
process and keeps what it has compiled. Every command of a script is fakeredis's own, and a test
tells the same stories with and without this file.
"""

from __future__ import annotations

import hashlib
from typing import Any

from fakeredis._helpers import SimpleError, SimpleString
from lupa import lua51
from redis.exceptions import NoScriptError, ResponseError

_runtime = lua51.LuaRuntime(encoding=None, unpack_returned_tuples=True)
_table = _runtime.table_from
_is_table = lua51.lua_type
_compiled: dict[str, Any] = {}
#: Who answers `redis.call`; the last one to have run a script.
_speaker: list[Scripting] = []


class Scripting:
    """EVAL and EVALSHA of one fakeredis server, through a connection of it."""

    def __init__(self, server: Any, socket: Any) -> None:
        self._server = server
        self._socket = socket
        self._functions: dict[bytes, tuple[Any, Any]] = {}
        #: By digest; FLUSHALL keeps them, a restart does not.
        self.known: set[str] = set()

    def evalsha(self, digest: str, count: int, *rest: Any) -> Any:
        if digest not in self.known:
            raise NoScriptError("No matching script. Please use EVAL.")
        return self._run(digest, count, rest)

    def eval(self, source: str, count: int, *rest: Any) -> Any:
        digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
        if digest not in _compiled:
            _compiled[digest] = _runtime.compile(source.encode())
        self.known.add(digest)
        return self._run(digest, count, rest)

    def command(self, name: bytes, *arguments: bytes) -> Any:
        """One command, as a script would call it; the server's lock is held."""
        found = self._functions.get(name)
        if found is None:
            found = self._functions[name] = self._socket._name_to_func(name.decode().lower())
        answer = self._socket._run_command(*found, list(arguments), True)
        if isinstance(answer, SimpleError):
            raise answer
        return answer

    def _run(self, digest: str, count: int, rest: tuple[Any, ...]) -> Any:
        words = [word if type(word) is bytes else str(word).encode() for word in rest]
        _speaker[:] = [self]
        _set_words(_table(words[:count]), _table(words[count:]))
        try:
            with self._server.lock:
                answer = _from_lua(_compiled[digest]())
        except (SimpleError, lua51.LuaError) as error:
            raise ResponseError(getattr(error, "value", error)) from None
        if isinstance(answer, Exception):
            raise answer
        return answer


def _call(name: bytes, *arguments: Any) -> Any:
    words = [word if type(word) is bytes else f"{word:.17g}".encode() for word in arguments]
    return _to_lua(_speaker[0].command(name, *words))


def _pcall(name: bytes, *arguments: Any) -> Any:
    try:
        return _call(name, *arguments)
    except SimpleError as error:
        return _table({b"err": error.value.encode()})


_runtime.eval(
    """function(call, pcall)
         redis = { call = call, pcall = pcall }
         redis.error_reply = function(text) return { err = text } end
         redis.status_reply = function(text) return { ok = text } end
       end"""
)(_call, _pcall)
_set_words = _runtime.eval("function(keys, argv) KEYS, ARGV = keys, argv end")


def _to_lua(answer: Any) -> Any:
    if answer is None:
        return False
    if type(answer) in (bytes, int):
        return answer
    if isinstance(answer, list):
        return _table([_to_lua(part) for part in answer])
    if isinstance(answer, SimpleString):
        return _table({b"ok": answer.value})
    raise TypeError(f"a script cannot read {answer!r}")


def _from_lua(answer: Any) -> Any:
    if _is_table(answer) == "table":
        if answer[b"err"] is not None:
            return ResponseError(answer[b"err"].decode())
        if answer[b"ok"] is not None:
            return answer[b"ok"]
        parts: list[Any] = []
        while (part := answer[len(parts) + 1]) is not None:
            parts.append(_from_lua(part))
        return parts
    if isinstance(answer, bool):
        return 1 if answer else None
    return int(answer) if isinstance(answer, float) else answer
