"""Decides how a table follows its rows when their columns change, and what it cannot follow.

A table only ever widens: what it holds already keeps its exact value. Anything else takes a new generation.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from headrace.errors import Fatal
from services.loader.core.types import NEVER_NULLABLE, Type

#: Which numbers a number type holds exactly, besides its own; from the narrowest type to the widest.
_HOLDS: Final = {
    "Int16": {"Int8", "UInt8"},
    "UInt16": {"UInt8"},
    "Int32": {"Int8", "Int16", "UInt8", "UInt16"},
    "UInt32": {"UInt8", "UInt16"},
    "Float32": {"Int8", "Int16", "UInt8", "UInt16"},
    "Int64": {"Int8", "Int16", "Int32", "UInt8", "UInt16", "UInt32"},
    "UInt64": {"UInt8", "UInt16", "UInt32"},
    "Float64": {"Int8", "Int16", "Int32", "UInt8", "UInt16", "UInt32", "Float32"},
}
_MOST_DIGITS: Final = 76


@dataclass(frozen=True, slots=True)
class Evolution:
    """What a table has to do before rows fit: columns to add, and columns to give another type."""

    added: Mapping[str, Type]
    widened: Mapping[str, Type]


def evolve(table: str, held: Mapping[str, Type], rows: Mapping[str, Type], fixed: Collection[str]) -> Evolution:
    """What `table`, which holds columns of these types, has to do for rows of those.

    A column that not every row carries becomes nullable. `fixed` names columns that must stay as they are (a key).
    Errors: Fatal when a column would have to change in a way that is not a widening.
    """
    added = {name: kind.optional() for name, kind in rows.items() if name not in held}
    widened: dict[str, Type] = {}
    for name, before in held.items():
        after = union(before, rows[name]) if name in rows else before.optional()
        if after is None or (after != before and name in fixed):
            raise Fatal(
                f"column {name} of {table} is {before}, its rows are now {rows.get(name, 'without it')}, and the table "
                "cannot follow without changing what it holds; `headrace replay` makes a new generation by it"
            )
        if after != before:
            widened[name] = after
    return Evolution(added, widened)


def union(one: Type, other: Type) -> Type | None:
    """The narrowest type that holds the values of both exactly, or None when there is none."""
    nullable = one.nullable or other.nullable
    if one.name != other.name:
        name = _number(one.name, other.name)
        return Type(name, nullable=nullable) if name else None
    if one.name == "Tuple":
        return _tuple(one, other, nullable)
    if one.name == "Decimal":
        return _decimal(one, other, nullable)
    args = [union(left, right) for left, right in zip(one.args, other.args, strict=True)]
    if one.params != other.params or None in args:
        return None
    return replace(one, args=tuple(arg for arg in args if arg), nullable=nullable and one.name not in NEVER_NULLABLE)


def _number(one: str, other: str) -> str | None:
    return next((name for name, held in _HOLDS.items() if {one, other} <= held | {name}), None)


def _decimal(one: Type, other: Type, nullable: bool) -> Type | None:
    (precision, scale), (other_precision, other_scale) = (map(int, kind.params) for kind in (one, other))
    digits = max(scale, other_scale)
    whole = max(precision - scale, other_precision - other_scale)
    if whole + digits > _MOST_DIGITS:
        return None
    return Type("Decimal", params=(str(whole + digits), str(digits)), nullable=nullable)


def _tuple(one: Type, other: Type, nullable: bool) -> Type | None:
    left, right = (dict(zip(kind.fields, kind.args, strict=True)) for kind in (one, other))
    members: dict[str, Type] = {}
    for name in left | right:
        both = union(left[name], right[name]) if name in left and name in right else (left | right)[name].optional()
        if both is None:
            return None
        members[name] = both
    return Type("Tuple", tuple(members.values()), tuple(members), nullable=nullable)
