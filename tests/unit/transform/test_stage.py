"""Every row of a batch gets one fate, the right one, and those that go on keep who they are."""

import datetime as dt
import math
from decimal import Decimal

import pyarrow as pa
import pytest

from headrace.contract import NO_MATCH
from headrace.errors import Fatal
from headrace.stream import columns
from headrace.transform import stage as stages
from headrace.transform.engine import MOST_LIMIT_S, Engine
from headrace.transform.isolate import TooCostly
from headrace.transform.reference import create
from tests.unit.transform.staged import Row, read, run, staged, transform, transform_on

ORDERS = [
    {"id": 1, "amount": 10.0, "status": "new"},
    {"id": 2, "amount": -1.0, "status": "new"},
    {"id": 3, "amount": 30.0, "status": "paid"},
]


def test_rows_are_transformed_and_keep_their_system_columns() -> None:
    result = run(
        transform(transform={"sql": "SELECT id, upper(status) AS status FROM input WHERE amount >= 0"}), ORDERS
    )
    assert result.rows == [{"id": 1, "status": "NEW"}, {"id": 3, "status": "PAID"}]
    assert result.system[1] == {
        "_partition": 3,
        "_offset": 102,
        "_seq": 0,
        "_ingested_at": dt.datetime(2023, 11, 14, 22, 13, 20, tzinfo=dt.UTC),
        "_source_ts": None,
        "_op": "insert",
        "_version": 7,
        "_flags": [],
    }
    assert result.filtered == {"amount >= 0": [1]}


def test_without_sql_rows_pass_as_they_are() -> None:
    assert run(transform(), ORDERS).rows == ORDERS


@pytest.mark.parametrize("name", ["status", "STATUS"])
def test_a_column_of_the_source_does_not_hide_one_that_is_made(name: str) -> None:
    """The control: without one, or in its place, the one that is made is published."""
    with pytest.raises(Fatal, match=rf"more than one column called .*{name}.*EXCLUDE"):
        run(transform(transform={"sql": f"SELECT *, id + 1 AS {name} FROM input"}), ORDERS)
    for star in ("* EXCLUDE (status)", "* REPLACE (amount + 1 AS amount)"):
        stage = transform(transform={"sql": f"SELECT {star}, id + 1 AS other FROM input"})
        assert run(stage, ORDERS).rows[0]["other"] == 2


def test_a_dropped_row_is_put_down_to_the_first_rule_it_fails() -> None:
    sql = "SELECT id FROM input WHERE amount >= 0 AND status = 'new'"
    assert run(transform(transform={"sql": sql}), ORDERS).filtered == {"amount >= 0": [1], "status = 'new'": [2]}


def test_a_row_that_became_several_counts_them() -> None:
    sql = "SELECT id, unnest(tags) AS tag FROM input"
    result = run(
        transform(transform={"sql": sql}),
        [{"id": 1, "tags": ["a", "b"]}, {"id": 2, "tags": ["c"]}, {"id": 3, "tags": []}],
    )
    assert [(row["id"], row["tag"]) for row in result.rows] == [(1, "a"), (1, "b"), (2, "c")]
    assert [row["_seq"] for row in result.system] == [0, 1, 0]
    assert result.filtered == {NO_MATCH: [2]}


def test_a_row_of_which_one_part_is_bad_is_quarantined_whole() -> None:
    sql = "SELECT id, unnest(tags) AS tag FROM input"
    checks = [{"check": "in", "column": "tag", "values": ["a", "b"]}]
    rows: list[Row] = [{"id": 1, "tags": ["a", "zz"]}, {"id": 2, "tags": ["b"]}]
    result = run(transform(transform={"sql": sql}, checks=checks), rows)
    assert [(row["id"], row["tag"]) for row in result.rows] == [(2, "b")]
    assert result.rejected == {0: ("check_in", "tag is 'zz', expected one of 'a', 'b'", "in_tag", "tag")}


