"""What becomes of quarantined rows: as which rows they are written anew, and what the books say of it."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from headrace.contract import Contract
from headrace.errors import Fatal, Transient
from headrace.stream.ledger import Position
from headrace.transform.engine import Engine
from services.ingest.adapters.expressions import values_of
from services.ingest.adapters.quarantine_work import Made, isolated
from services.ingest.adapters.raw_topic import RawRecord
from services.ingest.adapters.row_age import origins
from services.ingest.core.quarantine import (
    DISCARDED,
    REFUSED,
    RESUBMITTED,
    Age,
    Asked,
    Done,
    Edit,
    Fate,
    may_be_deletion,
)
from services.ingest.core.quarantine_books import entries
from services.ingest.core.rebuilding import ages_of, of_records, of_source_rows
from services.ingest.core.types import with_declared

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIELDS: dict[str, pa.DataType] = {
    "id": pa.int64(),
    "price": pa.decimal128(9, 2),
    "day": pa.date32(),
    "tags": pa.list_(pa.string()),
}
SCHEMA = pa.schema(FIELDS)
AS_IT_WAS = Edit({})


def asked(value: bytes | str = b"", *, fields: dict[str, Any] | None = None, row: str = "0-1", **more: Any) -> Asked:
    raw = value.encode() if isinstance(value, str) else value
    given = {
        "request": "r", "dataset": "d.t", "row": row, "act": "resubmit", "edit": None, "by": "ada", "because": "a test",
        "stage": "ingest", "reason": "wrong_type", "column": None, "topic": None, "partition": 0, "raw_offset": None,
        "value": raw, "fields": json.dumps(fields) if fields else None, "quarantined_at": NOW,
    }  # fmt: skip
    return Asked(**{**given, **more})


def records(*rows: dict[str, Any]) -> pa.RecordBatch:
    """Staged rows."""
    whole = [{"_op": "update", "_source_ts": NOW, "_offset": 7, **row} for row in rows]
    marks = [
        pa.field("_source_ts", pa.timestamp("us", tz="UTC")),
        pa.field("_op", pa.string()),
        pa.field("_offset", pa.int64()),
    ]
    return pa.RecordBatch.from_pylist(whole, schema=pa.schema([*SCHEMA, *marks]))


def test_a_record_stays_what_it_was() -> None:
    row = {"id": 1, "price": Decimal("1.10"), "day": date(2026, 1, 1), "tags": ["a"]}
    made = of_records(records(row), SCHEMA, AS_IT_WAS, values_of)
    assert made.rows.to_pylist() == [{**row, "_op": "update", "_source_ts": NOW}]
    assert made.index == [0]
    assert not made.refused


def test_a_record_gets_columns_that_came_later() -> None:
    wider = with_declared(SCHEMA, {"id": pa.string(), "note": pa.string(), "_op": pa.string()})
    made = of_records(records({"id": 1}), wider, AS_IT_WAS, values_of)
    assert made.rows.schema.names == ["id", "price", "day", "tags", "note", "_source_ts", "_op"]
    assert made.rows.schema.field("id").type == pa.int64()


def test_a_record_of_another_shape_is_refused() -> None:
    other = pa.schema([("id", pa.list_(pa.int64()))])
    made = of_records(records({"id": 1}), other, AS_IT_WAS, values_of)
    assert "no longer those of the dataset" in made.refused[0]
    assert not made.rows.num_rows


def test_expressions_see_the_row_and_fit_their_column() -> None:
    given = records({"id": 1, "price": Decimal(2)}, {"id": 2, "price": Decimal(3)}, {"id": 0, "price": Decimal(4)})
    edit = Edit({"price": "price * 2", "id": "CASE WHEN id = 0 THEN CAST('x' AS INT) ELSE id + 1 END"})
    made = of_records(given, SCHEMA, edit, values_of)
    assert [(row["id"], row["price"]) for row in made.rows.to_pylist()] == [(2, Decimal(4)), (3, Decimal(6))]
    assert list(made.index) == [0, 1]
    assert "Could not convert string 'x'" in made.refused[2]


def test_a_value_that_does_not_fit_refuses_its_row_only() -> None:
    given = records({"id": 1}, {"id": 2})
    made = of_records(given, SCHEMA, Edit({"day": "CASE WHEN id = 1 THEN 'soon' ELSE '2026-02-03' END"}), values_of)
    assert [row["day"] for row in made.rows.to_pylist()] == [date(2026, 2, 3)]
    assert made.refused == {0: "column 'day': 'soon' is not of type date32[day]"}


@pytest.mark.parametrize(
    "edit", [Edit({"nothing": "1"}), Edit.of('{"patch": [{"op": "add", "path": "/nothing", "value": 1}]}')]
)
def test_an_edit_of_no_column_is_refused(edit: Edit) -> None:
    assert "no column 'nothing'" in of_records(records({"id": 1}), SCHEMA, edit, values_of).refused[0]


def test_a_patch_makes_only_its_columns_anew() -> None:
    patch = [{"op": "replace", "path": "/day", "value": "2026-05-06"}, {"op": "add", "path": "/tags/-", "value": "b"}]
    given = records({"id": 2**62 + 1, "price": Decimal("0.10"), "tags": ["a"]}, {"id": 2})
    made = of_records(given, SCHEMA, Edit.of(json.dumps({"patch": patch})), values_of)
    [row] = made.rows.to_pylist()
    assert (row["id"], row["price"], row["day"], row["tags"]) == (
        2**62 + 1,
        Decimal("0.10"),
        date(2026, 5, 6),
        ["a", "b"],
    )
    assert "the add of /tags/- fails" in made.refused[1]


def test_source_rows_are_read_as_their_source_is() -> None:
    given = [
        asked('{"id": 1, "price": "1.50", "tags": ["x"]}'),
        asked('{"id": "one"}'),
        asked('{"id": 2, "fresh": 1}'),
        asked("3,1.5,2026-01-01", fields={"id": "3", "price": "1.5", "day": "2026-01-01"}),
        asked("4,NA,", fields={"id": "4", "price": "NA", "day": None}),
        asked("a line that is torn"),
    ]
    made = of_source_rows([each.given for each in given], SCHEMA, "evolve", ["", "NA"], AS_IT_WAS, values_of)
    assert list(made.index) == [0, 3, 4]
    assert [(row["id"], row["price"], row["day"]) for row in made.rows.to_pylist()] == [
        (1, Decimal("1.50"), None),
        (3, Decimal("1.50"), date(2026, 1, 1)),
        (4, None, None),
    ]
    assert made.refused.keys() == {1, 2, 5}
    assert "the column 'fresh' is not declared" in made.refused[2]
    assert "--set or --patch" in made.refused[5]


def test_source_rows_are_edited_as_texts() -> None:
    given = [
        asked('{"id": 1, "price": "1.50 CHF"}'),
        asked("2,7 CHF", fields={"id": "2", "price": "7 CHF"}),
        asked('{"id": 3, "price": "dear"}'),
    ]
    made = of_source_rows(
        [each.given for each in given], SCHEMA, "evolve", [""], Edit({"price": "split_part(price, ' ', 1)"}), values_of
    )
    assert [(row["id"], row["price"]) for row in made.rows.to_pylist()] == [(1, Decimal("1.50")), (2, Decimal(7))]
    assert list(made.index) == [0, 1]
    assert "'dear' is not" in made.refused[2]


#: Bytes of which no column can be read, and why.
UNREADABLE = [
    (b"\xff\xfe", "not UTF-8"),
    (b'{"id": 1, "price": "1.50", "tags": ["a long te', "not read as they are"),  # cut off: too_large
    (b'{"before": null, "after": {"id": 1}, "op": "c"}', "nothing in its bytes is a column"),
    (b"{}", "nothing in its bytes is a column"),
]
WHOLE = {"id": "9", "price": "1.5", "day": "2026-01-02", "tags": ["x"]}


def adding(values: dict[str, Any]) -> Edit:
    patch = [{"op": "add", "path": f"/{name}", "value": value} for name, value in values.items()]
    return Edit.of(json.dumps({"patch": patch}))


@pytest.mark.parametrize("raw", [UNREADABLE[0][0], UNREADABLE[1][0], UNREADABLE[3][0]])
@pytest.mark.parametrize(
    "edit",
    [adding(WHOLE | {"id": 9}), Edit({"id": "9", "price": "1.5", "day": "'2026-01-02'", "tags": "['x']"})],
)
def test_an_edit_can_give_a_whole_row(edit: Edit, raw: bytes) -> None:
    made = of_source_rows([asked(raw).given], SCHEMA, "evolve", [""], edit, values_of)
    assert made.rows.to_pylist() == [{"id": 9, "price": Decimal("1.50"), "day": date(2026, 1, 2), "tags": ["x"]}]


@pytest.mark.parametrize(("raw", "said"), UNREADABLE)
@pytest.mark.parametrize("edit", [adding({"id": 9}), Edit({"id": "9", "day": "'2026-01-02'"}), AS_IT_WAS])
def test_an_edit_of_some_columns_makes_no_row_of_unreadable_bytes(edit: Edit, raw: bytes, said: str) -> None:
    made = of_source_rows([asked(raw).given], SCHEMA, "evolve", [""], edit, values_of)
    assert not made.rows.num_rows
    assert said in made.refused[0]
    assert "tags would be lost" in made.refused[0]


def test_an_edit_of_some_columns_keeps_the_others_of_readable_bytes() -> None:
    """The control of the test before."""
    made = of_source_rows([asked('{"price": "1.50"}').given], SCHEMA, "evolve", [""], adding({"id": 9}), values_of)
    assert [(row["id"], row["price"]) for row in made.rows.to_pylist()] == [(9, Decimal("1.50"))]


def contract(**source: Any) -> Contract:
    schema = {"fields": [{"name": name, "logicalType": "string"} for name in ("id", "note")]}
    document = {"dataset": "d.t", "description": "a test", "owner": {"team": "t"}, "source": source, "schema": schema}
    return Contract.model_validate(document | {"load": {"mode": "append"}})


TOPIC = {"type": "kafka", "bootstrap_servers": "k:9092", "topic": "t", "value": {"format": "json"}}
DELETING = TOPIC | {"tombstones": "delete", "key": {"format": "json", "columns": ["id"]}}


@pytest.mark.parametrize("raw", [b'{"id": "a"}', b"a", b"\xff"])
def test_what_may_have_been_a_deletion_is_no_row(raw: bytes) -> None:
    assert "deletes its row" in str(may_be_deletion(asked(raw), contract(**DELETING)))
    assert may_be_deletion(asked(raw), contract(**TOPIC)) is None, "without deletions it is a row"
    assert may_be_deletion(asked('{"id": "a", "note": 1}'), contract(**DELETING)) is None, "more than a key is a row"


def test_a_captured_change_is_no_row() -> None:
    source = {"type": "postgres_cdc", "host": "h", "name": "d", "table": "s.t", "user": "u"}
    assert "captured database" in str(may_be_deletion(asked('{"id": "a"}'), contract(**source)))


def test_expressions_reach_nothing_but_the_row() -> None:
    made = of_records(
        records({"id": 1}), SCHEMA, Edit({"id": "(SELECT count(*) FROM read_csv('/etc/passwd'))"}), values_of
    )
    assert "disabled by configuration" in made.refused[0]


def test_an_expression_that_gives_several_values_gives_no_row() -> None:
    given = records({"id": 1, "tags": ["a", "b"]}, {"id": 2, "tags": ["c"]})
    made = of_records(given, SCHEMA, Edit({"id": "length(unnest(tags))"}), values_of)
    assert [row["id"] for row in made.rows.to_pylist()] == [1]
    assert made.refused == {0: "an expression has to give one value of each row"}


def test_an_expression_has_its_time() -> None:
    endless = "(SELECT count(*) FROM range(1000000000000) AS numbers(n) WHERE n % 7 = id)"
    _, failed = values_of([endless], records({"id": 1}, {"id": 2}), most_s=0.2)
    assert failed == {0: "it takes longer than it may", 1: "it takes longer than it may"}


class Breaking(Engine):
    """Breaks on the row whose id is 2, and is of no use from then on, as DuckDB is after an internal error."""

    broken = False

    def query(self, sql: str, rows: pa.RecordBatch, most_s: float = math.inf) -> pa.RecordBatch:
        self.broken = self.broken or 2 in rows.column("id").to_pylist()
        if self.broken:
            raise Fatal("DuckDB failed") from duckdb.InternalException("INTERNAL Error: a bug")
        return super().query(sql, rows, most_s)


class Counting(Engine):
    """Counts what it is asked."""

    asked = 0

    def query(self, sql: str, rows: pa.RecordBatch, most_s: float = math.inf) -> pa.RecordBatch:
        Counting.asked += 1
        return super().query(sql, rows, most_s)


@pytest.mark.parametrize("expression", ["value::INT", "nothing + 1"])
def test_rows_of_which_many_fail_are_told_apart_by_few_queries(
    expression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One by one they took the time that there is for all, and the good rows behind them failed with them."""
    monkeypatch.setattr(Counting, "asked", 0)
    texts = [f"{at} CHF" if at % 3 else str(at) for at in range(600)] + [None]
    values, failed = values_of([expression], pa.RecordBatch.from_pydict({"value": texts}), opening=Counting)
    fits = expression == "value::INT"
    assert sorted(failed) == [at for at in range(601) if not fits or (at % 3 and at < 600)]
    assert all("Error" in said for said in failed.values())
    assert values[0].to_pylist()[:4] == ([0, None, None, 3] if fits else [None] * 4)
    assert Counting.asked < 50


