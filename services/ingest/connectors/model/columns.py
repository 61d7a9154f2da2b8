"""Decides as what a column of a model's result leaves the warehouse, so that every value arrives as it was."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.connector import ReadingFailed

_WRAPPED: Final = re.compile(r"(?:Nullable|LowCardinality)\((.*)\)")
#: What Arrow has no type for, or another than is meant. `{}` stands for the column.
_CASTS: Final = (
    (r"Date", "toDate32({})"),
    (r"DateTime(\(.*\))?", "toDateTime64({}, 6, 'UTC')"),
    (r"DateTime64\(.*\)", "toDateTime64({}, 6, 'UTC')"),
    (r"UInt64", "accurateCast({}, 'Nullable(Int64)')"),
    (r"Interval\w+", "toInt64({})"),
    (r"Enum(8|16)\(.*\)|UUID|IPv4|IPv6|U?Int(128|256)|Decimal\((39|[4-7]\d),.*\)", "toString({})"),
    (r"FixedString\(.*\)", "toString({})"),
    (r"JSON.*|Object\(.*\)|Variant\(.*\)|Dynamic.*", "toJSONString({})"),
)
#: What arrives within others as what it is, or as a number that holds it.
_FINE_WITHIN: Final = ("Date", "UInt64")
#: What does not, and cannot be reached within a map or a tuple.
_ODD: Final = re.compile(
    r"\b(DateTime(?!64)|Interval[A-Z]\w+|Enum8|Enum16|UUID|IPv4|IPv6|U?Int128|U?Int256|FixedString|JSON|Variant|Dynamic)\b"
)
_ARRAY: Final = re.compile(r"Array\((.*)\)")
_NOT_SORTED: Final = re.compile(r"(Map|Array|Tuple|Nested)\(.*\)|Point|Ring|Polygon|MultiPolygon")


@dataclass(frozen=True, slots=True)
class Given:
    """A column of a query's result, with its type in ClickHouse's words."""

    name: str
    type: str


def exported(given: Sequence[Given]) -> str:
    """The SELECT list over a model's result. Columns that begin with an underscore are the platform's own, and left out.

    Errors: ReadingFailed when nothing is left, or a column has no type that can be published.
    """
    kept = [f"{_cast(each)} AS {quoted(each.name)}" for each in given if not each.name.startswith("_")]
    if not kept:
        raise ReadingFailed("the model gives no column: name at least one, without an underscore at its beginning")
    return ", ".join(kept)


def sorted_by(given: Sequence[Given]) -> str:
    """By what the rows of a model are sorted: all columns that have an order, so that the same rows come in the same order."""
    places = [each for each in given if not each.name.startswith("_")]
    return ", ".join(quoted(each.name) for each in places if is_plain(each.type))


def _cast(given: Given) -> str:
    bare, column = bare_type(given.type), f"m.{quoted(given.name)}"
    if bare == "Nothing" or bare.startswith("AggregateFunction"):
        what = "no type" if bare == "Nothing" else "the state of an aggregate for a type"
        raise ReadingFailed(
            f"the model's column {given.name} has {what}: give it one, for example CAST({given.name} AS Nullable(String))"
        )
    return next((cast.format(column) for pattern, cast in _CASTS if re.fullmatch(pattern, bare)), None) or _within(
        given, bare, column, 0
    )


def _within(given: Given, type: str, column: str, depth: int) -> str:
    """An array, each of whose values leaves as one alone would; anything else that holds values as it is, if it may."""
    bare, each = bare_type(type), f"x{depth}"
    if array := _ARRAY.fullmatch(bare):
        inner = _within(given, array[1], each, depth + 1)
        return column if inner == each else f"arrayMap({each} -> {inner}, {column})"
    if depth and bare not in _FINE_WITHIN:
        cast = next((cast.format(column) for pattern, cast in _CASTS if re.fullmatch(pattern, bare)), None)
        if cast is not None:
            return cast
    if "(" in bare and (odd := _ODD.search(bare)):
        raise ReadingFailed(
            f"the model's column {given.name} has values of type {odd[0]} within a {bare.partition('(')[0]}, which would arrive "
            "as something else: give them as text, for example with toString, or as columns of their own"
        )
    return column


def bare_type(type: str) -> str:
    """A type without what only says how it is stored, or that it may be missing."""
    found = _WRAPPED.fullmatch(type)
    return bare_type(found[1]) if found else type


def is_plain(type: str) -> bool:
    """Whether values of a type are one thing each, which has an order."""
    return not _NOT_SORTED.fullmatch(bare_type(type))


def text(value: str) -> str:
    """A text as it stands in a query."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quoted(name: str) -> str:
    """A name as it stands in a query."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def names(given: Sequence[Given]) -> Iterator[str]:
    """The columns that are published."""
    return (each.name for each in given if not each.name.startswith("_"))
