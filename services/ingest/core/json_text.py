"""What counts as JSON, and how a value is written back exactly: the grammar of RFC 8259 and no more.

Python's reader takes more than the grammar has (NaN, lone surrogates) and less than it says (the last of two equal keys
wins): what would be lost or cannot be stored is refused here.
"""

import json
from json.encoder import encode_basestring
from typing import Any, Final

#: Deeper values break other readers; nothing that is data is nested like this.
MAX_DEPTH: Final = 128


class Number(float):
    """A number with a fraction or exponent, and how it was written."""

    __slots__ = ("text",)

    text: str

    def __new__(cls, text: str) -> "Number":
        """The nearest double, beside its text."""
        number = super().__new__(cls, text)
        number.text = text
        return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the field {next(name for name in names if names.count(name) > 1)!r} is given twice")
    return found


def _refused(token: str) -> Any:
    raise ValueError(f"{token} is not a JSON number")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refused, parse_float=Number)


def strict_json(text: str) -> Any:
    """The value of a JSON text. Errors: ValueError saying what is wrong (RecursionError is one of the ways to be too deep)."""
    value = _DECODER.decode(text)
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if "\\u" in text or "\\U" in text:
        _encodable(value)
    return value


def _depth(value: Any) -> int:
    """How deep a value is nested, without recursion."""
    deepest, level = 0, [value]
    while level:
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        deepest += 1
    return deepest - 1


def _encodable(value: Any) -> None:
    try:
        json_text(value).encode()
    except UnicodeEncodeError as error:
        raise ValueError("half of a surrogate pair stands alone, which is no character") from error


def json_text(value: Any) -> str:
    """The compact JSON text of a parsed value: numbers as they were written, characters unescaped."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{encode_basestring(name)}:{json_text(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(json_text, value)) + "]"
    if isinstance(value, str):
        return encode_basestring(value)
    return value.text if isinstance(value, Number) else json.dumps(value)
