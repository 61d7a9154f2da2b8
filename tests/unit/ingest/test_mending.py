"""Source rows that do not fit are read as `source.drift` says, and stand where their source had them."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.connector import Fetched, SourceRow
from headrace.contract import Decision
from services.ingest.adapters.expressions import values_of
from services.ingest.connectors.http_push.push_body import fetched
from services.ingest.core.faults import set_aside
from services.ingest.core.fit import array_of
from services.ingest.core.json_rows import read_lines
from services.ingest.core.mending import Mending, mended
from services.ingest.core.tables import conformed
from services.ingest.core.typed_texts import row_text
from services.ingest.core.typing import Typing
from tests.unit.ingest.reading import connector

TYPES: Mapping[str, pa.DataType] = {"id": pa.int64(), "price": pa.float64(), "price_text": pa.string()}
SCHEMA = pa.schema(TYPES)

RENAMED = {"cost": Decision(rename_to="price")}
CAST = {"price": Decision(cast="replace(price, ' CHF', '')")}
KEPT = {"price": Decision(keep_as="price_text")}
LEFT_OUT = {"price": Decision(leave_out=True), "note": Decision(leave_out=True)}


def mending(drift: Mapping[str, Decision]) -> Mending:
    return Mending(drift, "quarantine", [""], values_of)


def step(rows: Sequence[Mapping[str, Any]]) -> Fetched:
    """What a source of JSON gives, where unknown columns are set aside."""
    lines = [json.dumps(row).encode() for row in rows]
    found = read_lines(lines, SCHEMA, "quarantine", lambda _: pa.schema([]))
    rejected = tuple(
        SourceRow(lines[fault.row], fault.reason, fault.detail, "", fault.column, behind=fault.row - before)
        for before, fault in enumerate(found.faults)
    )
    return Fetched(found.rows, rejected)


def prices(found: Fetched) -> list[tuple[int, float | None, str | None]]:
    return [(row["id"], row["price"], row["price_text"]) for row in found.rows.to_pylist()]


@pytest.mark.parametrize(
    ("drift", "price", "text"), [(CAST, 7.5, None), (KEPT, None, "7.5 CHF"), (LEFT_OUT, None, None)]
)
def test_a_value_that_does_not_fit_is_read_as_decided(
    drift: Mapping[str, Decision], price: float | None, text: str | None
) -> None:
    rows: list[dict[str, Any]] = [{"id": 1, "price": 1}, {"id": 2, "price": "7.5 CHF"}, {"id": 3}]
    found = mended(step(rows), mending(drift), ordered=True)
    assert prices(found) == [(1, 1.0, None), (2, price, text), (3, None, None)]
    assert not found.rejected


def test_an_unknown_column_is_another_under_a_new_name() -> None:
    rows: list[dict[str, Any]] = [{"id": 1, "cost": 1.5}, {"id": 2, "price": 2}, {"id": 3, "cost": None, "price": 3}]
    assert prices(mended(step(rows), mending(RENAMED), ordered=True)) == [
        (1, 1.5, None),
        (2, 2.0, None),
        (3, 3.0, None),
    ]


def test_an_unknown_column_is_left_out() -> None:
    found = mended(step([{"id": 1, "price": 1, "note": "x"}]), mending(LEFT_OUT), ordered=True)
    assert prices(found) == [(1, 1.0, None)]


def test_several_decisions_may_concern_a_row() -> None:
    found = mended(
        step([{"id": 1, "price": "9 CHF", "note": 4}]), mending(CAST | {"note": LEFT_OUT["note"]}), ordered=True
    )
    assert prices(found) == [(1, 9.0, None)]


def test_a_value_that_fits_is_not_cast() -> None:
    """Only rows that would be set aside are concerned: here another column is at fault, the price is not."""
    drift = {"price": Decision(cast="price::DOUBLE / 100"), "note": LEFT_OUT["note"]}
    assert prices(mended(step([{"id": 1, "price": 5, "note": "x"}]), mending(drift), ordered=True)) == [(1, 5.0, None)]


def test_what_nothing_was_decided_about_stays_aside() -> None:
    rows: list[dict[str, Any]] = [
        {"id": "one", "price": 1},
        {"id": 2, "price": "3 CHF", "other": 1},
        {"id": 3, "price": "dear"},
    ]
    found = mended(step(rows), mending(CAST), ordered=True)
    assert not found.rows.num_rows
    assert [(row.reason, "source.drift" in row.detail) for row in found.rejected] == [
        ("wrong_type", False),  # nothing concerns it
        ("unknown_field", True),  # the price would fit, the other column is in the way
        ("wrong_type", True),  # it does not fit as cast either
    ]


@pytest.mark.parametrize("name", ["f.csv", "f.jsonl"])
def test_a_row_is_set_aside_for_the_column_that_is_left_to_decide_about(tmp_path: Path, name: str) -> None:
    """Else nobody would be told of it, and nothing could be decided about it."""
    rows = {"f.csv": "id,cost,note\n1,1.5,x\n", "f.jsonl": '{"id": 1, "cost": 1.5, "note": "x"}\n'}
    (tmp_path / name).write_text(rows[name])
    source = connector(tmp_path, name, SCHEMA, evolution="quarantine")
    [before] = [each for each, _ in source.read(None)]
    assert [row.column for row in before.rejected] == ["cost"]
    found = mended(before, mending(RENAMED), ordered=True)
    assert [(row.reason, row.column) for row in found.rejected] == [("unknown_field", "note")]
    assert not mended(before, mending(RENAMED | LEFT_OUT), ordered=True).rejected


def test_a_row_stays_aside_for_a_column_whose_decision_does_not_help() -> None:
    """The control: that is the one to decide about anew."""
    found = mended(step([{"id": 1, "cost": "dear"}]), mending(RENAMED), ordered=True)
    assert [(row.reason, row.column) for row in found.rejected] == [("unknown_field", "cost")]


def test_without_decisions_nothing_is_let_in() -> None:
    """The control."""
    before = step([{"id": 1, "price": "7.5 CHF"}])
    assert mended(before, mending({}), ordered=True) is before


def test_a_row_whose_place_is_not_known_is_not_put_among_ordered_ones() -> None:
    lost = SourceRow(b'{"id": 2, "price": "7 CHF"}', "wrong_type", "", "", "price")
    before = Fetched(step([{"id": 1}]).rows, (lost,))
    assert mended(before, mending(CAST), ordered=True) == before
    assert [each[0] for each in prices(mended(before, mending(CAST), ordered=False))] == [1, 2]


@given(st.lists(st.sampled_from(["fits", "cast", "unfit", "unknown"]), min_size=1, max_size=12))
def test_every_row_keeps_its_place(kinds: list[str]) -> None:
    values: dict[str, Mapping[str, Any]] = {
        "fits": {"price": 1},
        "cast": {"price": "2 CHF"},
        "unfit": {"price": "dear"},
        "unknown": {"cost": 3},
    }
    found = mended(
        step([{"id": at, **values[kind]} for at, kind in enumerate(kinds)]), mending(CAST | RENAMED), ordered=True
    )
    assert [row[0] for row in prices(found)] == [at for at, kind in enumerate(kinds) if kind != "unfit"]
    assert len(found.rejected) == kinds.count("unfit")


CSV = "id,price\n1,1.5\n\n2,7 CHF\n3,\n4,8 CHF\n5,oops,\n6,9\n"
JSONL = """
{"id": 1, "price": 1.5}

