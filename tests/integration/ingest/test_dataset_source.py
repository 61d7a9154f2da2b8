"""The `dataset` connector on a real broker and registry: each row that passed once, in one generation of the other dataset."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest

from headrace.connector import Connector, Surroundings, opened
from headrace.connector.conformance import Conformance, Row
from headrace.errors import Fatal
from headrace.stream import columns, topics
from headrace.stream.service import LiveDataset
from services.ingest.connectors.dataset.settings import DatasetSource
from tests.integration.transformer.flow import Flow, with_system
from tests.stack import Stack

Read = list[dict[str, Any]]


class Origin:
    """A dataset of one partition, with rows that have passed its checks."""

    def __init__(self, stack: Stack) -> None:
        self.flow = Flow(stack)
        self.dataset = self.flow.apply(self.flow.dataset("orders", partitions=1))
        self.rows: list[Row] = []
        self.add()
        self.add()

    def add(self) -> Sequence[Row]:
        """See `SourceUnderTest.add`."""
        rows = [{"id": number, "name": f"n{number}"} for number in range(len(self.rows), len(self.rows) + 20)]
        self.publish(self.dataset, rows)
        given = [{**row, columns.SOURCE_TS: None, columns.OP: "insert"} for row in rows]
        self.rows += given
        return given

    def publish(self, dataset: LiveDataset, rows: Sequence[dict[str, Any]], op: str = "insert", **more: Any) -> None:
        topic = topics.validated(dataset.name, dataset.generation)
        self.flow.publish(topic, with_system(list(rows), columns.TRANSFORMED_FIELDS, constant={columns.OP: op}), **more)

    def source(self, **settings: Any) -> DatasetSource:
        return DatasetSource.model_validate({"type": "dataset", "dataset": self.dataset.name, **settings})

    def connect(self, surroundings: Surroundings, **settings: Any) -> Connector:
        """See `SourceUnderTest.connect`."""
        return opened(self.source(**settings), self.told(surroundings.schema, surroundings.batch_rows))

    def told(self, schema: pa.Schema | None = None, batch_rows: int = 1000) -> Surroundings:
        stack = self.flow.stack
        kafka = {"bootstrap.servers": stack.bootstrap_servers}
        return Surroundings("a.b", schema, batch_rows=batch_rows, kafka=kafka, registry_url=stack.registry_url)

    def unreachable(self) -> Connector:
        """See `SourceUnderTest.unreachable`."""
        return opened(self.source(dataset=f"{self.flow.domain}.nobody"), self.told())


@pytest.fixture
def origin(stack: Stack) -> Origin:
    return Origin(stack)


class TestDataset(Conformance):
    @pytest.fixture
    def source(self, origin: Origin) -> Origin:
        return origin


def read(connector: Connector, position: str | None = None) -> tuple[Read, str | None]:
    found: Read = []
    for fetched, reached in connector.read(position):
        position = reached
        found += fetched.rows.to_pylist()
        assert not fetched.rejected
    return found, position


def test_what_happened_to_a_row_comes_with_it(origin: Origin) -> None:
    origin.publish(origin.dataset, [{"id": 3, "name": "gone"}], op="delete")
    rows, _ = read(origin.connect(origin.told()))
    assert [(row["id"], row[columns.OP]) for row in rows[-2:]] == [(39, "insert"), (3, "delete")]
    assert {name for row in rows for name in row} == {"id", "name", columns.OP, columns.SOURCE_TS}, "and no other mark"


def test_what_was_not_committed_is_not_there(origin: Origin) -> None:
    origin.publish(origin.dataset, [{"id": 777, "name": "gone"}], commit=False)
    assert 777 not in [row["id"] for row in read(origin.connect(origin.told()))[0]]


def test_reading_stays_in_the_generation_it_began_in_until_a_snapshot_is_asked_for(origin: Origin) -> None:
    _, position = read(origin.connect(origin.told()))
    second = origin.flow.apply(origin.flow.dataset("orders", generation=2, version=2, partitions=1))
    origin.publish(second, [{"id": number, "name": "second"} for number in range(3)])
    origin.publish(origin.dataset, [{"id": 40, "name": "first"}])
    assert [row["id"] for row in read(origin.connect(origin.told()), position)[0]] == [40]
    anew, position = read(origin.connect(origin.told(), snapshot=2), position)
    assert [(row["id"], row["name"]) for row in anew] == [(0, "second"), (1, "second"), (2, "second")]
    with pytest.raises(Fatal, match="the number only rises"):
        read(origin.connect(origin.told()), position)


def test_a_generation_that_was_retired_is_told(origin: Origin) -> None:
    _, position = read(origin.connect(origin.told()))
    position = (position or "").replace('"generation": 1', '"generation": 7')
    with pytest.raises(Fatal, match=r"generation 7 of .* is not there any more.*source.snapshot.* to 2"):
        read(origin.connect(origin.told()), position)


def test_the_rows_to_come_begin_where_it_was_first_read(origin: Origin) -> None:
    """The control is the conformance of `start: earliest`, which reads what was there before."""
    nothing, position = read(origin.connect(origin.told(), start="latest"))
    assert nothing == []
    more = origin.add()
    rows, _ = read(origin.connect(origin.told(), start="latest"), position)
    assert [row["id"] for row in rows] == [row["id"] for row in more]
