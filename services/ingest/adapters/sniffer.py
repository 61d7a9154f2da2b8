"""Guesses the types of columns from a sample with DuckDB's sniffers, and keeps a guess only if the whole sample fits it."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from headrace.stream.columns import TIMESTAMP
from services.ingest.core.fit import Misfit, fit_texts, fit_value
from services.ingest.core.json_rows import Object
from services.ingest.core.json_text import json_text
from services.ingest.core.types import JSON, mapped, plain

_T: Final = pa.types
_FEW: Final = 16


def text_types(columns: Mapping[str, pa.StringArray], nulls: Sequence[str]) -> dict[str, pa.DataType]:
    """The type of each column of texts: the sniffer's when every text of the sample fits it, else string."""
    if not columns:
        return {}
    with _sample_file(".csv") as file:
        pacsv.write_csv(_side_by_side(list(columns.values())), file)
        found = _schema_of(
            "SELECT * FROM read_csv(?, header=true, delim=',', quote='\"', escape='\"', sample_size=-1)", file
        )
    return {
        name: next(kind for kind in _text_ladder(guess.type) if _all_fit(texts, kind, nulls))
        for (name, texts), guess in zip(columns.items(), found, strict=True)
    }


def _side_by_side(columns: Sequence[pa.StringArray]) -> pa.Table:
    """Columns from different files have different lengths; the shorter ones end in nulls."""
    rows = max(map(len, columns))
    padded = [pa.concat_arrays([column, pa.nulls(rows - len(column), pa.string())]) for column in columns]
    return pa.table(padded, names=[f"c{number}" for number in range(len(columns))])


def _text_ladder(guess: pa.DataType) -> Iterator[pa.DataType]:
    if not _T.is_timestamp(guess):
        yield plain(guess)
    else:
        yield pa.timestamp("us")
        yield TIMESTAMP
    yield pa.string()


def _all_fit(texts: pa.StringArray, to: pa.DataType, nulls: Sequence[str]) -> bool:
    if _T.is_string(to):
        return True
    digits_lost = _T.is_integer(to) or _T.is_floating(to)
    if digits_lost and pc.any(pc.match_substring_regex(texts, r"^\s*[+-]?0\d")).as_py():
        return False  # a code such as 007, not a number
    few = texts.slice(0, _FEW)  # what no value of fits is known by the first, not after all of them were tried
    return not fit_texts(few, to, nulls)[1].any() and not fit_texts(texts, to, nulls)[1].any()


def object_types(objects: Sequence[Object]) -> pa.Schema:
    """The columns of JSON objects that have a value somewhere: nested objects, lists and maps where they hold, else JSON."""
    present = list(dict.fromkeys(name for found in objects for name, value in found.items() if value is not None))
    if not present:
        return pa.schema([])
    with _sample_file(".ndjson") as file:
        file.write_text(
            "".join(json_text({f"c{n}": found.get(name) for n, name in enumerate(present)}) + "\n" for found in objects)
        )
        query = (
            "SELECT * FROM read_json(?, format='newline_delimited', records=true, sample_size=-1, "
            "maximum_depth=6, maximum_object_size=16777216)"
        )
        guesses = _schema_of(query, file)
    fields = []
    for name, guess in zip(present, guesses, strict=True):
        values = _typical([value for found in objects if (value := found.get(name)) is not None])
        kinds = _object_ladder(guess.type, values)
        fields.append(pa.field(name, next(kind for kind in kinds if _all_values_fit(values, kind))))
    return pa.schema(fields)


def _typical(values: list[Any]) -> list[Any]:
    """Values without the odd integer of more than 64 bits: rather those rows are set aside than the column rounded."""
    typical = [value for value in values if not (isinstance(value, int) and value.bit_length() > 63)]
    return typical if len(typical) * 100 >= len(values) * 99 else values


def _object_ladder(guess: pa.DataType, values: Sequence[Any]) -> Iterator[pa.DataType]:
    known = plain(guess)
    if not isinstance(known, pa.JsonType) and "struct<>" not in str(known):
        # The sniffer takes integers of mixed signs, or with a huge one among them, for larger than they are.
        if _T.is_floating(known) and all(isinstance(value, int) for value in values):
            yield pa.int64()
        yield mapped(known, lambda leaf: pa.int64() if _T.is_decimal(leaf) else leaf)
        yield known
        yield mapped(known, lambda leaf: TIMESTAMP if _T.is_timestamp(leaf) else leaf)
        yield mapped(known, lambda leaf: pa.string() if _T.is_temporal(leaf) or isinstance(leaf, pa.UuidType) else leaf)
    if all(isinstance(value, str) for value in values):
        yield pa.string()
    yield JSON


def _all_values_fit(values: Sequence[Any], to: pa.DataType) -> bool:
    if _T.is_temporal(to) and all(isinstance(value, str) for value in values):
        return not fit_texts(pa.array(values, pa.string()), to, ())[1].any()
    try:
        for value in values:
            fit_value(value, to)
    except Misfit:
        return False
    return True


class _sample_file:  # noqa: N801  # used as a function
    """A path to write a sample to, gone at the end of the block."""

    def __init__(self, suffix: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="headrace-sample-")
        self._suffix = suffix

    def __enter__(self) -> Path:
        return Path(self._folder.name) / f"sample{self._suffix}"

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


def _schema_of(query: str, file: Path) -> pa.Schema:
    with duckdb.connect() as connection:
        connection.execute("SET threads=1; SET memory_limit='512MB'")
        table: pa.Table = connection.sql(query, params=[str(file)]).limit(0).to_arrow_table()
        return table.schema
