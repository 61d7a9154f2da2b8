"""What a starter dataset file says: columns inferred from a file, and comments for what is left to decide."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from headrace.errors import HeadraceError

_NULL_WORDS: Final = ("NA", "N/A", "NULL", "null", "None", "NaN", "nan", "-", "?")
_SAMPLE_ROWS: Final = 20_480
_COLUMN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_READERS: Final = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv",
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".parquet": "parquet",
}  # fmt: skip
_WORDS: Final = {
    "boolean": "boolean",
    "date": "date",
    "time": "time",
    "float": "number",
    "double": "number",
} | dict.fromkeys(("tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger"), "integer")


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it was found: its declaration, a few values, and whether a value is missing or repeated in the sample.

    `personal` says what personal data it seems to hold.
    """

    name: str
    type: Mapping[str, Any]
    examples: Sequence[Any]
    nulls: bool
    unique: bool
    personal: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What a source looks like. `key` is what the source itself declares; `comment` stands in front of its section."""

    origin: str
    source: Mapping[str, Any]
    columns: Sequence[Column]
    key: Sequence[str] = ()
    comment: str = ""


def look_at(path: Path) -> Found:
    """Infer format, columns and types from the head of a file. Errors: HeadraceError when it cannot be read."""
    form = _READERS.get(path.suffix.lower())
    if form is None:
        known = ", ".join(_READERS)
        raise HeadraceError(f"{path}: cannot tell the format by the ending {path.suffix!r}; known are {known}.")
    if not path.is_file():
        raise HeadraceError(f"{path}: there is no such file.")
    with duckdb.connect() as connection:
        try:
            options = _csv_options(connection, path) if form == "csv" else {}
            rows = _rows(connection, path, form, options.get("null_values", [""]))
            columns = _columns(rows)
        except duckdb.Error as error:
            raise HeadraceError(f"{path}: cannot be read as {form}: {str(error).splitlines()[0]}") from error
    source = {"type": "file", "path": str(path.resolve()), "format": form} | ({"csv": options} if options else {})
    comment = "A path can be a glob; a relative one starts at the data folder of ingest."
    return Found(f"Rows of {path.name}.", source, columns, comment=comment)


def document(dataset: str, found: Found | None) -> str:
    """The text of a starter dataset file; without a file to look at, one whose rows are pushed over HTTP."""
    columns = found.columns if found else _PUSHED
    declared = [column for column in columns if _COLUMN.fullmatch(column.name)]
    odd = [column.name for column in columns if not _COLUMN.fullmatch(column.name)]
    key = found.key if found else ()
    origin = found.origin if found else "Events that are sent by HTTP."
    return "\n".join(
        [
            "# A Headrace dataset file. Next: say who owns it, then",
            "#   headrace validate FILE    every mistake at once",
            "#   headrace plan -f FILE     what applying it would change",
            "#   headrace apply -f FILE    make it live",
            f"dataset: {dataset}  # domain.name: database and table in the warehouse",
            f"description: {_scalar(origin)}  # what a row is, and what to beware of",
            "owner:",
            "  team: my-team",
            "",
            *_source(found),
            "",
            "schema:",
            "  evolution: evolve  # what becomes of new columns; or discard, quarantine, freeze",
            "  fields:",
            *(_field(column, column.name in key) for column in declared),
            *(f"    # {_scalar(name)} is published under a plain name; declare it by that." for name in odd),
            "",
            *_key(declared, key),
            "",
            "# One row-wise SELECT over `input`; rows its WHERE drops are counted as filtered.",
            "# transform:",
            "#   sql: |",
            "#     SELECT * FROM input",
            "",
            "# Rules each row must keep. reject quarantines the row, flag lets it pass marked.",
            "# checks:",
            f"#   - {{check: not_null, column: {declared[0].name if declared else 'id'}, severity: reject}}",
            '#   - {check: expression, sql: "true", severity: flag}',
            "",
            "load: {mode: upsert}  # the latest row of each key; or append: every row"
            if key
            else "# load: {mode: append}  # or upsert: the latest row of each key",
            "# retention: {value: 365, unit: d}  # how long rows are kept; for ever when not given",
            "",
        ]
    )


def plain_name(text: str) -> str:
    """`text` as the second half of a dataset's name."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return name if name[:1].isalpha() else f"data_{name}".rstrip("_")


_PUSHED: Final = (
    Column("id", {"logicalType": "string"}, (), False, False),
    Column("occurred_at", {"logicalType": "timestamp"}, (), False, False),
    Column("amount", {"logicalType": "number"}, (), False, False),
)


def _csv_options(connection: duckdb.DuckDBPyConnection, path: Path) -> dict[str, Any]:
    ((delimiter, quote, header),) = connection.execute(
        "SELECT Delimiter, Quote, HasHeader FROM sniff_csv($path, sample_size = $sample)",
        {"path": str(path), "sample": _SAMPLE_ROWS},
    ).fetchall()
    options: dict[str, Any] = {}
    if delimiter != ",":
        options["delimiter"] = delimiter
    if len(quote) == 1 and quote != '"':
        options["quote"] = quote
    if not header:
        options["header"] = False
    nulls = ["", *_null_words(connection, path)]
    if len(nulls) > 1:
        options["null_values"] = nulls
    return options


