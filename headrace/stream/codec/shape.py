"""What an Avro schema means in Arrow: a tree of shapes, each with a plain Avro spelling of the same bytes.

The plain spelling has named types inlined, logical types dropped and int read as long, so that a decoder
needs to know very little; `walk` turns what it yields into the real Arrow types.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import pyarrow as pa

from headrace.stream.codec.arrow import DataType, Json
from headrace.stream.codec.leaves import Leaf, fixed, primitive
from headrace.stream.codec.names import ORIGINAL

_PRIMITIVES: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_MAX_DEPTH: Final = 100  # what every decoder and Arrow itself take in their stride
_MAX_NODES: Final = 10_000  # a schema that refers to its types again and again grows exponentially when inlined


@dataclass(frozen=True, slots=True)
class ListOf:
    item: "Slot"
    avro: Json
    plain: DataType
    arrow: DataType


@dataclass(frozen=True, slots=True)
class MapOf:
    """A map. One with keys that are not strings is written as an array of entries."""

    key: "Slot"
    value: "Slot"
    avro: Json
    plain: DataType
    arrow: DataType


@dataclass(frozen=True, slots=True)
class StructOf:
    """A record; or a union of several types, as a struct with one member set."""

    members: tuple["Member", ...]
    avro: Json
    plain: DataType
    arrow: DataType
    union: bool = False

    @property
    def carried(self) -> tuple["Member", ...]:
        return tuple(member for member in self.members if member.carried)


@dataclass(frozen=True, slots=True)
class Again:
    """A reference to a record that encloses it: Arrow has no such type, so the value is JSON text."""

    record: str  # plain name of that record
    avro: Json
    plain: DataType = field(default_factory=pa.string)
    arrow: DataType = field(default_factory=pa.json_)


Shape = Leaf | ListOf | MapOf | StructOf | Again


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a value. `avro` is the shape's plain spelling, inside its union where it has one."""

    shape: Shape
    nullable: bool
    avro: Json


@dataclass(frozen=True, slots=True)
class Member:
    """A named slot: `avro_name` in the bytes, `name` in Arrow."""

    name: str
    avro_name: str
    slot: Slot

    @property
    def carried(self) -> bool:
        """Whether it takes any bytes. One of type null does not, and is left out of the plain spelling."""
        return bool(self.slot.avro != "null")


@dataclass(slots=True)
class _Context:
    named: dict[str, tuple[Json, str]] = field(default_factory=dict)  # full name -> definition, its namespace
    open: dict[str, str] = field(default_factory=dict)  # full name -> plain name, of the records being read
    numbers: Iterator[int] = field(default_factory=count)
    depth: int = 0

    def fresh(self, prefix: str) -> str:
        """A plain name not used yet. Errors: ValueError when the schema has grown too big."""
        number = next(self.numbers)
        if number > _MAX_NODES:
            raise ValueError(f"the schema has more than {_MAX_NODES} types once its references are followed")
        return f"{prefix}{number}"


def shape_of(avro: str) -> StructOf:
    """The shape of an Avro schema; a schema that is not a record becomes one with the single field `value`.

    Errors: ValueError saying what is wrong with the schema.
    """
    try:
        document = json.loads(avro)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not an Avro schema: {error}") from error
    context = _Context()
    try:
        top = _shape(document, "", context)
    except KeyError as error:
        raise ValueError(f"not an Avro schema: {error.args[0]!r} is missing or unknown") from error
    except (TypeError, AttributeError) as error:
        raise ValueError(f"not an Avro schema: {error}") from error
    if isinstance(top, Slot):
        return _record((Member("value", "value", top),), context.fresh("r"))
    if isinstance(top, StructOf):
        if not top.members:
            raise ValueError("the schema has no fields")
        return top
    return _record((Member("value", "value", Slot(top, _is_null(top), top.avro)),), context.fresh("r"))


def _slot(avro: Json, namespace: str, context: _Context) -> Slot:
    shape = _shape(avro, namespace, context)
    return shape if isinstance(shape, Slot) else Slot(shape, _is_null(shape), shape.avro)


def _is_null(shape: Shape) -> bool:
    return bool(pa.types.is_null(shape.arrow))


def _shape(avro: Json, namespace: str, context: _Context) -> Shape | Slot:
    context.depth += 1
    if context.depth > _MAX_DEPTH:
        raise ValueError(f"the schema is nested deeper than {_MAX_DEPTH} levels")
    try:
        if isinstance(avro, list):
            return _union(avro, namespace, context)
        if isinstance(avro, str):
            return primitive(avro, {}) if avro in _PRIMITIVES else _reference(avro, namespace, context)
        if isinstance(avro, dict):
            return _complex(avro, namespace, context)
        raise ValueError(f"not an Avro schema: {avro!r}")
    finally:
        context.depth -= 1


def _complex(avro: Mapping[str, Json], namespace: str, context: _Context) -> Shape | Slot:
    kind = avro["type"]
    if not isinstance(kind, str):
        return _shape(kind, namespace, context)
    if kind in _PRIMITIVES:
        return primitive(kind, dict(avro))
    if kind == "array":
        return _array(avro, namespace, context)
    if kind == "map":
        return _map(avro, namespace, context)
    if kind in ("record", "error", "enum", "fixed"):
        full_name = _full_name(avro["name"], avro.get("namespace", namespace))
        context.named[full_name] = (avro, full_name.rpartition(".")[0])
        return _named(full_name, context)
    return _reference(kind, namespace, context)


