"""The type map: which ClickHouse type holds the values of which Arrow type.

Both directions are of Arrow: a column of the type chosen here, read back as Arrow, has a type that maps to it
again, so that the table itself says what it holds. `docs/loading.md` shows the map.
"""

from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa

_SCALARS: Final = {
    pa.bool_(): "Bool",
    pa.int8(): "Int8",
    pa.int16(): "Int16",
    pa.int32(): "Int32",
    pa.int64(): "Int64",
    pa.uint8(): "UInt8",
    pa.uint16(): "UInt16",
    pa.uint32(): "UInt32",
    pa.uint64(): "UInt64",
    pa.float16(): "Float32",
    pa.float32(): "Float32",
    pa.float64(): "Float64",
    pa.string(): "String",
    pa.large_string(): "String",
    pa.string_view(): "String",
    pa.binary(): "String",
    pa.large_binary(): "String",
    pa.binary_view(): "String",
    pa.date32(): "Date32",
    pa.date64(): "Date32",
    pa.uuid(): "UUID",
    pa.json_(): "String",  # the exact text: ClickHouse's JSON would reorder keys and drop nulls
    pa.null(): "String",
}
_DIGITS: Final = {"s": "0", "ms": "3", "us": "6", "ns": "9"}

#: ClickHouse has no nullable arrays and maps: a null one is stored empty.
NEVER_NULLABLE: Final = frozenset({"Array", "Map"})


@dataclass(frozen=True, slots=True)
class Type:
    """A ClickHouse type as a tree: `args` are the types inside, `fields` their names in a Tuple, `params` the rest."""

    name: str
    args: tuple["Type", ...] = ()
    fields: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    nullable: bool = False

    def __str__(self) -> str:
        args = [str(arg) for arg in self.args]
        if self.fields:
            args = [f"{quoted(field)} {arg}" for field, arg in zip(self.fields, args, strict=True)]
        inside = ", ".join((*self.params, *args))
        text = f"{self.name}({inside})" if inside or self.name == "Tuple" else self.name
        return f"Nullable({text})" if self.nullable else text

    def optional(self) -> "Type":
        """The type that also holds the lack of a value, as far as there is one."""
        return replace(self, nullable=self.name not in NEVER_NULLABLE)


def of_field(field: pa.Field) -> Type:
    """The ClickHouse type of a column. Errors: ValueError when there is none."""
    found = of_arrow(field.type)
    return found.optional() if field.nullable else found


def of_arrow(arrow: pa.DataType) -> Type:
    """The ClickHouse type of the values of an Arrow type, nulls aside. Errors: ValueError when there is none."""
    kind = pa.types
    if kind.is_dictionary(arrow):
        return of_arrow(arrow.value_type)
    if kind.is_decimal(arrow) and 0 <= arrow.scale <= arrow.precision:
        return Type("Decimal", params=(str(arrow.precision), str(arrow.scale)))
    if kind.is_timestamp(arrow):
        return Type("DateTime64", params=(_DIGITS[arrow.unit], "'UTC'"))
    if kind.is_time(arrow):
        return Type("Time64", params=(_DIGITS[arrow.unit],))
    if kind.is_fixed_size_binary(arrow):
        return Type("FixedString", params=(str(arrow.byte_width),))
    if kind.is_map(arrow):
        return Type("Map", (of_arrow(arrow.key_type), of_field(arrow.item_field)))
    if kind.is_struct(arrow):
        return Type("Tuple", tuple(map(of_field, arrow)), tuple(field.name for field in arrow))
    if kind.is_list(arrow) or kind.is_large_list(arrow) or kind.is_fixed_size_list(arrow):
        return Type("Array", (of_field(arrow.value_field),))
    if kind.is_duration(arrow):
        return Type("Int64")  # a count of the type's unit
    if arrow in _SCALARS:
        return Type(_SCALARS[arrow])
    raise ValueError(f"the warehouse has no type for Arrow's {arrow}")


def quoted(name: str) -> str:
    """A name as a ClickHouse identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def literal(text: str) -> str:
    """A text as a ClickHouse string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