{"id": 2, "price": "7 CHF"}
{"id": 3}
{"id": 4, "price": "8 CHF"}
[]
{"id": 6, "price": 9}
"""


@pytest.mark.parametrize(("name", "text"), [("f.csv", CSV), ("f.jsonl", JSONL)])
def test_rows_of_files_stand_where_they_stood(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    source = connector(tmp_path, name, SCHEMA, evolution="quarantine")
    [found] = [mended(each, mending(CAST), ordered=True) for each, _ in source.read(None)]
    assert [(row[0], row[1]) for row in prices(found)] == [(1, 1.5), (2, 7.0), (3, None), (4, 8.0), (6, 9.0)]
    assert [row.reason for row in found.rejected] == ["unreadable_row"]


def test_rows_of_a_file_with_a_new_name_for_a_column(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("id,cost\n1,1.5\n2,\n3,dear\n")
    source = connector(tmp_path, "f.csv", SCHEMA, evolution="quarantine")
    [found] = [mended(each, mending(RENAMED), ordered=True) for each, _ in source.read(None)]
    assert prices(found) == [(1, 1.5, None), (2, None, None)]
    assert [row.reason for row in found.rejected] == ["unknown_field"]


EXACT_TYPES: Mapping[str, pa.DataType] = {
    "id": pa.int64(),
    "amount": pa.decimal128(38, 20),
    "json": pa.json_(pa.string()),
    "price": pa.float64(),
}
EXACT = pa.schema(EXACT_TYPES)
OTHERS = {"sum": "amount", "doc": "json", "cost": "price", "Price": "price", "ID": "id"}


@pytest.mark.parametrize(
    ("plain", "drifted"),
    [
        ('{"id": 1, "amount": 0.12345678901234567891}', '{"id": 1, "sum": 0.12345678901234567891}'),
        ('{"id": 1, "amount": 0.12345678901234567891}', '{"id": 1, "amount": 0.12345678901234567891, "note": 1}'),
        ('{"id": 1, "json": {"a": 1.10, "b": 1e400}}', '{"id": 1, "doc": {"a": 1.10, "b": 1e400}}'),
        ('{"id": 1, "json": "5"}', '{"id": 1, "doc": "5"}'),
        ('{"id": 1, "json": "abc"}', '{"id": 1, "json": "abc", "doc": null, "note": 1}'),
        ('{"id": 9007199254740993, "price": -0.0}', '{"ID": 9007199254740993, "Price": -0.0}'),
    ],
)
def test_a_value_is_what_it_would_be_without_drift(plain: str, drifted: str) -> None:
    """Also where names differ in capitals only, which DuckDB takes for the same."""
    drift = {name: Decision(rename_to=to) for name, to in OTHERS.items()} | {"note": LEFT_OUT["note"]}
    expected = read_lines([plain.encode()], EXACT, "quarantine", lambda _: pa.schema([])).rows
    line = drifted.encode()
    before = Fetched(expected.slice(0, 0), (SourceRow(line, "unknown_field", "", "", behind=0),))
    found = mended(before, mending(drift), ordered=True)
    assert not found.rejected
    assert found.rows.to_pylist() == expected.to_pylist()
    assert str(found.rows.to_pylist()) == str(expected.to_pylist())  # -0.0 is equal to 0.0


def test_two_columns_may_be_the_same_one_at_different_times() -> None:
    drift = {"cost": Decision(rename_to="price"), "fee": Decision(rename_to="price")}
    rows: list[dict[str, Any]] = [{"id": 1, "cost": 1.5, "fee": None}, {"id": 2, "cost": None, "fee": 2.5}]
    assert prices(mended(step(rows), mending(drift), ordered=True)) == [(1, 1.5, None), (2, 2.5, None)]


@pytest.mark.parametrize(
    ("row", "drift"),
    [
        ({"cost": 1.5, "price": 9}, RENAMED),
        ({"cost": 1.5, "price": "9 CHF"}, RENAMED | CAST),
        ({"cost": 1.5, "fee": 2}, RENAMED | {"fee": Decision(rename_to="price")}),
        ({"price": "dear", "price_text": "mine"}, KEPT),
    ],
)
def test_no_value_takes_the_place_of_another(row: Mapping[str, Any], drift: Mapping[str, Decision]) -> None:
    found = mended(step([{"id": 1, **row}]), mending(drift), ordered=True)
    assert not found.rows.num_rows
    assert "take the place" in found.rejected[0].detail


def test_the_same_value_under_both_names_is_one_value() -> None:
    """The control."""
    found = mended(step([{"id": 1, "cost": 1.5, "price": 1.5}]), mending(RENAMED), ordered=True)
    assert prices(found) == [(1, 1.5, None)]


def test_every_column_may_have_another_name() -> None:
    drift = RENAMED | {"ident": Decision(rename_to="id")}
    assert prices(mended(step([{"ident": 1, "cost": 1.5}]), mending(drift), ordered=True)) == [(1, 1.5, None)]


def test_texts_are_read_under_another_name_as_under_their_own(tmp_path: Path) -> None:
    """Also a null marker in quotes, and JSON."""
    schema = pa.schema([EXACT.field(name) for name in ("id", "price", "json")])
    rows = '1,"","{""a"": 1.10}"\n2, 7 ,5\n'
    found = []
    for name in ("price", "cost"):
        (tmp_path / f"{name}.csv").write_text(f"id,{name},json\n{rows}")
        source = connector(tmp_path, f"{name}.csv", schema, evolution="quarantine")
        found += [mended(each, mending(RENAMED), ordered=True) for each, _ in source.read(None)]
    assert found[0].rows.num_rows == 2
    assert found[1] == found[0]


JSON = pa.json_(pa.string())
TYPED: list[tuple[Any, pa.DataType]] = [
    ('{"a":1.10}', JSON),
    ('"5"', JSON),
    ([("a", b"\0x==")], pa.map_(pa.string(), pa.binary())),
    ({"a": [b"\0"]}, pa.struct([pa.field("a", pa.list_(pa.binary()))])),
    (Decimal("1.50"), pa.decimal128(38, 2)),
    (-0.0, pa.float64()),
    (datetime(2026, 1, 1, 1, 2, 3, 4, UTC), pa.timestamp("us", "UTC")),
    (time(1, 2, 3, 4), pa.time64("us")),
    (UUID(int=7), pa.uuid()),
    ("a\0b", pa.string()),
]


@pytest.mark.parametrize(("value", "kind"), TYPED, ids=range(len(TYPED)))
def test_a_row_of_a_typed_source_is_read_as_it_was(value: Any, kind: pa.DataType) -> None:
    stored = value.bytes if isinstance(value, UUID) else value
    column = array_of([stored], kind)
    rows = pa.RecordBatch.from_arrays([column, pa.array(["x"])], names=["value", "note"])
    schema = pa.schema([pa.field("value", kind)])
    [fault] = conformed(rows, schema, {}, "quarantine").faults
    before = Fetched(
        rows.select(["value"]).slice(0, 0), set_aside([fault], lambda fault: row_text(rows, fault.row), lambda _: "")
    )
    found = mended(before, mending(LEFT_OUT), ordered=True)
    assert not found.rejected
    assert found.rows == rows.select(["value"])
    assert str(found.rows.to_pylist()[0]["value"]) == str(value)


def test_an_event_is_read_anew_by_its_columns() -> None:
    """Its data stands beside its attributes there, of which it may have the names."""
    types: Mapping[str, pa.DataType] = {
        "ce_id": pa.string(),
        "ce_type": pa.string(),
        "id": pa.int64(),
        "price": pa.float64(),
    }
    events = [
        {"specversion": "1.0", "id": f"e{at}", "source": "s", "type": "t", "data": {"id": at, "price": price}}
        for at, price in enumerate([1.5, "2.5 CHF"])
    ]
    typing = Typing({}, "discard", 1 << 20)
    before = fetched(json.dumps(events).encode(), "cloudevents", pa.schema(types), typing, "push")
    assert [row.column for row in before.rejected] == ["price"]
    found = mended(before, Mending(CAST, "discard", [""], values_of), ordered=True)
    assert [tuple(row.values()) for row in found.rows.to_pylist()] == [("e0", "t", 0, 1.5), ("e1", "t", 1, 2.5)]