@pytest.mark.parametrize("grown", ["repeat(note, 20)", "[note for n in range(20)]", "{'a': {'b': repeat(note, 20)}}"])
def test_a_row_that_grew_over_what_a_message_holds_is_set_aside(grown: str) -> None:
    sql = f"SELECT id, {grown} AS grown FROM input"
    rows: list[Row] = [{"id": 1, "note": "a"}, {"id": 2, "note": "a" * 500_000}, {"id": 3, "note": "b"}]
    result = run(transform(transform={"sql": sql}), rows)
    assert [row["id"] for row in result.rows] == [1, 3]
    assert [(row, reason) for row, (reason, *_) in result.rejected.items()] == [(1, "too_large")]


def test_rows_keep_their_order_when_a_join_does_not() -> None:
    sql = "SELECT id, known.label FROM input JOIN ref('shop.labels') AS known ON known.key = input.id"
    stage = transform(transform={"sql": sql})
    labels = pa.RecordBatch.from_pylist([{"key": key, "label": f"label {key}"} for key in range(999, -1, -1)])
    stage._engine.load((create("ref_shop__labels"), labels))
    result = run(stage, [{"id": at} for at in (5, 999, 0, 4000, 17)])
    assert [row["id"] for row in result.rows] == [5, 999, 0, 17]
    assert result.filtered == {NO_MATCH: [3]}


def test_the_row_that_the_sql_fails_on_is_set_aside_with_the_engines_message() -> None:
    rows = [{"price": str(at)} for at in range(500)]
    rows[321] = {"price": "12,50"}
    result = run(transform(transform={"sql": "SELECT CAST(price AS DOUBLE) AS price FROM input"}), rows)
    assert len(result.rows) == 499
    assert list(result.rejected) == [321]
    reason, detail, _, _ = result.rejected[321]
    assert reason == "transform_error"
    assert "Could not convert string '12,50' to DOUBLE" in detail


def test_many_failing_rows_each_say_what_failed_on_what() -> None:
    rows = [{"price": f"x{at}" if at % 2 else str(at)} for at in range(400)]
    sql = "SELECT CAST(price AS INT) AS price FROM input WHERE price <> '8'"
    result = run(transform(transform={"sql": sql}), rows)
    assert len(result.rejected) == 200
    assert result.rejected[7] == ("transform_error", "CAST(price AS INT) fails on price = 'x7'", None, "price")
    assert result.filtered == {"price <> '8'": [8]}


def test_sql_of_several_steps_that_fails_is_searched_by_halves() -> None:
    sql = "WITH parsed AS (SELECT CAST(price AS INT) AS price FROM input) SELECT price + 1 AS price FROM parsed"
    result = run(transform(transform={"sql": sql}), [{"price": price} for price in ("1", "x", "3", "y")])
    assert [row["price"] for row in result.rows] == [2, 4]
    assert set(result.rejected) == {1, 3}


def test_a_check_that_the_engine_fails_on_sets_its_row_aside() -> None:
    checks = [{"check": "expression", "sql": "CAST(price AS INT) > 0"}]
    result = run(transform(checks=checks), [{"price": "1"}, {"price": "x"}, {"price": "2"}])
    assert [row["price"] for row in result.rows] == ["1", "2"]
    assert result.rejected[1][0] == "transform_error"


class Slow(Engine):
    """An engine that takes too long over some rows. Units: `each_s` is how long it says that it took."""

    def __init__(self, slow: set[int], each_s: float) -> None:
        super().__init__()
        self._slow = slow
        self._each_s = each_s

    def query(self, sql: str, rows: pa.RecordBatch, most_s: float = math.inf) -> pa.RecordBatch:
        if "id" in rows.schema.names and self._slow & set(rows.column("id").to_pylist()):
            raise TooCostly("the SQL takes longer than 10 s", self._each_s)
        return super().query(sql, rows)


def test_the_row_that_takes_too_long_is_set_aside_alone() -> None:
    stage = transform_on(Slow({9}, 10.0), transform={"sql": "SELECT id FROM input WHERE id < 60"})
    result = run(stage, [{"id": at} for at in range(64)])
    assert [row["id"] for row in result.rows] == [at for at in range(60) if at != 9]
    assert result.rejected == {9: ("too_costly", "the SQL takes longer than 10 s", None, None)}