def test_what_breaks_the_database_refuses_its_row_only() -> None:
    [values], failed = values_of(["id + 1"], records({"id": 1}, {"id": 2}, {"id": 3}), opening=Breaking)
    assert values.to_pylist() == [2, None, 4]
    assert failed == {1: "INTERNAL Error: a bug"}


def made_of(*fails: Exception) -> tuple[Any, list[int]]:
    """What makes rows, and raises the nth error of the nth row; how many were asked for each time."""
    calls: list[int] = []

    def make(some: Sequence[Asked]) -> dict[int, Made]:
        calls.append(len(some))
        for each in some:
            at = int(each.row.partition("-")[2])
            if at < len(fails):
                raise fails[at]
        return {at: (each.value, None, 0) for at, each in enumerate(some)}

    return make, calls


def test_an_error_of_one_row_refuses_that_row(caplog: pytest.LogCaptureFixture) -> None:
    make, calls = made_of(OverflowError("year 10000"), Fatal("no"))
    made = isolated(make, [asked(b"v", row=f"0-{at}") for at in range(4)])
    assert made == {0: "OverflowError: year 10000", 1: "no", 2: (b"v", None, 0), 3: (b"v", None, 0)}
    assert calls == [4, 1, 1, 1, 1]
    assert len([record for record in caplog.records if record.exc_info]) == 1


