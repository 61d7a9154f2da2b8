"""Rows of which one in a hundred is bad, in twelve ways by turns, the checks that find them, and how many of each there are."""

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.orders import orders

_EVERY: Final = 100  # one row in so many is bad

#: The column that is spoilt -> with what; the check that finds it.
KINDS: Final[dict[str, tuple[str, Any, dict[str, Any]]]] = {
    "has_email": ("email", None, {"check": "not_null", "column": "email"}),
    "email": ("email", "not an address", {"check": "format", "column": "email", "format": "email"}),
    "status": ("status", "NEW", {"check": "matches", "column": "status", "pattern": "[a-z]+"}),
    "known_status": ("status", "lost", {"check": "in", "column": "status", "values": ["new", "paid", "shipped", "returned"]}),
    "amount": ("amount", 1e9, {"check": "between", "column": "amount", "min": -1, "max": 1000}),
    "currency": ("currency", "XYZ", {"check": "format", "column": "currency", "format": "currency"}),
    "country": ("country", "ZZ", {"check": "format", "column": "country", "format": "country"}),
    "known_country": ("country", "CH", {"check": "references", "column": "country", "dataset": "bench.countries", "to": "code"}),
    "items": ("items", -5, {"check": "expression", "sql": "items >= 0 OR currency IS NULL"}),
    "note": ("note", "x" * 200, {"check": "length", "column": "note", "max": 100}),
    "number": ("code", "12b", {"check": "type", "column": "code", "logicalType": "integer"}),
    "uuid": ("uuid", "no-uuid", {"check": "format", "column": "uuid", "format": "uuid"}),
}  # fmt: skip
CHECKS: Final = [{"name": name, **check} for name, (_, _, check) in KINDS.items()]
COUNTRIES: Final = ("DE", "US", "GB", "JP", "FR", "NL")


def rows(first: int, count: int) -> pa.RecordBatch:
    """Rows `first` to `first + count - 1`. Shapes: `count` rows, orders with a `code` and a `uuid` besides."""
    number = np.arange(first, first + count)
    plain = orders(first, count)
    texts = {
        "code": [str(each) for each in number.tolist()],
        "uuid": [f"{each:08x}-0000-4000-8000-{each:012x}" for each in number.tolist()],
    }
    made: dict[str, pa.Array] = {name: plain.column(name) for name in plain.schema.names}
    made |= {name: pa.array(values) for name, values in texts.items()}
    for kind, (column, value, _) in zip(range(len(KINDS)), KINDS.values(), strict=True):
        spoilt = pa.array(_kind(number) == kind)
        made[column] = pc.if_else(spoilt, pa.scalar(value, made[column].type), made[column])
    return pa.RecordBatch.from_arrays(list(made.values()), names=list(made))


def bad(count: int) -> dict[str, int]:
    """How many of rows 0 to `count - 1` each check finds."""
    found = _kind(np.arange(count))
    return {name: int((found == kind).sum()) for kind, name in enumerate(KINDS)}


def _kind(number: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Which way each row is bad; -1 when it is good."""
    return np.where(number % _EVERY == 0, number // _EVERY % len(KINDS), -1)
