"""The rules of declared types: what a type is made of fits it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from headrace.contract.fields import FORMATS
from headrace.contract.issue import Issue, Path
from headrace.contract.names import among, closest
from headrace.contract.plain import article, inside, items_of, text_of

MAX_DECIMAL_DIGITS: Final = 38


def properties(fields: Any, path: Path) -> Iterator[Issue]:
    """Every broken rule of declared columns, or of the fields of a struct."""
    seen: dict[str, str] = {}
    for at, field in items_of(fields, path):
        name = text_of(field.get("name"))
        if name is not None:
            if name.startswith("_"):
                yield Issue((*at, "name"), repr(name), "a name without a leading underscore: those are system columns")
            if name.lower() in seen:
                yield Issue((*at, "name"), repr(name), f"a name of its own: {seen[name.lower()]!r} is declared above")
            seen[name.lower()] = name
        yield from type_rules(field, at)


def type_rules(declared: Mapping[str, Any], path: Path) -> Iterator[Issue]:
    """Whether what a type is made of fits its logical type."""
    kind = text_of(declared.get("logicalType"))
    physical = text_of(declared.get("physicalType"))
    if kind is None:
        return
    if (format_ := text_of(inside(declared, "logicalTypeOptions", "format"))) and format_ not in FORMATS.get(kind, ()):
        fitting = FORMATS.get(kind)
        expected = f"{among(fitting)}, the formats of {kind}" if fitting else f"no format: {kind} has none"
        yield Issue((*path, "logicalTypeOptions", "format"), repr(format_), expected, closest(format_, fitting or ()))
    if kind != "timestamp" and inside(declared, "logicalTypeOptions", "timezone") is not None:
        yield Issue(
            (*path, "logicalTypeOptions", "timezone"),
            f"a time zone on {kind}",
            "one only where logicalType is timestamp",
        )
    if physical is not None:
        yield from _physical(kind, physical, (*path, "physicalType"))
    needed = {"array": "items", "map": "map"} | ({"object": "properties"} if physical != "json" else {})
    parts = {"items": "array", "map": "map", "properties": "object"}
    for part, owner in parts.items():
        if declared.get(part) and kind != owner:
            yield Issue((*path, part), f"{part} on {kind}", f"{part} only where logicalType is {owner}")
    if kind in needed and not declared.get(needed[kind]):
        hint = ", or physicalType: json when they are not fixed" if kind == "object" else ""
        yield Issue(path, f"{article(kind)} {kind} without {needed[kind]}", f"{needed[kind]}{hint}")
    if isinstance(items := declared.get("items"), Mapping):
        yield from type_rules(items, (*path, "items"))
    for end in ("key", "value"):
        if isinstance(inner := inside(declared, "map", end), Mapping):
            yield from type_rules(inner, (*path, "map", end))
    yield from properties(declared.get("properties"), (*path, "properties"))


def _physical(kind: str, physical: str, path: Path) -> Iterator[Issue]:
    if physical == "json" and kind != "object":
        yield Issue(path, f"'json' on {kind}", "json only where logicalType is object")
    if physical.startswith("decimal"):
        if kind != "number":
            yield Issue(
                path, f"{physical!r} on {kind}", "a decimal only where logicalType is number", "logicalType: number"
            )
        digits = [
            int(part) for part in physical.removeprefix("decimal").strip("()").split(",") if part.strip().isdigit()
        ]
        if len(digits) == 2 and not (1 <= digits[0] <= MAX_DECIMAL_DIGITS and digits[1] <= digits[0]):
            yield Issue(path, repr(physical), "1 to 38 digits, of which no more than all are decimals")
