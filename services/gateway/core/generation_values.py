"""Decides what makes two values of a column the same, and how that is put to the warehouse.

A value is the same when it is the same to the last bit, but for these: NULL is NULL, and every NaN is one NaN. So 0.0 and -0.0
differ. Where the generations have another type for a column, its values are compared by what they are worth, as far as there is a
common measure, and by their text else.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

Measure = Literal["value", "number", "float", "moment", "text"]

_NULLABLE: Final = re.compile(r"Nullable\((.*)\)", re.DOTALL)
_LOW: Final = re.compile(r"LowCardinality\((.*)\)", re.DOTALL)
_INTEGER: Final = re.compile(r"U?Int(8|16|32|64|128|256)")
_FLOAT: Final = re.compile(r"Float(32|64)|BFloat16")
_DECIMAL: Final = re.compile(r"Decimal\((\d+), ?(\d+)\)")
_MOMENT: Final = re.compile(r"DateTime(64)?(\(.*\))?")
#: Whose hash is that of what they hold, without a way of saying two things alike.
_PLAIN: Final = re.compile(r"String|FixedString\(\d+\)|Bool|UUID|Date|Date32|IPv[46]")
_NULL_HASH: Final = "toUInt64(11400714819323198485)"  # any number but 0, which adds nothing to a sum
_SHOWN: Final = 200  # characters of a value in a sample


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table in the warehouse, in the engine's words."""

    name: str
    type: str

    @property
    def nullable(self) -> bool:
        return bool(_NULLABLE.fullmatch(_without_dictionary(self.type)))

    @property
    def bare(self) -> str:
        """The type without the lack of a value."""
        inner = _without_dictionary(self.type)
        found = _NULLABLE.fullmatch(inner)
        return found[1] if found else inner

    @property
    def summable(self) -> bool:
        """Whether its values are quantities."""
        return any(kind.fullmatch(self.bare) for kind in (_INTEGER, _FLOAT, _DECIMAL))

    @property
    def exact(self) -> bool:
        """Whether its sum does not depend on the order of rows."""
        return not _FLOAT.fullmatch(self.bare)


def measure(before: Column, after: Column) -> Measure:
    """By what the values of a column of both generations are compared."""
    kinds = (before.bare, after.bare)
    if kinds[0] == kinds[1]:
        return "value"
    if all(_INTEGER.fullmatch(kind) or _DECIMAL.fullmatch(kind) for kind in kinds):
        return "number"
    if before.summable and after.summable:
        return "float"
    if all(_MOMENT.fullmatch(kind) for kind in kinds):
        return "moment"
    return "text"


def hashed(column: Column, by: Measure, table: str) -> str:
    """The hash of a value, 64 bits, never NULL. `table` is the alias of the table."""
    return f"ifNull(xxh3({_measured(column, by, table)}), {_NULL_HASH})"


def hashed_widely(column: Column, by: Measure, table: str) -> str:
    """The hash of a value by which rows are matched: 128 bits, as sixteen bytes."""
    return f"ifNull(sipHash128({_measured(column, by, table)}), toFixedString('', 16))"


def summed(column: Column, value: str) -> str:
    """The sum of values of a column as text: exact where it can be; of floats, the finite ones."""
    if decimal := _DECIMAL.fullmatch(column.bare):
        return f"toString(sum(toDecimal256(ifNull({value}, 0), {decimal[2]})))"
    if _FLOAT.fullmatch(column.bare):
        number = f"ifNull(toFloat64({value}), 0)"
        return f"toString(sumKahanIf({number}, isFinite({number})))"
    return f"toString(sum(toInt256(ifNull({value}, 0))))"


def shown(column: Column, table: str) -> str:
    """A value as a person sees it: text, cut off when it is long; NULL where there is none."""
    return f"leftUTF8(toString({named(column, table)}), {_SHOWN + 1})"


def cut(text: str | None) -> str | None:
    """A shown value, which says whether it goes on."""
    return text if text is None or len(text) <= _SHOWN else text[:_SHOWN] + "…"


def named(column: Column, table: str) -> str:
    """A column in a statement."""
    return f"{table}.{quoted(column.name)}"


def quoted(name: str) -> str:
    """A name as an identifier of the warehouse."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def literal(text: str) -> str:
    """A text as a literal of the warehouse."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _without_dictionary(kind: str) -> str:
    found = _LOW.fullmatch(kind)
    return found[1] if found else kind


def _measured(column: Column, by: Measure, table: str) -> str:
    value = named(column, table)
    match by:
        case "value":
            return _same(column.bare, value)
        case "number" | "text":
            return f"toString({value})"  # of exact numbers: without zeros at the end
        case "float":
            return _same("Float64", f"toFloat64({value})")
        case "moment":
            return f"toDecimal128({value}, 9)"


def _same(bare: str, value: str) -> str:
    """What is hashed. Of a nested value the text: it says where each part ends, and which is NULL."""
    if _FLOAT.fullmatch(bare):
        return f"if(isNaN({value}), nan, {value})"
    known = (_INTEGER, _DECIMAL, _MOMENT, _PLAIN)
    return value if any(kind.fullmatch(bare) for kind in known) else f"toString({value})"
