"""What becomes of columns that appear later, for each policy and each kind of source."""

from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pytest

from headrace.connector import Fetched
from headrace.contract import Contract
from headrace.contract.fields import Schema
from services.ingest.adapters.sniffer import object_types
from services.ingest.connectors.http_push.push_body import Unreadable, fetched
from services.ingest.core.drift import Evolution, Frozen
from services.ingest.core.json_rows import read_lines
from services.ingest.core.tables import conformed
from services.ingest.core.types import declared_columns, declares_all
from services.ingest.core.typing import Typing, first_schema
from tests.unit.ingest.reading import connector

OLD = pa.schema([("id", pa.int64())])
BATCH = pa.RecordBatch.from_pydict({"id": [1, 2], "note": ["a", "b"]})


def of_lines(evolution: Any) -> tuple[list[str], list[Any], int]:
    found = read_lines(
        [b'{"id": 1, "note": "a"}', b'{"id": 2}'], OLD, evolution, lambda _: pa.schema([("note", pa.string())])
    )
    return found.rows.schema.names, found.rows.column("id").to_pylist(), len(found.faults)


def test_new_fields_of_json() -> None:
    assert of_lines("evolve") == (["id", "note"], [1, 2], 0)
    assert of_lines("discard") == (["id"], [1, 2], 0)
    assert of_lines("quarantine") == (["id"], [2], 1)
    with pytest.raises(Frozen, match="'note'"):
        of_lines("freeze")


def test_new_columns_of_a_table() -> None:
    def of_table(evolution: Any) -> tuple[list[str], list[Any], int]:
        found = conformed(BATCH, OLD, {}, evolution)
        return found.rows.schema.names, found.rows.column("id").to_pylist(), len(found.faults)

    assert of_table("evolve") == (["id", "note"], [1, 2], 0)
    assert of_table("discard") == (["id"], [1, 2], 0)
    assert of_table("quarantine") == (["id"], [], 2)
    with pytest.raises(Frozen, match="'note'"):
        of_table("freeze")


def test_new_columns_of_a_csv_file(tmp_path: Path) -> None:
    def of_files(evolution: str) -> Any:
        steps = [fetched for fetched, _ in connector(tmp_path, "*.csv", OLD, evolution=evolution).read(None)]
        ids = [each for fetched in steps for each in fetched.rows.column("id").to_pylist()]
        return steps[-1].rows.schema.names, ids, sum(len(fetched.rejected) for fetched in steps)

    (tmp_path / "1.csv").write_text("id\n1\n")
    (tmp_path / "2.csv").write_text("id,note\n2,b\n")
    assert of_files("evolve") == (["id", "note"], [1, 2], 0)
    assert of_files("discard") == (["id"], [1, 2], 0)
    assert of_files("quarantine") == (["id"], [1], 1)
    before: list[Fetched] = []
    with pytest.raises(Frozen, match="'note'"):
        before += (fetched for fetched, _ in connector(tmp_path, "*.csv", OLD, evolution="freeze").read(None))
    assert sum(each.rows_read for each in before) == 1, "what stands in front is read"


def test_a_push_that_brings_a_column_which_may_not_be_is_refused_as_a_whole() -> None:
    typing = Typing({"id": pa.int64()}, "freeze", 1000)
    with pytest.raises(Unreadable, match=r"schema\.evolution is freeze"):
        fetched(b'{"id": 1}\n{"id": 2, "note": "b"}', "ndjson", OLD, typing, "a push")


@pytest.mark.parametrize(
    ("before", "found", "after"),
    [
        (pa.int32(), pa.int64(), pa.int64()),
        (pa.int32(), pa.float64(), pa.float64()),
        (pa.float32(), pa.float64(), pa.float64()),
        (pa.int64(), pa.float64(), pa.int64()),  # a double does not hold every 64-bit integer
        (pa.int64(), pa.int32(), pa.int64()),
        (pa.string(), pa.int64(), pa.string()),
    ],
)
def test_a_type_grows_where_the_wider_one_holds_every_value(before: Any, found: Any, after: Any) -> None:
    batch = pa.RecordBatch.from_arrays([pa.array([1], found)], ["n"])
    schema = pa.schema([("n", before)])
    assert conformed(batch, schema, {}, "evolve").rows.schema.field("n").type == after
    policies: Any = ("discard", "quarantine", "freeze")
    for policy in policies:
        assert conformed(batch, schema, {}, policy).rows.schema.field("n").type == before
    assert conformed(batch, schema, {"n": before}, "evolve").rows.schema.field("n").type == before, "it is declared"


def test_the_words_of_the_first_version_are_understood() -> None:
    words = {"additive": "evolve", "strict": "quarantine"} | {word: word for word in get_args(Evolution)}
    for written, meant in words.items():
        assert Schema.model_validate({"evolution": written}).evolution == meant


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({"source": {"type": "http_push", "columns": {"n": "number"}}}, ["n", "id"]),
        ({"source": {"type": "http_push", "drift": {"n": {"keep_as": "text"}}}}, ["text", "id", "n"]),
        ({"schema": {"evolution": "quarantine", "fields": [{"name": "id", "logicalType": "integer"}]}}, ["id"]),
        ({"schema": {"evolution": "evolve", "fields": [{"name": "id", "logicalType": "integer"}]}}, ["id", "n"]),
    ],
)
def test_a_type_or_a_decision_is_no_list_of_all_columns(more: dict[str, Any], names: list[str]) -> None:
    minimal = {"dataset": "a.b", "description": "d", "owner": {"team": "t"}, "source": {"type": "http_push"}}
    contract = Contract.model_validate({**minimal, "schema": {"evolution": "quarantine"}, **more})
    typing = Typing(declared_columns(contract), contract.schema_.evolution, 1000, declares_all(contract))
    assert first_schema([b'{"id": 1, "n": 2}'], typing, object_types).names == names
