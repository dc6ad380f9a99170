"""What a statement does to its transaction, judged by its text.

It only has to err on one side: what may write counts as a write, and is checked.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache


class Effect(Enum):
    """What a statement does to the transaction it is executed in."""

    READS = "reads"
    #: Writes, or may.
    WRITES = "writes"
    #: Commits it, past the session.
    COMMITS = "commits"
    #: Ends it, or a savepoint, without a trace.
    ROLLS_BACK = "rolls back"


_CHANGING = {"INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "COPY", "TRUNCATE"}
_READING = {
    *("SELECT", "VALUES", "TABLE", "SHOW", "DESCRIBE", "DESC", "SET", "FETCH", "DECLARE"),
    *("SAVEPOINT", "RELEASE", "PRAGMA", "ATTACH", "DETACH", "VACUUM"),
}
#: MariaDB and MySQL commit before each of these, unasked.
_COMMITTING_ON_MYSQL = {
    *("BEGIN", "START", "LOCK", "UNLOCK", "XA"),
    *("ALTER", "CREATE", "DROP", "RENAME", "TRUNCATE", "GRANT", "REVOKE", "INSTALL"),
    *("ANALYZE", "CHECK", "OPTIMIZE", "REPAIR", "FLUSH", "CACHE", "CHANGE", "RESET"),
}
#: Words before a parenthesis that call nothing that writes.
_HARMLESS = {
    *("SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "IN", "EXISTS", "ON", "AS", "JOIN", "USING"),
    *("VALUES", "ANY", "ALL", "SOME", "UNION", "EXCEPT", "INTERSECT", "WITH", "BY", "HAVING"),
    *("OVER", "PARTITION", "WHEN", "THEN", "ELSE", "CASE", "BETWEEN", "LIKE", "DISTINCT", "IS"),
    *("COUNT", "SUM", "MIN", "MAX", "AVG", "COALESCE", "IF", "IFNULL", "NULLIF", "CAST", "CONVERT"),
    *("NOW", "CURRENT_TIMESTAMP", "UTC_TIMESTAMP", "CURDATE", "DATE", "YEAR", "MONTH", "DAY"),
    *("LOWER", "UPPER", "LENGTH", "CHAR_LENGTH", "CONCAT", "SUBSTRING", "TRIM", "REPLACE"),
    *("ABS", "ROUND", "FLOOR", "CEIL", "MOD", "GREATEST", "LEAST", "CHAR", "VARCHAR", "DECIMAL"),
}

_NOT_YET = re.compile(r"(?:\s+|\(|--[^\n]*(?:\n|$)|#[^\n]*(?:\n|$)|/\*.*?\*/)+", re.DOTALL)
_WORDS = re.compile(r"[A-Za-z_]+")
_CHANGE = re.compile(r"\b(?:INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE)
_CALL = re.compile(r"([\w`\"$.]+)\s*\(")
_LATER_COMMIT = re.compile(r";\s*(?:COMMIT|PREPARE\s+TRANSACTION)\b", re.IGNORECASE)
_AUTOCOMMIT = re.compile(r"\bAUTOCOMMIT\b", re.IGNORECASE)


@lru_cache(maxsize=1024)
def effect_of(statement: str, dialect: str) -> Effect:
    """What `statement` does on the database of that SQLAlchemy dialect."""
    on_mysql = dialect in ("mysql", "mariadb")
    first, second = first_words(statement)
    if first == "ROLLBACK" or (first == "XA" and second in ("END", "ROLLBACK")):
        return Effect.ROLLS_BACK
    if first in ("COMMIT", "END") or (first, second) == ("PREPARE", "TRANSACTION"):
        return Effect.COMMITS
    if dialect == "postgresql" and _LATER_COMMIT.search(statement):
        return Effect.COMMITS
    if on_mysql and _commits_on_mysql(first, second, statement):
        return Effect.COMMITS
    if dialect == "postgresql":
        # What it says about its own transaction at the end settles all but the plain cases.
        return Effect.WRITES if first in _CHANGING else Effect.READS
    if first == "WITH" and not _CHANGE.search(statement):
        first = "SELECT"
    if first not in _READING:
        return Effect.WRITES
    # A stored function may write; SQLite has none.
    return Effect.WRITES if on_mysql and _calls_something(statement) else Effect.READS


def first_words(statement: str) -> tuple[str, str]:
    """The first two words, in capitals, past comments and opening parentheses."""
    past = _NOT_YET.match(statement)
    words = _WORDS.finditer(statement, past.end() if past else 0)
    first, second = next(words, None), next(words, None)
    return (first.group().upper() if first else "", second.group().upper() if second else "")


def _commits_on_mysql(first: str, second: str, statement: str) -> bool:
    if first == "SET":
        return _AUTOCOMMIT.search(statement) is not None
    return first in _COMMITTING_ON_MYSQL and second != "TEMPORARY"


def _calls_something(statement: str) -> bool:
    return any(call.group(1).upper() not in _HARMLESS for call in _CALL.finditer(statement))
