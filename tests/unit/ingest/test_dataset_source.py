"""The rows of another dataset: from where they are read, and as what they come when its columns grow."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from headrace.connector import Surroundings
from headrace.contract import Decision
from headrace.errors import Fatal, Transient
from headrace.stream import columns
from headrace.stream.branches import Place
from headrace.stream.codec import Codec, avro_schema
from headrace.stream.kafka import Connection
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset
from headrace.stream.stage import Records
from services.ingest.connectors.dataset import connector as dataset_connector
from services.ingest.connectors.dataset.connector import DatasetConnector
from services.ingest.connectors.dataset.settings import DatasetSource
from services.ingest.core.marks import Marks, parted
from services.ingest.core.mending import Mending, mended
from tests.unit.transform.staged import contract

ORIGIN = "shop.orders"


class Topic:
    """A validated topic without a broker. `marks`: the first offset of each partition and its end."""

    def __init__(self, marks: Mapping[int, tuple[int, int]]) -> None:
        self.marks = marks
        self.sought: Mapping[int, int] = {}

    def watermarks(self) -> Mapping[int, tuple[int, int]]:
        return self.marks

    def seek(self, positions: Mapping[int, int]) -> None:
        self.sought = positions

    def advance(self) -> Iterator[Records]:
        return iter(())

    def close(self) -> None: ...


class Known(Registry):
    """A registry that has these schemas."""

    def __init__(self, schemas: Mapping[int, str]) -> None:
        self._schemas = schemas

    def schema(self, schema_id: int) -> str | None:
        return self._schemas.get(schema_id)


def connector(schemas: Mapping[int, str] | None = None, keyed: bool = False, **settings: object) -> DatasetConnector:
    source = DatasetSource.model_validate({"type": "dataset", "dataset": ORIGIN, **settings})
    surroundings = Surroundings("shop.large", None, batch_rows=100, key=("id",) if keyed else ())
    return DatasetConnector(source, surroundings, Connection("nowhere:1", {}), Known(schemas or {}))


def live(_: DatasetConnector) -> LiveDataset:
    return LiveDataset(ORIGIN, 1, 1, "active", contract(key=["id"]))


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Topic:
    made = Topic({0: (0, 10), 1: (40, 50)})
    monkeypatch.setattr(DatasetConnector, "_live", live)
    monkeypatch.setattr(DatasetConnector, "_topic", lambda *_: made)
    return made


def test_a_first_reading_begins_with_what_retention_has_left(topic: Topic) -> None:
    """It stopped, as if it had missed what was deleted, and to raise source.snapshot, as was said, did not help."""
    steps = list(connector().read(None))
    assert topic.sought == {0: 0, 1: 40}
    _, position = steps[-1]
    raised = connector(snapshot=2)
    list(raised.read(position))
    assert topic.sought == {0: 0, 1: 40}


def test_what_is_deleted_before_it_is_read_stops_the_reading(topic: Topic) -> None:
    """The control."""
    *_, (_, position) = connector().read(None)
    topic.marks = {0: (5, 10), 1: (40, 50)}
    with pytest.raises(Fatal, match="from 0 to 5"):
        list(connector().read(position))


def test_a_broker_that_does_not_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_topics, "_ANSWER_S", 0.2)
    with pytest.raises(Transient):
        connector()._topic(1)


def test_a_column_that_grows_within_one_reading_is_read_on() -> None:
    """Its rows came in two types, which did not go together: the reading stopped, and again each time."""
    parts = [pa.int32(), pa.int64()]
    schemas, values = {}, []
    for number, kind in enumerate(parts):
        fields: list[pa.Field[Any]] = [pa.field("amount", kind), *columns.TRANSFORMED_FIELDS]
        schema = pa.schema(fields)
        schemas[number] = avro_schema(schema, ORIGIN)
        row: dict[str, Any] = {field.name: 0 for field in columns.TRANSFORMED_FIELDS}
        row |= {"amount": number + 1, columns.OP: "insert", columns.FLAGS: [], columns.SOURCE_TS: None}
        values += Codec(schemas[number]).encode(pa.RecordBatch.from_pylist([row], schema=schema), number)
    fetched, _ = connector(schemas)._fetched(Records.numbered("validated", values))
    assert fetched.rows.column("amount").to_pylist() == [1, 2]
    assert fetched.rows.schema.field("amount").type == pa.int64()


def passed(*rows: dict[str, Any]) -> tuple[dict[int, str], Records]:
    """Rows as they stand in the validated topic of the origin; `age` is that of one that was resubmitted."""
    fields: list[pa.Field[Any]] = [pa.field("id", pa.int64()), *columns.TRANSFORMED_FIELDS, *columns.RESUBMITTED_FIELDS]
    schema = pa.schema(fields)
    avro = avro_schema(schema, ORIGIN)
    nothing: dict[str, Any] = dict.fromkeys(schema.names, 0) | {columns.FLAGS: [], columns.QUARANTINE_ID: None}
    nothing |= {columns.OP: "insert", columns.SOURCE_TS: None, columns.ORIGIN_OFFSET: None}
    whole = pa.RecordBatch.from_pylist([nothing | row for row in rows], schema=schema)
    return {0: avro}, Records.numbered("validated", Codec(avro).encode(whole, 0))


LATE = ({"id": 1, columns.OFFSET: 7}, {"id": 1, columns.OFFSET: 9, columns.ORIGIN_OFFSET: 3, columns.OP: "update"})


def test_a_row_is_as_old_as_it_is_in_its_origin() -> None:
    schemas, records = passed(*LATE)
    fetched, youngest = connector(schemas)._fetched(records, 100)
    assert fetched.rows.column(columns.ORIGIN_OFFSET).to_pylist() == [107, 103], "the second passed late"
    assert youngest == 107
    fetched, _ = connector(schemas)._fetched(records)
    assert columns.ORIGIN_OFFSET not in fetched.rows.schema.names, "where it does not count"


def test_what_is_read_is_younger_than_all_that_there_was(topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_topics, "exists", lambda *_: True)
    own = Topic({0: (0, 70), 1: (0, 30)})
    monkeypatch.setattr(dataset_connector, "Replay", lambda *_: own)
    *_, (_, position) = connector(keyed=True).read(None)
    place = Place.from_json(position)
    assert place.base == 70
    read = replace(place, youngest=500)
    *_, (_, position) = connector(keyed=True, snapshot=2).read(read.to_json())
    assert Place.from_json(position).base == 501, "read again, every row replaces what it was"
    assert Place.from_json(next(iter(connector().read(None)))[1]).base == -1


@pytest.mark.parametrize(
    "origin",
    [
        {},
        {"key": ["other"]},
        {"key": ["id", "other"]},
        {"key": ["id"], "transform": {"sql": "SELECT upper(id) AS id FROM input"}},
    ],
)
def test_ages_do_not_count_where_rows_of_a_key_come_from_several_partitions(
    topic: Topic, monkeypatch: pytest.MonkeyPatch, origin: dict[str, Any]
) -> None:
    monkeypatch.setattr(DatasetConnector, "_live", lambda _: LiveDataset(ORIGIN, 1, 1, "active", contract(**origin)))
    (_, position), *_ = connector(keyed=True).read(None)
    assert Place.from_json(position).base == -1, "the last that passes is the newest"


def test_a_row_that_was_set_aside_keeps_what_it_came_with() -> None:
    schemas, records = passed(*LATE)
    strange = connector(schemas, keyed=True)
    strange._schema = pa.schema([pa.field("other", pa.string())])
    strange._surroundings = replace(strange._surroundings, evolution="quarantine")
    fetched, _ = strange._fetched(records, 100)
    assert [row.column for row in fetched.rejected] == ["id", "id"]
    [first, second] = [parted(row.raw) for row in fetched.rejected]
    assert (first[0], second[0]) == (b'{"id":1}', b'{"id":1}')
    assert (first[1], second[1]) == (Marks(None, "insert", 107), Marks(None, "update", 103))


def test_a_decision_about_drift_lets_a_row_in_with_what_it_came_with() -> None:
    schemas, records = passed(*LATE)
    strange = connector(schemas, keyed=True)
    strange._schema = pa.schema([pa.field("number", pa.int64())])
    strange._surroundings = replace(strange._surroundings, evolution="quarantine")
    fetched, _ = strange._fetched(records, 100)
    decision = Decision.model_validate({"rename_to": "number"})
    mending = Mending({"id": decision}, "quarantine", (), lambda *_: ((), {}), marked=True)
    rows = mended(fetched, mending, ordered=True).rows
    assert rows.column("number").to_pylist() == [1, 1]
    assert rows.column(columns.OP).to_pylist() == ["insert", "update"]
    assert rows.column(columns.ORIGIN_OFFSET).to_pylist() == [107, 103]
