"""Decides what of a dataset an export holds, and how its values are written in each format."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final, Literal, get_args

from headrace.access.policy import Sight
from headrace.sql_guard import guarded_condition
from services.gateway.core.visible import NEEDED, quoted, visible

Format = Literal["csv", "jsonl", "parquet", "arrow"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
MEDIA_TYPES: Final[Mapping[Format, str]] = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}
ENDINGS: Final[Mapping[Format, str]] = {"csv": "csv", "jsonl": "jsonl", "parquet": "parquet", "arrow": "arrows"}

#: The engine's own format that each is made of.
ENGINE_FORMATS: Final[Mapping[Format, str]] = {
    "csv": "CSV",  # its header is ours: a name, too, may begin as a formula does
    "jsonl": "JSONEachRow",
    "parquet": "ArrowStream",
    "arrow": "ArrowStream",
}
_ISO: Final = {"date_time_output_format": "iso"}
_EXACT: Final = {"output_format_json_quote_decimals": "1", "output_format_json_quote_denormals": "1"}

#: What the engine must be told so that nothing is lost or means two things.
ENGINE_SETTINGS: Final[Mapping[Format, Mapping[str, str]]] = {
    "csv": {**_ISO, **_EXACT, "format_csv_null_representation": ""},  # a text without letters has quotes
    "jsonl": {**_ISO, **_EXACT},
    "parquet": {},
    "arrow": {},
}

# What a spreadsheet takes for the beginning of a formula, also behind apostrophes: that makes the way back unmistakable.
_FORMULA: Final = r"^'*([=+@\t\r\n-]|＝|＋|－|＠)"  # the wide ones count as well
_WRAPPED: Final = re.compile(r"(?:Nullable|LowCardinality)\((.*)\)")
_TEXTS: Final = ("String", "FixedString", "Enum")
_NESTED: Final = ("Array", "Map", "Tuple", "Nested", "Variant", "Dynamic", "JSON", "Object")


class NoSuchColumnError(ValueError):
    """A dataset has no column of a name. The message says which there are."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants of a dataset: no `columns` are all that are not Headrace's own, no `condition` is every row."""

    dataset: str
    format: Format
    columns: tuple[str, ...] = ()
    condition: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the engine is asked for an export. `masked` are the columns of it that do not show every value.

    `partial`: something is hidden, so that the engine's own words are not for whoever asked. `words` are those they asked with.
    """

    columns: tuple[str, ...]
    sql: str
    engine_format: str
    settings: Mapping[str, str]
    binary: tuple[str, ...]
    masked: tuple[str, ...]
    header: bytes = b""
    partial: bool = False
    words: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Table:
    """A published table: its columns with ClickHouse's types, and those whose texts are bytes."""

    name: str
    columns: Mapping[str, str]
    binary: frozenset[str] = field(default_factory=frozenset)


def plan(table: Table, wanted: Wanted, sight: Sight) -> Plan:
    """The query of an export. Errors: NoSuchColumnError, RefusedQueryError (the condition)."""
    names = chosen(table.columns, wanted.columns)
    seen = visible(table.name, table.columns, sight)
    where = f" WHERE {guarded_condition(wanted.condition)}" if wanted.condition else ""
    text = wanted.format in ("csv", "jsonl")
    written = {
        name: _written(name, table.columns[name], wanted.format, binary=text and name in table.binary) for name in names
    }
    listed = ", ".join(map(quoted, names))
    rows = f"SELECT {listed} FROM {seen}{where}"  # noqa: S608
    if any(written[name] != quoted(name) for name in names):  # apart: the condition is about the values as they are
        rows = f"SELECT {', '.join(f'{written[name]} AS {quoted(name)}' for name in names)} FROM ({rows})"  # noqa: S608
    return Plan(
        tuple(names),
        rows,
        ENGINE_FORMATS[wanted.format],
        {**ENGINE_SETTINGS[wanted.format], **NEEDED},
        () if text else tuple(name for name in names if name in table.binary),
        tuple(name for name in names if sight.of_column(name) not in ("all", sight.rows)),
        csv_header(names) if wanted.format == "csv" else b"",
        not sight.whole,
        frozenset((*names, *re.findall(r"\w+", wanted.condition))),
    )


def rows_as(form: Format, columns: Mapping[str, str], rows: str) -> str:
    """The query for the rows of another, which has these columns with ClickHouse's types, as the format takes their values."""
    written = {name: _written(name, kind, form, binary=False) for name, kind in columns.items()}
    if all(value == quoted(name) for name, value in written.items()):
        return rows
    listed = ", ".join(f"{value} AS {quoted(name)}" for name, value in written.items())
    return f"SELECT {listed} FROM ({rows})"  # noqa: S608


def chosen(available: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """The columns of an export, each once, in the order asked for. Errors: NoSuchColumnError."""
    known = list(available)
    if not wanted:
        return [name for name in known if not name.startswith("_")] or known
    for name in wanted:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise NoSuchColumnError(f"there is no column {name}; {hint}")
    return list(dict.fromkeys(wanted))


def _written(name: str, kind: str, form: Format, *, binary: bool) -> str:
    """The value of a column as the format takes it."""
    value = quoted(name)
    if binary:
        value = f"base64Encode({value})"
    if form != "csv":
        return value
    bare = _bare(kind)
    if bare.startswith(_NESTED):
        return f"toJSONString({value})"
    if binary or bare.startswith(_TEXTS):
        return (
            f"if(match(toString({value}), {_literal(_FORMULA)}), concat('\\'', toString({value})), toString({value}))"
        )
    return value


def _bare(kind: str) -> str:
    while found := _WRAPPED.fullmatch(kind):
        kind = found[1]
    return kind


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def neutral(text: str) -> str:
    """A text as it stands in a CSV file: a spreadsheet shows it and runs nothing."""
    return f"'{text}" if re.match(_FORMULA, text) else text


def csv_header(names: Iterable[str]) -> bytes:
    """The first line of a CSV file."""
    return (",".join('"' + neutral(name).replace('"', '""') + '"' for name in names) + "\n").encode()