def test_infrastructure_that_fails_refuses_nothing() -> None:
    """The control of the test before."""
    make, _ = made_of(Transient("the registry is away"))
    with pytest.raises(Transient):
        isolated(make, [asked(row="0-0"), asked(row="0-1")])


def test_a_time_that_no_patch_can_read_refuses_its_row() -> None:
    """Arrow knows years that Python does not."""
    kind = pa.timestamp("us", tz="UTC")
    schema = pa.schema([("id", pa.int64()), ("at", kind)])
    given = pa.RecordBatch.from_arrays([pa.array([1, 2]), pa.array([2**60, 0], pa.int64()).cast(kind)], schema=schema)

    def make(some: Sequence[Asked]) -> dict[int, Made]:
        rows = given.take(pa.array([int(each.row[-1]) for each in some]))
        made = of_records(rows, schema, adding({"id": 9}), values_of)
        return dict.fromkeys(made.index, (b"v", None, 0))

    found = isolated(make, [asked(row="0-0"), asked(row="0-1")])
    assert found[1] == (b"v", None, 0)
    assert isinstance(found[0], str)


def test_the_books_of_an_act() -> None:
    position = Position("d.t", 1, 3, "ingest", "i")
    fates = [
        Fate(asked(partition=0), RESUBMITTED, target=0),
        Fate(asked(partition=0, reason="check_in"), RESUBMITTED, target=1),  # its key was edited
        Fate(asked(partition=1), DISCARDED),
        Fate(asked(partition=1), REFUSED),
    ]
    zero, one = entries(position, fates, {0: 10, 1: 20}, NOW)
    assert (zero.partition, zero.rows_in, zero.emitted, zero.bytes_in) == (0, -1, 1, 10)
    assert (zero.resubmitted, zero.discarded) == ({"wrong_type": 1, "check_in": 1}, {})
    assert (one.partition, one.rows_in, one.emitted, one.bytes_in) == (1, 1, 1, 20)
    assert (one.resubmitted, one.discarded) == ({}, {"wrong_type": 1})
    assert sum(each.rows_in for each in (zero, one)) == 0, "nothing was read from the source"