def _full_name(name: str, namespace: str | None) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"


def _reference(name: str, namespace: str, context: _Context) -> Shape:
    full_name = _full_name(name, namespace)
    return _named(full_name if full_name in context.named else name, context)


def _named(full_name: str, context: _Context) -> Shape:
    avro, namespace = context.named[full_name]
    if full_name in context.open:
        return Again(context.open[full_name], context.open[full_name])
    if avro["type"] == "enum":
        text = pa.string()
        return Leaf({"type": "enum", "name": context.fresh("e"), "symbols": avro["symbols"]}, text, text)
    if avro["type"] == "fixed":
        return fixed({"type": "fixed", "name": context.fresh("f"), "size": avro["size"]}, dict(avro))
    name = context.open[full_name] = context.fresh("r")
    members = tuple(
        Member(entry.get(ORIGINAL, entry["name"]), entry["name"], _slot(entry["type"], namespace, context))
        for entry in avro["fields"]
    )
    del context.open[full_name]
    return _record(members, name)


def _record(members: tuple[Member, ...], name: str) -> StructOf:
    fields = [{"name": member.avro_name, "type": member.slot.avro} for member in members if member.carried]
    return StructOf(members, {"type": "record", "name": name, "fields": fields}, *_structs(members))


def _structs(members: tuple[Member, ...]) -> tuple[DataType, DataType]:
    plain = pa.struct([pa.field(member.avro_name, member.slot.shape.plain) for member in members if member.carried])
    return plain, pa.struct([arrow_field(member) for member in members])


def arrow_field(member: Member) -> pa.Field:
    """The Arrow field of a member."""
    return pa.field(member.name, member.slot.shape.arrow, nullable=member.slot.nullable)


def _array(avro: Mapping[str, Json], namespace: str, context: _Context) -> ListOf | MapOf:
    item = _slot(avro["items"], namespace, context)
    if _is_empty(item):
        raise ValueError("an array whose items take no bytes: a corrupt length could ask for any number of them")
    spelt = {"type": "array", "items": item.avro}
    plain = pa.list_(item.shape.plain)
    entry = item.shape
    if avro.get("logicalType") == "map" and isinstance(entry, StructOf) and len(entry.members) == 2:
        key, value = (member.slot for member in entry.members)
        if not key.nullable:
            return MapOf(key, value, spelt, plain, _map_type(key, value))
    return ListOf(item, spelt, plain, pa.list_(pa.field("item", item.shape.arrow, nullable=item.nullable)))


def _is_empty(slot: Slot) -> bool:
    """Whether values of this slot take no bytes at all."""
    if isinstance(slot.avro, list):
        return False
    shape = slot.shape
    if isinstance(shape, StructOf):
        return all(_is_empty(member.slot) for member in shape.members)
    return shape.avro == "null" or (isinstance(shape.avro, dict) and shape.avro.get("size") == 0)


def _map(avro: Mapping[str, Json], namespace: str, context: _Context) -> MapOf:
    key = Slot(primitive("string", {}), False, "string")
    value = _slot(avro["values"], namespace, context)
    plain = pa.map_(pa.string(), value.shape.plain)
    return MapOf(key, value, {"type": "map", "values": value.avro}, plain, _map_type(key, value))


def _map_type(key: Slot, value: Slot) -> DataType:
    return pa.map_(key.shape.arrow, pa.field("value", value.shape.arrow, nullable=value.nullable))


def _union(branches: list[Json], namespace: str, context: _Context) -> Slot:
    slots = [_shape(branch, namespace, context) for branch in branches]
    shapes = [shape for shape in slots if not isinstance(shape, Slot)]
    if len(shapes) < len(slots):
        raise ValueError("not an Avro schema: a union directly inside a union")
    present = [shape for shape in shapes if not _is_null(shape)]
    nullable = len(present) < len(shapes)
    if not shapes:
        raise ValueError("not an Avro schema: a union of nothing")
    if len(present) < 2:
        return Slot((present or shapes)[0], nullable, [shape.avro for shape in shapes])
    members: list[Member] = []
    spelt: list[Json] = []
    for shape, branch in zip(shapes, branches, strict=True):
        if _is_null(shape):
            spelt.append("null")
            continue
        # Each branch becomes a record of one field, which has the same bytes, so that its name tells the branch.
        name = context.fresh("u")
        spelt.append({"type": "record", "name": name, "fields": [{"name": "v", "type": shape.avro}]})
        members.append(Member(_branch_name(branch), name, Slot(shape, True, shape.avro)))
    distinct = _distinct(members)
    return Slot(StructOf(distinct, spelt, *_structs(distinct), union=True), nullable, spelt)


def _branch_name(branch: Json) -> str:
    name: str = branch if isinstance(branch, str) else branch.get("name", branch["type"])
    return name.rpartition(".")[2]


def _distinct(members: list[Member]) -> tuple[Member, ...]:
    names = [member.name for member in members]
    return tuple(
        member if names.count(member.name) == 1 else Member(f"{member.name}_{position}", member.avro_name, member.slot)
        for position, member in enumerate(members)
    )