def test_what_is_known_to_take_too_long_is_not_tried_again() -> None:
    """Whole, eight of it, one: with the whole of it twice, a single row stopped the dataset."""
    stage = transform_on(Slow({9}, 31.0), transform={"sql": "SELECT id FROM input"})
    assert set(run(stage, [{"id": at} for at in range(64)]).rejected) == {9}


class Endless(Engine):
    """An engine that some rows would take for ever. Each is ended by the end of a process, which takes a while (`Sandbox`), and
    another is had `again_s` later. It is its own clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, slow: set[int], again_s: float = 0.0) -> None:
        super().__init__(query_limit_s=MOST_LIMIT_S)
        self._slow = slow
        self._again_s = again_s
        self.now_s = 0.0
        monkeypatch.setattr(stages, "time", self)

    def monotonic(self) -> float:
        return self.now_s

    def query(self, sql: str, rows: pa.RecordBatch, most_s: float = math.inf) -> pa.RecordBatch:
        if "id" in rows.schema.names and self._slow & set(rows.column("id").to_pylist()):
            most_s = min(most_s, self.query_limit_s)
            self.now_s += max(most_s + 2, 5) + self._again_s
            raise TooCostly(f"the SQL takes longer than {most_s:g} s", max(most_s + 2, 5))
        return super().query(sql, rows)


@pytest.mark.parametrize("slow", [0, 31_234])
def test_a_row_among_50_000_is_found_in_time_with_any_limit_that_can_be_set(
    slow: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = transform_on(Endless(monkeypatch, {slow}), transform={"sql": "SELECT id FROM input"})
    result = run(stage, [{"id": at} for at in range(50_000)])
    assert result.rejected == {slow: ("too_costly", f"the SQL takes longer than {MOST_LIMIT_S:g} s", None, None)}
    assert len(result.rows) == 49_999


def test_what_is_had_again_only_after_a_while_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process with millions of rows of reference data reads them when it is started: Kafka gives a member up after 300 s."""
    engine = Endless(monkeypatch, {31_234}, again_s=40.0)
    with pytest.raises(Fatal, match=r"tried for 200 s .*offsets 100 to 50099"):
        run(transform_on(engine, transform={"sql": "SELECT id FROM input"}), [{"id": at} for at in range(50_000)])
    assert engine.now_s < 300 - 30


def test_the_control_with_the_whole_limit_for_each_try_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "_SHARE", 1.0)
    with pytest.raises(Fatal, match="on many rows"):
        run(
            transform_on(Endless(monkeypatch, {31_234}), transform={"sql": "SELECT id FROM input"}),
            [{"id": at} for at in range(50_000)],
        )


def test_when_too_many_rows_take_too_long_the_dataset_stops_and_says_where() -> None:
    stage = transform_on(Slow(set(range(0, 64, 8)), 10.0), transform={"sql": "SELECT id FROM input"})
    with pytest.raises(Fatal, match=r"longer than 10 s, on many rows: .*partition 3, offsets 100 to 163"):
        run(stage, [{"id": at} for at in range(64)])


def test_sql_that_fits_no_row_stops_the_dataset_instead_of_quarantining_it() -> None:
    with pytest.raises(Fatal, match="prize"):
        run(transform(transform={"sql": "SELECT prize FROM input"}), [{"price": 1}])


DECLARED = {
    "fields": [
        {"name": "id", "logicalType": "integer", "required": True},
        {"name": "price", "logicalType": "number", "physicalType": "decimal(8, 2)"},
        {"name": "day", "logicalType": "date"},
        {"name": "note", "logicalType": "string"},
    ]
}


