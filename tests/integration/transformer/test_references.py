"""What a dataset refers to is what the other has published by then: all of it, committed, its latest version."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from headrace.errors import Fatal, Transient
from headrace.stream import columns, topics
from headrace.stream.service import LiveDataset
from headrace.transform.engine import Engine
from services.transformer.adapters.references import References
from tests.integration.transformer.flow import Flow, with_system

UPSERT: dict[str, Any] = {"key": ["code"], "load": {"mode": "upsert"}}
Rows = list[dict[str, Any]]


class Reader:
    """References to `airports`, and what its table holds after a refresh."""

    def __init__(self, flow: Flow, wanted: frozenset[str] = frozenset({"code", "city"})) -> None:
        self.table = f"ref_{flow.domain}__airports"
        self.engine = Engine()
        self.references = References(flow.connection, flow.registry, self.engine, {f"{flow.domain}.airports": wanted})

    def __call__(self) -> Rows:
        self.references.refresh()
        nothing = pa.RecordBatch.from_pylist([], schema=pa.schema([pa.field("x", pa.int64())]))
        found = self.engine.query(f'SELECT * FROM "{self.table}" ORDER BY ALL', nothing)
        return found.to_pylist()


@pytest.fixture
def reader(flow: Flow) -> Iterator[Reader]:
    made = Reader(flow)
    yield made
    made.references.close()


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


def test_a_restart_reads_everything_again(flow: Flow, reader: Reader) -> None:
    airports = flow.apply(flow.dataset("airports", **UPSERT))
    publish(flow, airports, [airport("JFK", "New York")])
    assert len(reader()) == 1
    publish(flow, airports, [airport("EWR", "Newark")])
    again = Reader(flow)
    assert [row["code"] for row in again()] == ["EWR", "JFK"]
    again.references.close()


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
    reader.references.close()


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
