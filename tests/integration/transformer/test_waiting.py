"""Rows whose parents are late, with the real transformer over the real broker: parked, released in order, given up in time."""

import threading
from typing import Any

import pytest
from confluent_kafka import IsolationLevel

from headrace.stream import columns, topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Replay, TransactionalWriter
from headrace.stream.ledger import LedgerEntry
from headrace.stream.parking import Place, Waiting, to_record
from headrace.stream.service import LiveDataset
from services.gateway.core.conservation import imbalance
from services.gateway.core.folding import Sums, added
from services.transformer.adapters import waiting
from services.transformer.adapters.waiting import ParkedTopic
from services.transformer.core.waitlist import Waitlist
from tests.integration.transformer.flow import Flow, until, with_system
from tests.integration.transformer.test_pump import stage_rows, working
from tests.stack import ends

Row = dict[str, Any]


@pytest.fixture
def airports(flow: Flow) -> LiveDataset:
    made = flow.apply(flow.dataset("airports", key=["code"], load={"mode": "upsert"}))
    known(flow, made, "JFK", 0)
    return made


def known(flow: Flow, airports: LiveDataset, code: str, at: int) -> None:
    rows = with_system([{"code": code}], columns.TRANSFORMED_FIELDS, at)
    flow.publish(topics.validated(airports.name, 1), rows)


def flights(flow: Flow, airports: LiveDataset, wait: str | None = "1h", version: int = 1) -> LiveDataset:
    check = {"check": "references", "column": "dest", "dataset": airports.name, "to": "code", "wait": wait}
    return flow.apply(flow.dataset("flights", version=version, checks=[check]))


def sums(flow: Flow, dataset: LiveDataset) -> Sums:
    """What the books say of the transformer: in them every row has one fate."""
    total = Sums()
    for entry in flow.control(topics.LEDGER, dataset.name):
        total = added(total, LedgerEntry(**entry))
    assert imbalance("transformer", total) == 0
    return total


def parked(flow: Flow, dataset: LiveDataset) -> list[int]:
    """The raw offsets of the rows that wait."""
    read = ParkedTopic(flow.connection, flow.registry, dataset)
    return sorted(row.place.offset for row in read({0, 1}))


def ids(flow: Flow, dataset: LiveDataset) -> list[int]:
    return [row["id"] for row in flow.rows(topics.transformed(dataset.name, 1))]


def sent(*dests: str, first: int = 0) -> list[Row]:
    return [{"id": first + at, "dest": dest} for at, dest in enumerate(dests)]


def test_children_that_come_first_are_released_in_order_when_their_parent_is_there(
    flow: Flow, airports: LiveDataset
) -> None:
    dataset = flights(flow, airports)
    with working(flow, dataset):
        stage_rows(flow, dataset, sent("SJU", "JFK", "BQN", "SJU", "SJU"), 0)
        until(lambda: sums(flow, dataset).parked_rows == 4)
        assert parked(flow, dataset) == [0, 2, 3, 4]
        known(flow, airports, "SJU", 1)  # nothing else comes: the transformer looks by itself
        until(lambda: sums(flow, dataset).released_rows == 3)
    assert ids(flow, dataset) == [1, 0, 3, 4]
    assert parked(flow, dataset) == [2]
    rows = flow.rows(topics.transformed(dataset.name, 1))
    assert [row["_offset"] for row in rows] == [1, 0, 3, 4]
    assert [row.get("_parked_at") is not None for row in rows] == [False, True, True, True]
    assert flow.quarantined(dataset.name) == []


def test_a_row_is_given_up_when_its_time_is_up(flow: Flow, airports: LiveDataset) -> None:
    dataset = flights(flow, airports, wait="1s")
    with working(flow, dataset):
        stage_rows(flow, dataset, sent("SJU", "JFK"), 1)
        until(lambda: sums(flow, dataset).quarantined_rows == 1)
    [late] = flow.quarantined(dataset.name)
    assert (late["reason"], late["rule"], late["raw_offset"], late["partition"]) == (
        "parent_late",
        "references_dest",
        0,
        1,
    )
    assert late["detail"].startswith(f"dest is 'SJU', expected a code known to {airports.name}; it waited since 20")
    assert sums(flow, dataset).quarantined == {"parent_late": 1}
    assert parked(flow, dataset) == []
    assert ids(flow, dataset) == [1]


