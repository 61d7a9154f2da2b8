"""What a dataset refers to is what the other has published by then: all of it, committed, its latest version."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from headrace.errors import Fatal, Transient
from headrace.stream import columns, topics
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.service import LiveDataset
from headrace.transform import kept
from headrace.transform.engine import Engine
from headrace.transform.sandbox import Sandbox
from headrace.transform.store import Store
from services.transformer.adapters.references import References
from tests.integration.transformer.flow import Flow, until, with_system

UPSERT: dict[str, Any] = {"key": ["code"], "load": {"mode": "upsert"}}
NOTHING = pa.RecordBatch.from_pylist([], schema=pa.schema([pa.field("x", pa.int64())]))
Rows = list[dict[str, Any]]


class Reader:
    """References to `airports`, and what its table holds after a refresh."""

    def __init__(
        self, flow: Flow, wanted: frozenset[str] = frozenset({"code", "city"}), store: Store | None = None
    ) -> None:
        self.table = f"ref_{flow.domain}__airports"
        self.engine = Engine() if store is None else Sandbox(store=store)
        self.references = References(flow.connection, flow.registry, self.engine, {f"{flow.domain}.airports": wanted})

    def __call__(self) -> Rows:
        self.references.refresh()
        found = self.engine.query(f'SELECT * FROM "{self.table}" ORDER BY ALL', NOTHING)
        return found.to_pylist()

    def close(self) -> None:
        self.references.close()
        self.engine.close()


@pytest.fixture
def reader(flow: Flow) -> Iterator[Reader]:
    made = Reader(flow)
    yield made
    made.close()


@contextmanager
def reading(flow: Flow, store: Store, *wanted: str) -> Iterator[Reader]:
    """As a service that begins with what is kept, and is killed."""
    made = Reader(flow, frozenset(wanted or {"code", "city"}), store)
    try:
        yield made
    finally:
        made.close()


def publish(flow: Flow, dataset: LiveDataset, rows: Rows, partition: int = 0, op: str = "insert", **more: Any) -> None:
    topic = topics.validated(dataset.name, dataset.generation)
    flow.publish(topic, with_system(rows, columns.TRANSFORMED_FIELDS, constant={columns.OP: op}), partition, **more)


def airport(code: str, city: str) -> dict[str, Any]:
    return {"code": code, "city": city, "altitude": 3}


def test_every_row_is_there_after_the_first_refresh(flow: Flow, reader: Reader) -> None:
    airports = flow.apply(flow.dataset("airports", **UPSERT))
    many = [airport(f"a{at:05}", "x") for at in range(3000)]
    publish(flow, airports, many[:2000], 0)
    publish(flow, airports, many[2000:], 1)
    assert reader() == [{"code": row["code"], "city": "x"} for row in many]  # and only the columns asked for


def test_changes_are_there_at_the_next_refresh(flow: Flow, reader: Reader) -> None:
    airports = flow.apply(flow.dataset("airports", **UPSERT))
    publish(flow, airports, [airport("JFK", "New York"), airport("EWR", "Newark"), airport("JFK", "NYC")])
    assert reader() == [{"code": "EWR", "city": "Newark"}, {"code": "JFK", "city": "NYC"}]
    publish(flow, airports, [airport("EWR", "")], op="delete")
    publish(flow, airports, [airport("JFK", "Queens"), airport("LGA", "Queens")])
    assert reader() == [{"code": "JFK", "city": "Queens"}, {"code": "LGA", "city": "Queens"}]
    assert reader() == [{"code": "JFK", "city": "Queens"}, {"code": "LGA", "city": "Queens"}]


def test_a_dataset_without_upsert_keeps_every_row(flow: Flow, reader: Reader) -> None:
    airports = flow.apply(flow.dataset("airports"))
    publish(flow, airports, [airport("JFK", "New York"), airport("JFK", "NYC")])
    assert [row["city"] for row in reader()] == ["NYC", "New York"]


def test_what_was_not_committed_is_not_there(flow: Flow, reader: Reader) -> None:
    airports = flow.apply(flow.dataset("airports", **UPSERT))
    publish(flow, airports, [airport("JFK", "New York")])
    publish(flow, airports, [airport("XXX", "Nowhere")], commit=False)
    assert [row["code"] for row in reader()] == ["JFK"]


def test_without_a_store_a_restart_reads_everything_again(flow: Flow, reader: Reader) -> None:
    airports = flow.apply(flow.dataset("airports", **UPSERT))
    publish(flow, airports, [airport("JFK", "New York")])
    assert len(reader()) == 1
    publish(flow, airports, [airport("EWR", "Newark")])
    again = Reader(flow)
    assert [row["code"] for row in again()] == ["EWR", "JFK"]
    assert again.references.changes == 2
    again.close()


def test_with_a_store_a_restart_reads_what_is_new(flow: Flow, tmp_path: Path) -> None:
    airports = flow.apply(flow.dataset("airports", **UPSERT))
    publish(flow, airports, [airport(f"a{at}", "x") for at in range(30)], 0)
    publish(flow, airports, [airport(f"b{at}", "x") for at in range(20)], 1)
    store = Store(tmp_path / "kept")
    with reading(flow, store) as reader:
        assert len(reader()) == 50
        assert reader.references.changes == 50
        publish(flow, airports, [airport("c", "y")], 1)
        assert len(reader()) == 51
    publish(flow, airports, [airport("a0", "z"), airport("b0", "z")], 0)
    publish(flow, airports, [airport("b1", "")], 1, op="delete")
    with reading(flow, store) as reader:
        rows = reader()
        assert reader.references.changes == 3
    assert len(rows) == 50
    assert {row["code"] for row in rows if row["city"] == "z"} == {"a0", "b0"}
    with reading(flow, store) as reader:
        assert reader() == rows
        assert reader.references.changes == 0


def test_what_was_kept_and_does_not_fit_is_read_anew_and_the_log_says_why(
    flow: Flow, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path / "kept")
    first = flow.apply(flow.dataset("airports", **UPSERT))
    publish(flow, first, [airport("JFK", "New York")])
    with reading(flow, store) as reader:
        assert len(reader()) == 1
    with reading(flow, store, "code", "city", "altitude") as reader:
        assert reader() == [airport("JFK", "New York")]
    assert "other columns of it are wanted now" in caplog.text
    second = flow.dataset("airports", generation=2, version=2, **UPSERT)
    publish(flow, second, [airport("LGA", "Queens")])
    flow.apply(second)
    with reading(flow, store, "code", "city", "altitude") as reader:
        assert [row["code"] for row in reader()] == ["LGA"]
    assert "generation 2 is live, and it was read from generation 1" in caplog.text
    topic = topics.validated(second.name, 2)
    kafka_topics.forget_topic(flow.connection, topic)
    until(lambda: _gone(flow, topic))
    flow.dataset("airports", generation=2, version=2, **UPSERT)
    publish(flow, second, [airport("EWR", "Newark")])
    with reading(flow, store, "code", "city", "altitude") as reader:
        assert [row["code"] for row in reader()] == ["EWR"]
    assert "its topic was deleted and made again" in caplog.text
    for file in (tmp_path / "kept").iterdir():
        if file.is_file():
            file.write_bytes(b"x" * 20_000)
    with reading(flow, store, "code", "city", "altitude") as reader:
        assert [row["code"] for row in reader()] == ["EWR"]
    assert "cannot be read, and is kept anew" in caplog.text


def _gone(flow: Flow, topic: str) -> bool:
    try:
        kafka_topics.topic_id(flow.connection, topic)
    except Transient:
        return True
    return False


def test_what_is_aged_stays_so(flow: Flow, tmp_path: Path) -> None:
    airports = flow.apply(flow.dataset("airports", **UPSERT))
    topic = topics.validated(airports.name, airports.generation)
    flow.publish(topic, with_system([airport("JFK", "New York")], columns.TRANSFORMED_FIELDS, 10), 0)
    store = Store(tmp_path / "kept")
    with reading(flow, store) as reader:
        assert len(reader()) == 1
    marks = {columns.QUARANTINE_ID: "0-1", columns.ORIGIN_OFFSET: 3}
    fields = (*columns.TRANSFORMED_FIELDS, *columns.RESUBMITTED_FIELDS)
    flow.publish(topic, with_system([airport("JFK", "Idlewild")], fields, 20, marks), 0)
    with reading(flow, store) as reader:
        with pytest.raises(Transient, match="read again"):
            reader()
        assert [row["city"] for row in reader()] == ["New York"]
    flow.publish(topic, with_system([airport("JFK", "older")], fields, 30, marks | {columns.ORIGIN_OFFSET: 5}), 0)
    with reading(flow, store) as reader:
        assert [row["city"] for row in reader()] == ["New York"]
        assert reader.references.changes == 1


def test_a_table_that_is_not_wanted_any_more_goes(flow: Flow, tmp_path: Path) -> None:
    airports = flow.apply(flow.dataset("airports"))
    publish(flow, airports, [airport("JFK", "New York")])
    store = Store(tmp_path / "kept")
    with reading(flow, store) as reader:
        assert len(reader()) == 1
    other = flow.apply(flow.dataset("others"))
    publish(flow, other, [airport("JFK", "New York")])
    engine = Sandbox(store=store)
    references = References(flow.connection, flow.registry, engine, {other.name: frozenset({"code"})})
    references.refresh()
    assert set(kept.found(engine)) == {other.name}
    assert engine.query(f"FROM ref_{flow.domain}__others", NOTHING).num_rows == 1
    with pytest.raises(Fatal, match="does not exist"):
        engine.query(f"FROM ref_{flow.domain}__airports", NOTHING)
    references.close()
    engine.close()


def test_a_new_generation_takes_the_place_of_the_old(flow: Flow, reader: Reader) -> None:
    first = flow.apply(flow.dataset("airports", **UPSERT))
    publish(flow, first, [airport("JFK", "New York")])
    assert [row["code"] for row in reader()] == ["JFK"]
    second = flow.dataset("airports", generation=2, version=2, **UPSERT)
    publish(flow, second, [airport("LGA", "Queens")])
    assert [row["code"] for row in reader()] == ["JFK"]  # it is not live yet
    flow.apply(second)
    assert [row["code"] for row in reader()] == ["LGA"]


def test_a_dataset_that_is_not_there_is_waited_for(flow: Flow, reader: Reader) -> None:
    with pytest.raises(Transient, match="no such dataset is live"):
        reader()
    airports = flow.apply(flow.dataset("airports", **UPSERT))
    with pytest.raises(Transient, match="no row of it has been published yet"):
        reader()
    publish(flow, airports, [airport("JFK", "New York")])
    assert len(reader()) == 1


def test_columns_that_nobody_has_are_an_error_that_names_those_there_are(flow: Flow) -> None:
    airports = flow.apply(flow.dataset("airports"))
    publish(flow, airports, [airport("JFK", "New York")])
    reader = Reader(flow, frozenset({"iata"}))
    with pytest.raises(Fatal, match=r"iata: no such column in .*, which has code, city, altitude"):
        reader()
    reader.close()


def test_a_table_that_is_updated_for_ever_does_not_grow(flow: Flow, reader: Reader) -> None:
    airports = flow.apply(flow.dataset("airports", **UPSERT))
    for round_ in range(5):
        publish(flow, airports, [airport(f"a{at}", f"{round_}") for at in range(1000)])
        assert {row["city"] for row in reader()} == {str(round_)}
    assert len(reader()) == 1000


@pytest.mark.parametrize("resubmitted", [True, False])
def test_a_resubmitted_row_does_not_replace_a_newer_one(flow: Flow, reader: Reader, resubmitted: bool) -> None:
    """Nor does it bring back one that was deleted since. The control: as ordinary rows they do both."""
    airports = flow.apply(flow.dataset("airports", **UPSERT))
    topic = topics.validated(airports.name, airports.generation)
    rows = [airport("JFK", "New York"), airport("EWR", "Newark")]
    flow.publish(topic, with_system(rows, columns.TRANSFORMED_FIELDS, 10), 0)
    gone = with_system([airport("EWR", "")], columns.TRANSFORMED_FIELDS, 12, {columns.OP: "delete"})
    flow.publish(topic, gone, 0)
    assert reader() == [{"code": "JFK", "city": "New York"}]
    older = [airport("JFK", "Idlewild"), airport("EWR", "Newark"), airport("LGA", "Queens")]
    marks = {columns.QUARANTINE_ID: "0-1", columns.ORIGIN_OFFSET: 3}
    fields = (*columns.TRANSFORMED_FIELDS, *(columns.RESUBMITTED_FIELDS if resubmitted else ()))
    flow.publish(topic, with_system(older, fields, 20, marks), 0)
    if resubmitted:
        with pytest.raises(Transient, match="read again"):
            reader()
        assert reader() == [{"code": "JFK", "city": "New York"}, {"code": "LGA", "city": "Queens"}]
    else:
        assert [row["city"] for row in reader()] == ["Newark", "Idlewild", "Queens"]
