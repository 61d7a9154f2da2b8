"""The types of the rows that a test writes down: declared ones, or the narrowest that all values of a column can be read as.

Every value is written as text and cast by DuckDB; one that the cast would change is no value of the type (`types.misfit`).
"""

# ruff: noqa: S608 - names are made here, types come from `types.duckdb_type`

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from headrace.contract.row_text import GivenRows
from headrace.transform.engine import Engine
from headrace.transform.quoting import literal, quoted
from headrace.transform.types import duckdb_type, misfit

_DAY: Final = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK: Final = "[T ][0-9]{2}:[0-9]{2}[0-9:.]*"
#: Types that text is taken for, with what it has to look like. Source: what ingest takes text in files and messages for.
OF_TEXT: Final = (
    ("DATE", _DAY),
    ("TIMESTAMP", _DAY + _CLOCK),
    ("TIMESTAMPTZ", _DAY + _CLOCK + " ?(Z|[+-][0-9]{2}(:?[0-9]{2})?)"),
)
#: The same for text where nothing but text can be written.
OF_CELLS: Final = (
    ("BIGINT", "[+-]?(0|[1-9][0-9]*)"),  # 007 is a code, not a number
    ("DOUBLE", "[+-]?((0|[1-9][0-9]*)([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?"),
    ("BOOLEAN", "(?i)true|false"),
)
_ANY: Final = "(?s).*"


class UnfitError(Exception):
    """A value is none of its column's declared type. `row` counts from 1."""

    def __init__(self, row: int, column: str, value: Any, kind: str) -> None:
        super().__init__(f"{column} of row {row} is {value!r}, expected a value of type {kind}")


def typed(engine: Engine, rows: GivenRows, kinds: Mapping[str, str], hints: Mapping[str, str]) -> pa.RecordBatch:
    """The rows with a type for each of their columns; a column without any value has none (Arrow's null).

    `kinds` are the DuckDB types that columns must have, `hints` those they have if all their values fit. Errors: UnfitError.
    """
    names = rows.columns
    if not names:
        return pa.RecordBatch.from_pylist([], schema=pa.schema([]))
    values = {name: [row.get(name) for row in rows.rows] for name in names}
    texts = pa.RecordBatch.from_arrays(
        [pa.array(map(_text, column), pa.string()) for column in values.values()],
        names=[_cell(at) for at in range(len(names))],
    )
    ladders = [[*_ladder(values[name], rows.texts, kinds.get(name), hints.get(name))] for name in names]
    chosen = _chosen(engine, texts, ladders)
    casts = [f"{_cast(at, kind)} AS {quoted(names[at])}" for at, kind in enumerate(chosen)]
    unfit = [f"{_unfit(at, kind)} AS __unfit_{at}" for at, kind in enumerate(chosen)]
    cast = engine.query(f"SELECT {', '.join(casts + unfit)} FROM input", texts)
    for at, name in enumerate(names):
        refused = cast.column(len(names) + at).to_pylist()
        for row, (value, got) in enumerate(zip(values[name], cast.column(at).to_pylist(), strict=True)):
            if refused[row] or _lost(value, got, chosen[at]):
                raise UnfitError(row + 1, name, value, chosen[at])
    nothing = [all(value is None for value in values[name]) and not (name in kinds or name in hints) for name in names]
    columns = [pa.nulls(len(cast)) if nothing[at] else cast.column(at) for at in range(len(names))]
    return pa.RecordBatch.from_arrays(columns, names=names)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)


def _ladder(values: Sequence[Any], cells: bool, kind: str | None, hint: str | None) -> Iterator[tuple[str, str]]:
    """The types to try, with what values have to look like; the last takes any."""
    if kind is not None:
        yield kind, _ANY
        return
    if hint is not None:
        yield hint, _ANY
    present = [value for value in values if value is not None]
    found = {type(value) for value in present}
    if found <= {str}:
        yield from (*(OF_CELLS if cells else ()), *OF_TEXT)
    elif found == {bool}:
        yield "BOOLEAN", _ANY
    elif found <= {int, float}:
        if float not in found:
            yield "BIGINT", _ANY
        yield "DOUBLE", _ANY
    elif found & {list, dict}:
        yield _nested(present), _ANY
        yield "JSON", _ANY
    yield "VARCHAR", _ANY


def _nested(values: Sequence[Any]) -> str:
    try:
        return duckdb_type(pa.array(values).type)
    except (pa.ArrowException, KeyError):  # values that have no type together
        return "JSON"


def _chosen(engine: Engine, texts: pa.RecordBatch, ladders: Sequence[Sequence[tuple[str, str]]]) -> list[str]:
    """The first type of each ladder that every text fits; the last, when none does."""
    tried = [(at, kind, looks) for at, ladder in enumerate(ladders) for kind, looks in ladder[:-1]]
    fits: list[bool] = []
    if tried:
        conditions = [
            f"coalesce(bool_and(regexp_full_match({_cell(at)}, {literal(looks)}) AND NOT ({_unfit(at, kind)})), true)"
            for at, kind, looks in tried
        ]
        named = ", ".join(f"{condition} AS fits_{n}" for n, condition in enumerate(conditions))
        found = engine.query(f"SELECT {named} FROM input", texts)
        fits = [column[0].as_py() for column in found.columns]
    chosen = [ladder[-1][0] for ladder in ladders]
    for (at, kind, _), fit in reversed(list(zip(tried, fits, strict=True))):
        if fit:
            chosen[at] = kind
    return chosen


def _cell(at: int) -> str:
    return f"c{at}"


def _is_nested(kind: str) -> bool:
    return kind.endswith("[]") or kind.startswith(("STRUCT(", "MAP("))


def _cast(at: int, kind: str) -> str:
    given = f"TRY_CAST({_cell(at)} AS JSON)" if _is_nested(kind) else _cell(at)
    return f"TRY_CAST({given} AS {kind})"


def _unfit(at: int, kind: str) -> str:
    """The condition that a text is no value of the type. What is lost within a nested value, `_lost` finds."""
    if _is_nested(kind):
        return f"{_cell(at)} IS NOT NULL AND {_cast(at, kind)} IS NULL"
    condition = misfit(_cell(at), "VARCHAR", kind)
    if kind.startswith("DECIMAL"):
        condition += f" OR {_cast(at, kind)}::DOUBLE <> TRY_CAST({_cell(at)} AS DOUBLE)"
    return f"coalesce({condition}, false)"


def _lost(value: Any, got: Any, kind: str) -> bool:
    """Whether a cast to a nested type made something within a value disappear."""
    return _is_nested(kind) and not isinstance(value, str) and _missing(value, got)


def _missing(value: Any, got: Any) -> bool:
    if value is None:
        return False
    if got is None:
        return True
    if isinstance(value, Mapping):
        inner = dict(got)  # a map comes as pairs
        return any(name not in inner or _missing(each, inner[name]) for name, each in value.items())
    return isinstance(value, list) and any(map(_missing, value, got))
