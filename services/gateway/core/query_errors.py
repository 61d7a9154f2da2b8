"""Decides what is told of an error of the engine to somebody who may not see everything that was read.

The engine's own words have values in them, and the query as it was rewritten: with the conditions of others' grants.
"""

import re
from collections.abc import Collection
from typing import Final

_NAME: Final = re.compile(r"\(([A-Z][A-Z0-9_]+)\)")
_IDENTIFIER: Final = re.compile(r"[Ii]dentifier [`']([^`']+)[`']")
_FUNCTION: Final = re.compile(r"Function with name [`']([^`']+)[`']")
_HINTS: Final = {
    "UNKNOWN_IDENTIFIER": "there is no such column",
    "UNKNOWN_FUNCTION": "there is no such function; letter case matters for most",
    "SYNTAX_ERROR": "it is not valid SQL of ClickHouse",
    "TIMEOUT_EXCEEDED": "it took too long",
    "MEMORY_LIMIT_EXCEEDED": "it needed too much memory",
    "TOO_MANY_ROWS": "it would read too many rows",
    "TOO_MANY_BYTES": "it would read too much",
    "TOO_MANY_ROWS_OR_BYTES": "its result is too large",
}


def told(message: str, code: int | None, words: Collection[str]) -> str:
    """The error by its name, and with a name in it if that stands among the `words` of the query as it was asked."""
    names = _NAME.findall(message)
    name = names[-1] if names else "an error"
    found = _IDENTIFIER.search(message) or _FUNCTION.search(message)
    about = f" ({found[1]})" if found is not None and set(re.split(r"\W+", found[1])) <= {*words} else ""
    hint = f": {_HINTS[name]}{about}" if name in _HINTS else ""
    number = "" if code is None else f", code {code}"
    return (
        f"{name}{number}{hint}. More is not told, as you see a part of what is read: "
        "the engine's own words could have values in them that you do not see"
    )
