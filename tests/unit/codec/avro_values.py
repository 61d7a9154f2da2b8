"""Every Avro type, with values of it: what any Kafka producer may write."""

import datetime as dt
import decimal
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from hypothesis import strategies as st

Json = Any

# What Arrow's 64-bit counts and Python's datetime both hold.
_INSTANTS = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2250, 1, 1))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@dataclass(frozen=True)
class Typed:
    """An Avro type and a strategy of values as fastavro writes and reads them."""

    avro: Json
    values: st.SearchStrategy[Any]


def _logical(avro: str, logical_type: str, **more: int) -> Json:
    return {"type": avro, "logicalType": logical_type, **more}


def _utc(moment: dt.datetime) -> dt.datetime:
    return moment.replace(tzinfo=dt.UTC)


def _whole_ms(moment: dt.datetime) -> dt.datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _decimals(precision: int, scale: int) -> st.SearchStrategy[decimal.Decimal]:
    bound = 10**precision - 1
    return st.integers(-bound, bound).map(lambda n: decimal.Decimal(n).scaleb(-scale, decimal.Context(prec=100)))


def single_floats() -> st.SearchStrategy[float]:
    return st.floats(width=32)


LEAVES: dict[str, Typed] = {
    "null": Typed("null", st.none()),
    "boolean": Typed("boolean", st.booleans()),
    "int": Typed("int", st.integers(-(2**31), 2**31 - 1)),
    "long": Typed("long", st.integers(-(2**63), 2**63 - 1)),
    "float": Typed("float", single_floats()),
    "double": Typed("double", st.floats()),
    "string": Typed("string", TEXT),
    "bytes": Typed("bytes", st.binary(max_size=12)),
    "fixed": Typed({"type": "fixed", "name": "F", "size": 5}, st.binary(min_size=5, max_size=5)),
    "enum": Typed({"type": "enum", "name": "E", "symbols": ["A", "B", "C"]}, st.sampled_from("ABC")),
    "date": Typed(_logical("int", "date"), st.dates()),
    "time-millis": Typed(
        _logical("int", "time-millis"), st.times().map(lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000))
    ),
    "time-micros": Typed(_logical("long", "time-micros"), st.times()),
    "timestamp-millis": Typed(_logical("long", "timestamp-millis"), _INSTANTS.map(_whole_ms).map(_utc)),
    "timestamp-micros": Typed(_logical("long", "timestamp-micros"), _INSTANTS.map(_utc)),
    "local-timestamp-millis": Typed(_logical("long", "local-timestamp-millis"), _INSTANTS.map(_whole_ms)),
    "local-timestamp-micros": Typed(_logical("long", "local-timestamp-micros"), _INSTANTS),
    "decimal-bytes": Typed(_logical("bytes", "decimal", precision=30, scale=4), _decimals(30, 4)),
    "decimal-wide": Typed(_logical("bytes", "decimal", precision=60, scale=10), _decimals(60, 10)),
    "decimal-fixed": Typed(
        {"type": "fixed", "name": "D", "size": 16, "logicalType": "decimal", "precision": 38, "scale": 9},
        _decimals(38, 9),
    ),
    "uuid": Typed(_logical("string", "uuid"), st.uuids()),
    "unknown-logical": Typed(_logical("long", "nobody-knows"), st.integers(-(2**63), 2**63 - 1)),
}


def types() -> st.SearchStrategy[Typed]:
    """Any Avro type, nested."""
    leaves = st.sampled_from(list(LEAVES.values()))
    return st.recursive(leaves, _nested, max_leaves=6)


def _nested(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    sized = inner.filter(lambda typed: takes_bytes(typed.avro))
    return st.one_of(
        sized.map(array_of),
        inner.map(map_of),
        sized.filter(lambda typed: not isinstance(typed.avro, list)).flatmap(
            lambda typed: st.booleans().map(lambda first: optional(typed, null_first=first))
        ),
        st.lists(inner, min_size=1, max_size=3).map(record_of),
    )


def takes_bytes(avro: Json) -> bool:
    """Whether a value of this type takes at least a byte. Items of an array must."""
    if isinstance(avro, dict) and "fields" in avro:
        return any(takes_bytes(field["type"]) for field in avro["fields"])
    return bool(avro != "null")


def array_of(typed: Typed) -> Typed:
    return Typed({"type": "array", "items": typed.avro}, st.lists(typed.values, max_size=4))


def map_of(typed: Typed) -> Typed:
    return Typed({"type": "map", "values": typed.avro}, st.dictionaries(TEXT, typed.values, max_size=4))


def optional(typed: Typed, null_first: bool = True) -> Typed:
    return Typed(["null", typed.avro] if null_first else [typed.avro, "null"], st.none() | typed.values)


def record_of(members: list[Typed]) -> Typed:
    names = [f"f{position}" for position in range(len(members))]
    fields = [{"name": name, "type": typed.avro} for name, typed in zip(names, members, strict=True)]
    values = st.fixed_dictionaries({name: typed.values for name, typed in zip(names, members, strict=True)})
    return Typed({"type": "record", "name": "R", "fields": fields}, values)


def renamed(avro: Json) -> Json:
    """The type with a name of its own for each named type: a schema may define a name only once."""
    numbers = count()

    def walk(node: Json) -> Json:
        if isinstance(node, list):
            return [walk(branch) for branch in node]
        if not isinstance(node, dict):
            return node
        own: dict[str, Json] = {"name": f"{node['name']}{next(numbers)}"} if "symbols" in node or "size" in node else {}
        if "fields" in node:
            fields = [{**field, "type": walk(field["type"])} for field in node["fields"]]
            own = {"name": f"{node['name']}{next(numbers)}", "fields": fields}
        below = {key: walk(node[key]) for key in ("items", "values") if key in node}
        return {**node, **own, **below}

    return walk(avro)


def without_logical_types(avro: Json) -> Json:
    """The type whose values are the bare primitives."""
    if isinstance(avro, list):
        return [without_logical_types(node) for node in avro]
    if isinstance(avro, dict):
        return {key: without_logical_types(node) for key, node in avro.items() if key != "logicalType"}
    return avro


@st.composite
def batches(draw: Callable[..., Any]) -> tuple[Json, list[dict[str, Any]]]:
    """A record schema and some records of it."""
    top = record_of(draw(st.lists(types(), min_size=1, max_size=4)))
    return renamed(top.avro), draw(st.lists(top.values, min_size=1, max_size=5))


def same(left: Any, right: Any) -> bool:
    """Equality in which NaN equals NaN, 0.0 differs from -0.0, and a map is its pairs."""
    if isinstance(left, float) and isinstance(right, float):
        return (math.isnan(left) and math.isnan(right)) or (left, math.copysign(1, left)) == (
            right,
            math.copysign(1, right),
        )
    if isinstance(left, dict) and isinstance(right, list):
        return same(list(left.items()), right)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)
