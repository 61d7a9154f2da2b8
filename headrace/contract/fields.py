"""How a column is declared, in the words of the Open Data Contract Standard v3.

The standard's `logicalType` says what a value means; where that is too coarse, `logicalTypeOptions` and
`physicalType` say how it is stored (a decimal is a `number` whose physical type is `decimal(12, 2)`).
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, StringConstraints
from pydantic import Field as Setting

from headrace.contract.section import Section

LogicalType = Literal[
    "string", "integer", "number", "boolean", "date", "timestamp", "time", "object", "array", "map"
]  # fmt: skip
Format = Literal["i32", "i64", "f32", "f64", "uuid", "binary", "email", "uri", "hostname", "ipv4", "ipv6"]


def _today(word: Any) -> Any:
    """The present word for what the first version of the dataset file called otherwise."""
    return {"additive": "evolve", "strict": "quarantine"}.get(word, word) if isinstance(word, str) else word


Evolution = Annotated[Literal["evolve", "freeze", "discard", "quarantine"], BeforeValidator(_today)]
Classification = Literal["public", "internal", "confidential", "restricted"]

#: Which formats a logical type can have; the others have none.
FORMATS: Final[dict[str, tuple[str, ...]]] = {
    "integer": ("i32", "i64"),
    "number": ("f32", "f64"),
    "string": ("uuid", "binary", "email", "uri", "hostname", "ipv4", "ipv6"),
}

ColumnName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
PhysicalType = Annotated[str, StringConstraints(pattern=r"^(json|decimal\([0-9]{1,2}, ?[0-9]{1,2}\))$")]


class TypeOptions(Section):
    """What narrows a logical type."""

    format: Format | None = Setting(
        None,
        description="For integer `i32` or `i64` (the default); for number `f32` or `f64` (the default); "
        "for string `uuid`, `binary`, `email`, `uri`, `hostname`, `ipv4` or `ipv6`. "
        "`uuid` and `binary` change how the value is stored, the other string formats only describe it: a check of kind "
        "`format` holds rows to one.",
    )
    timezone: bool | None = Setting(
        None,
        description="For timestamp: true (the default) is an instant, stored in UTC; "
        "false is a wall clock reading without a zone.",
    )


class DataType(Section):
    """The type of a column, or of what is inside one."""

    logicalType: LogicalType = Setting(description="What the value means.")  # noqa: N815
    logicalTypeOptions: TypeOptions = Setting(  # noqa: N815
        TypeOptions(), description="What narrows the logical type: width, format, time zone."
    )
    physicalType: PhysicalType | None = Setting(  # noqa: N815
        None,
        description="How the value is stored, where the logical type leaves it open: "
        "`decimal(precision, scale)` for an exact number of up to 38 digits, "
        "`json` for an object whose properties are not fixed.",
    )
    required: bool = Setting(False, description="Whether the value may not be missing.")
    items: "DataType | None" = Setting(None, description="For array: the type of its items.")
    properties: "list[Field]" = Setting([], description="For object: its properties, declared like columns.")
    map: "MapType | None" = Setting(None, description="For map: the types of its keys and values.")


class MapType(Section):
    """The two types of a map."""

    key: DataType = Setting(description="The type of the keys; a key is never missing.")
    value: DataType = Setting(description="The type of the values.")


class Field(DataType):
    """One column of the published table, or one property of an object."""

    name: ColumnName = Setting(
        description="The column's name: letters, digits and underscores. A leading underscore is reserved."
    )
    description: str | None = Setting(None, description="What the column means, for those who read the table.")
    classification: Classification | None = Setting(
        None, description="How sensitive the column is; the dataset's classification when not given."
    )
    tags: list[str] = Setting([], description="Words to find the column by.")
    examples: list[Any] = Setting([], description="A few real values.")


class Schema(Section):
    """The columns of the published table: what `transform.sql` gives, or the source's columns when there is none."""

    fields: list[Field] = Setting(
        [],
        description="The declared columns. Values are cast to them, and a row that does not fit is quarantined "
        "(check_type). When none is declared, every column has the type found in the source.",
    )
    evolution: Evolution = Setting(
        "evolve",
        description="What becomes of a column that appears later, or is not declared: `evolve` adds it to the table with the "
        "type found in the source, `discard` leaves it out, `quarantine` sets the rows aside that have it, "
        "`freeze` stops the dataset in front of them. `additive` is another word for evolve, `strict` for quarantine.",
    )