def _null_words(connection: duckdb.DuckDBPyConnection, path: Path) -> list[str]:
    """The words that, read as missing, turn a column of text into one of values."""
    plain = _rows(connection, path, "csv", [""]).types
    return [word for word in _NULL_WORDS if _rows(connection, path, "csv", ["", word]).types != plain]


def _rows(
    connection: duckdb.DuckDBPyConnection, path: Path, form: str, nulls: Sequence[str]
) -> duckdb.DuckDBPyRelation:
    sample = f"sample_size = {_SAMPLE_ROWS}"
    match form:
        case "csv":
            sql, values = f"FROM read_csv($path, {sample}, nullstr = $nulls)", {"path": str(path), "nulls": list(nulls)}
        case "jsonl":
            sql, values = f"FROM read_json($path, format = 'newline_delimited', {sample})", {"path": str(path)}
        case _:
            sql, values = "FROM read_parquet($path)", {"path": str(path)}
    return connection.sql(sql, params=values)


def _columns(rows: duckdb.DuckDBPyRelation) -> list[Column]:
    sample = rows.limit(_SAMPLE_ROWS).to_arrow_table()
    columns = []
    for name, type_, values in zip(rows.columns, rows.types, sample.columns, strict=True):
        known = values.drop_null()
        examples = [value for value in known.slice(0, 1).to_pylist() if isinstance(value, str | int | float)]
        nested = type_.id in ("struct", "map", "list", "array")
        unique = not nested and values.null_count == 0 and 0 < len(values) == len(values.unique())
        columns.append(Column(name, _declared(type_), examples, values.null_count > 0, unique))
    return columns


def _declared(type_: Any) -> dict[str, Any]:
    """A DuckDB type in the words of the dataset file."""
    match type_.id:
        case "decimal":
            sizes = dict(type_.children)
            return {"logicalType": "number", "physicalType": f"decimal({sizes['precision']}, {sizes['scale']})"}
        case "hugeint" | "uhugeint":
            return {"logicalType": "number", "physicalType": "decimal(38, 0)"}
        case "ubigint":
            return {"logicalType": "number", "physicalType": "decimal(20, 0)"}
        case "timestamp with time zone":
            return {"logicalType": "timestamp"}
        case kind if kind.startswith("timestamp"):
            return {"logicalType": "timestamp", "logicalTypeOptions": {"timezone": False}}
        case "uuid":
            return {"logicalType": "string", "logicalTypeOptions": {"format": "uuid"}}
        case "blob":
            return {"logicalType": "string", "logicalTypeOptions": {"format": "binary"}}
        case "json":
            return {"logicalType": "object", "physicalType": "json"}
        case "list" | "array":
            return {"logicalType": "array", "items": _declared(dict(type_.children)["child"])}
        case "map":
            inner = dict(type_.children)
            return {"logicalType": "map", "map": {"key": _declared(inner["key"]), "value": _declared(inner["value"])}}
        case "struct" if all(_COLUMN.fullmatch(name) for name, _ in type_.children):
            return {"logicalType": "object", "properties": [{"name": n, **_declared(t)} for n, t in type_.children]}
        case "struct":
            return {"logicalType": "object", "physicalType": "json"}
        case kind:
            return {"logicalType": _WORDS.get(kind, "string")}


def _source(found: Found | None) -> list[str]:
    if found is None:
        return ["source:", "  type: http_push  # POST rows to ingest: a JSON array, NDJSON or an Arrow stream"]
    comment = [f"# {found.comment}"] if found.comment else []
    return [*comment, "source:", *(f"  {key}: {_scalar(value)}" for key, value in found.source.items())]


def _field(column: Column, required: bool) -> str:
    seen = [f"for example {_scalar(value)}" for value in column.examples]
    if column.nulls:
        seen.append("sometimes missing")
    if column.personal:
        seen.append(f"seems to hold personal data: {column.personal}")
    comment = f"  # {', '.join(seen)}" if seen else ""
    needed = {"required": True} if required else {}
    classified = {"classification": "confidential"} if column.personal else {}
    return f"    - {_scalar({'name': column.name, **column.type, **needed, **classified})}{comment}"


def _key(columns: Sequence[Column], declared: Sequence[str]) -> list[str]:
    if declared:
        return [f"key: {_scalar(declared)}  # the columns that identify a row, as the source has them"]
    unique = next((column.name for column in columns if column.unique), None)
    why = "# The columns that identify a row; upsert needs them."
    if unique is None:
        return [why, "# key: []"]
    return [why, f"# key: [{unique}]  # no value of it is repeated in the rows looked at"]


def _scalar(value: Any) -> str:
    """A value in YAML's flow style, which takes JSON as it is; short names go without quotes."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_scalar(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_scalar, value)) + "]"
    if isinstance(value, str) and _COLUMN.fullmatch(value) and value.lower() not in _RESERVED:
        return value
    return json.dumps(value, ensure_ascii=False)


_RESERVED: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan"})
