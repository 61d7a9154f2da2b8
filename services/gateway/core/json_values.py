"""Decides how a value is shown in JSON, so that nothing is rounded and nothing is refused."""

import math
from base64 import b64encode
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

_INT64 = range(-(2**63), 2**64)


def json_value(value: Any) -> Any:
    """The value as JSON has it.

    Booleans, strings and null stay what they are. Whole numbers stay numbers up to 64 bits and are strings beyond.
    Finite floats stay numbers; NaN and the infinities are the strings "NaN", "Infinity" and "-Infinity". Decimals
    are strings with all their digits. Dates, times and timestamps are ISO 8601 strings, with the offset when the
    timestamp has a zone. UUIDs and addresses are strings, bytes base64. Arrays and tuples become lists, maps
    objects with their keys as strings.
    """
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if value in _INT64 else str(value)
        case float():
            return value if math.isfinite(value) else _not_finite(value)
        case Decimal():
            return format(value, "f") if value.is_finite() else str(value)
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return str(value)
        case bytes():
            return b64encode(value).decode()
        case dict():
            return {_key(key): json_value(item) for key, item in value.items()}
        case list() | tuple() | set():
            return [json_value(item) for item in value]
        case _:
            return str(value)


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _key(key: Any) -> str:
    plain = json_value(key)
    return plain if isinstance(plain, str) else str(plain)