def test_a_request_that_names_no_row_is_none() -> None:
    record = asdict(asked()) | {"value": ""}
    assert Asked.of(record) == asked()
    with pytest.raises(ValueError, match="invalid literal"):
        Asked.of(record | {"row": "all"})


def test_what_is_done_is_known_by_dataset() -> None:
    done = Done()
    done.add("d.t", "1-4711")
    assert ("d.t", "1-4711") in done
    assert ("d.t", "0-4711") not in done
    assert ("d.u", "1-4711") not in done


class Topic:
    """A raw topic of one record for each partition, at offset 0."""

    def __init__(self, *keys: bytes, before: int = -1) -> None:
        self._keys = keys
        self._before = before
        self.asked = 0

    def record(self, dataset: str, partition: int, offset: int) -> RawRecord | None:
        del dataset
        return RawRecord(b"", self._keys[partition], NOW) if partition < len(self._keys) and not offset else None

    def offset_before(self, dataset: str, partition: int, at: datetime) -> int:
        del dataset, partition, at
        self.asked += 1
        return self._before


def test_a_row_that_is_older_than_all_never_ties_with_the_first_of_its_key() -> None:
    rows, ages = [asked(row=f"0-{at}") for at in range(3)], [Age(NOW, None)] * 3
    topic = Topic(b"a")
    same, other, empty = origins(topic, rows, [0, 0, 1], ages, [b"a", b"b", b"a"]).values()
    assert "has its key" in str(same)
    assert (other, empty) == (0, 0)
    assert topic.asked == 2, "the brokers are asked once for each partition and time"
    assert origins(Topic(b"a", before=5), rows[:1], [0], ages[:1], [b"a"]) == {0: 5}


def test_a_row_that_was_a_record_is_as_old_as_that_in_its_partition_only() -> None:
    age, again = Age(NOW, 7), Age(NOW, 7, again=True)
    found = origins(Topic(before=3), [asked()] * 3, [0, 1, 1], [age, age, again], [b"a"] * 3)
    assert (found[0], found[1]) == (7, 3)
    assert "its key is edited" in str(found[2])


def test_a_row_keeps_its_age_however_often_it_is_resubmitted() -> None:
    """The second was resubmitted before: it is as old as it was then, not as the record that was written for it."""
    rows = records({"id": 1}, {"id": 2})
    rows = rows.append_column(pa.field("_origin_offset", pa.int64()), pa.array([None, 5], pa.int64()))
    then = NOW - timedelta(days=1)
    first, second = ages_of(rows, [asked(raw_offset=100), asked(raw_offset=101)], [then, NOW])
    assert first.since == then, "its record was written before it was set aside"
    assert (first.offset, first.again) == (100, False)
    assert (second.offset, second.again) == (5, True)