def test_declared_types_are_applied_and_what_does_not_fit_is_set_aside() -> None:
    rows: list[Row] = [
        {"id": "1", "price": "9.99", "day": "2024-02-29", "extra": 1},
        {"id": "2", "price": "cheap", "day": "2024-02-28", "extra": 2},
        {"id": "3", "price": "1", "day": "2023-02-29", "extra": 3},
        {"id": "4.5", "price": "1", "day": None, "extra": 4},
        {"id": None, "price": "1", "day": None, "extra": 5},
    ]
    result = run(transform(schema=DECLARED), rows)
    assert result.rows == [{"id": 1, "price": Decimal("9.99"), "day": dt.date(2024, 2, 29), "note": None, "extra": 1}]
    assert result.rejected == {
        1: ("check_type", "price is 'cheap', expected a value of type DECIMAL(8, 2)", "type_price", "price"),
        2: ("check_type", "day is '2023-02-29', expected a value of type DATE", "type_day", "day"),
        3: ("check_type", "id is '4.5', expected a value of type BIGINT", "type_id", "id"),
        4: ("check_not_null", "id is null, expected a value", "required_id", "id"),
    }


def test_under_a_strict_schema_a_value_that_is_not_declared_is_set_aside() -> None:
    fields = [{"name": "id", "logicalType": "integer"}]
    rows: list[Row] = [{"id": 1, "extra": None}, {"id": 2, "extra": "surprise"}]
    strict = run(transform(schema={"fields": fields, "evolution": "quarantine"}), rows)
    assert strict.rows == [{"id": 1}]
    assert strict.rejected[1] == (
        "check_type",
        "extra is 'surprise', expected no such column",
        "undeclared_extra",
        "extra",
    )
    additive = run(transform(schema={"fields": fields}), rows)
    assert additive.rows == rows


def test_only_required_and_system_columns_are_never_null() -> None:
    schema = run(transform(schema=DECLARED), [{"id": 1}]).schema
    assert [field.name for field in schema if not field.nullable and not field.name.startswith("_")] == ["id"]
    assert [field.name for field in schema][-8:] == [field.name for field in columns.TRANSFORMED_FIELDS]


def test_the_published_schema_is_known_before_the_first_row_and_does_not_depend_on_rows() -> None:
    sql = "SELECT id, list_sum(parts) AS total, {'x': id, 'y': [id]} AS nested, NULL AS nothing FROM input"
    stage = transform(transform={"sql": sql})
    batch = staged(
        pa.record_batch({"id": pa.array([1, 2], pa.int16()), "parts": pa.array([[1, 2], None], pa.list_(pa.int64()))})
    )
    before = stage.prepare(batch.rows.schema)
    assert run(stage, batch).schema == before
    assert before.field("total").type == pa.int64()  # DuckDB sums to 128 bits
    assert before.field("id").type == pa.int32()
    assert before.field("nothing").type == pa.string()
    assert before.field("nested").type == pa.struct([("x", pa.int32()), ("y", pa.list_(pa.int32()))])


def test_a_sum_that_no_published_integer_holds_is_set_aside() -> None:
    sql = "SELECT list_sum(parts) AS total FROM input"
    result = run(transform(transform={"sql": sql}), [{"parts": [2**62, 2**62]}, {"parts": [1, 2]}])
    assert result.rows == [{"total": 3}]
    assert result.rejected[0][:2] == ("check_type", "total is 9223372036854775808, expected a value of type BIGINT")


def test_records_of_an_older_shape_get_the_newer_one() -> None:
    stage = transform()
    newer = run(stage, [{"id": 1, "note": "x"}])
    older = run(stage, [{"id": 2}])
    assert older.rows == [{"id": 2, "note": None}]
    assert older.schema == newer.schema


def test_a_new_column_is_published_from_the_first_record_that_has_it() -> None:
    stage = transform()
    assert run(stage, [{"id": 1}]).schema.names[:2] == ["id", "_partition"]
    assert run(stage, [{"id": 2, "note": "x"}]).rows == [{"id": 2, "note": "x"}]


def test_a_batch_that_is_wholly_dropped_still_has_the_published_schema() -> None:
    stage = transform(transform={"sql": "SELECT id FROM input WHERE id > 5"})
    batch = staged([{"id": 1}, {"id": 2}])
    result = read(batch, stage(batch))
    assert result.rows == []
    assert result.schema == stage.output