def test_rows_that_wait_outlive_the_transformer(flow: Flow, airports: LiveDataset) -> None:
    dataset = flights(flow, airports)
    with working(flow, dataset):
        stage_rows(flow, dataset, sent("SJU", "BQN", "JFK"), 0)
        until(lambda: sums(flow, dataset).parked_rows == 2)
    known(flow, airports, "SJU", 1)
    with working(flow, dataset) as failures:
        until(lambda: bool(failures) or sums(flow, dataset).released_rows == 1)
        assert not failures
        stage_rows(flow, dataset, sent("JFK", first=3), 0, first=3)
        until(lambda: sums(flow, dataset).rows_in == 4)
    assert ids(flow, dataset) == [2, 0, 3]
    assert parked(flow, dataset) == [1]


def test_without_reading_back_they_would_be_forgotten_and_the_books_show_it(
    flow: Flow, airports: LiveDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control of the test above."""
    dataset = flights(flow, airports)
    with working(flow, dataset):
        stage_rows(flow, dataset, sent("SJU", "JFK"), 0)
        until(lambda: sums(flow, dataset).parked_rows == 1)
    known(flow, airports, "SJU", 1)
    with monkeypatch.context() as patched:
        patched.setattr(ParkedTopic, "__call__", lambda *_: [])
        with working(flow, dataset):
            stage_rows(flow, dataset, sent("SJU", first=2), 0, first=2)
            until(lambda: sums(flow, dataset).rows_in == 3)
    assert ids(flow, dataset) == [1, 2]
    left = sums(flow, dataset)
    assert (left.parked_rows, left.released_rows) == (1, 0)
    with working(flow, dataset):  # nothing is lost for good
        until(lambda: sums(flow, dataset).released_rows == 1)
    assert ids(flow, dataset) == [1, 2, 0]


def test_rows_go_on_when_the_file_does_not_ask_for_the_parent_any_more(flow: Flow, airports: LiveDataset) -> None:
    dataset = flights(flow, airports)
    with working(flow, dataset):
        stage_rows(flow, dataset, sent("SJU", "JFK"), 0)
        until(lambda: sums(flow, dataset).parked_rows == 1)
    without = flow.apply(flow.dataset("flights", version=2))
    with working(flow, without):
        until(lambda: sums(flow, dataset).released_rows == 1)
    assert ids(flow, dataset) == [1, 0]
    assert parked(flow, dataset) == []


def test_with_as_many_rows_as_may_wait_nothing_new_is_read_until_they_are_released(
    flow: Flow, airports: LiveDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the rows that do not wait would go first, as in the first test."""
    monkeypatch.setattr(Waitlist, "full", property(lambda self: len(self) >= 2))
    dataset = flights(flow, airports)
    with working(flow, dataset):
        stage_rows(flow, dataset, sent("SJU", "SJU"), 0)
        until(lambda: sums(flow, dataset).parked_rows == 2)
        stage_rows(flow, dataset, sent("JFK", "JFK", first=2), 0, first=2)
        known(flow, airports, "SJU", 1)
        until(lambda: sums(flow, dataset).rows_in == 4)
    assert ids(flow, dataset) == [0, 1, 2, 3]
    assert sums(flow, dataset).released_rows == 2


@pytest.mark.parametrize("behind", [True, False])
def test_a_row_in_a_transaction_that_is_being_decided_is_read_back_when_it_is(
    flow: Flow, airports: LiveDataset, monkeypatch: pytest.MonkeyPatch, behind: bool
) -> None:
    """The offsets may be there before it is; with `behind` false, the control, it would be forgotten."""
    dataset = flights(flow, airports)
    if not behind:
        monkeypatch.setattr(waiting, "Replay", lambda connection, topic, end: Replay(connection, topic))
    topic = topics.parked(dataset.name, 1)
    row = Waiting(Place(0, 7), 7, 0, None, b"value", "references_dest", "dest", airports.name, "code", "SJU", 1, 2)
    record = Controls(flow.registry).encode("parked", to_record(dataset.name, 1, row))
    read = ParkedTopic(flow.connection, flow.registry, dataset)
    found: list[Waiting] = []
    reading = threading.Thread(target=lambda: found.extend(read({0})))
    writer = TransactionalWriter(flow.connection, f"open-{topic}")
    with writer.transaction() as transaction:
        transaction.produce(topic, [record], partition=0, keys=[row.message_key])
        until(lambda: sum(ends(flow.connection, topic, IsolationLevel.READ_UNCOMMITTED)) > 0)
        reading.start()
        reading.join(1 if behind else 20)  # as long as it takes
        assert reading.is_alive() is behind
    reading.join(20)
    writer.close()
    assert found == ([row] if behind else [])
