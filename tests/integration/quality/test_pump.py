"""Rows pass the quality service byte for byte, in their partition, and their profiles come with them or not at all."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from headrace.stream import columns, topics
from headrace.stream.codec import schema_id_of
from headrace.stream.service import LiveDataset
from services.quality.bootstrap import pump_for
from services.quality.settings import QualitySettings
from tests.integration.transformer.flow import Flow, until, with_system
from tests.stack import Stack


@pytest.fixture
def flow(stack: Stack) -> Flow:
    """Topics that only this test uses."""
    return Flow(stack)


@contextmanager
def working(flow: Flow, dataset: LiveDataset) -> Iterator[None]:
    """The quality service at work on a dataset, in a thread as in its process."""
    settings = QualitySettings(
        bootstrap_servers=flow.stack.bootstrap_servers, registry_url=flow.stack.registry_url, session_timeout_ms=6000
    )
    stopping = threading.Event()
    thread = threading.Thread(target=pump_for(dataset, settings, flow.registry).run, args=(stopping,))
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(30)
        assert not thread.is_alive()


def test_rows_pass_unchanged_and_are_profiled(flow: Flow) -> None:
    checks = [{"check": "between", "column": "amount", "max": 10, "severity": "flag"}]
    orders = flow.apply(flow.dataset("orders", version=3, checks=checks))
    came, went = topics.transformed(orders.name, 1), topics.validated(orders.name, 1)
    rows = [{"id": at, "amount": float(at)} for at in range(10)]
    flow.publish(came, with_system(rows, columns.TRANSFORMED_FIELDS), 0)
    flagged = with_system(
        [{"id": 99, "amount": 99.0}], columns.TRANSFORMED_FIELDS, constant={columns.FLAGS: ["between_amount"]}
    )
    flow.publish(came, flagged, 1)
    with working(flow, orders):
        until(lambda: len(flow.messages(went)) == 11)
    before, after = flow.messages(came), flow.messages(went)
    assert [(partition, value[5:]) for partition, value in sorted(before)] == [
        (p, value[5:]) for p, value in sorted(after)
    ]
    latest = flow.registry.latest(topics.subject(went))
    assert latest is not None
    assert {schema_id_of(value) for _, value in after} == {latest[0]}
    profiles = {record["partition"]: record for record in flow.control(topics.PROFILES, orders.name)}
    assert [profiles[number]["rows"] for number in (0, 1)] == [10, 1]
    amount = {column["name"]: column for column in profiles[0]["columns"]}["amount"]
    assert (amount["min"], amount["max"], amount["mean"], amount["m2"]) == ("0.0", "9.0", 4.5, 82.5)
    assert {column["name"]: column["flagged"] for column in profiles[1]["columns"]} == {"id": 0, "amount": 1}
    assert profiles[0]["version"] == 3


def test_after_a_restart_nothing_passes_or_is_profiled_twice(flow: Flow) -> None:
    orders = flow.apply(flow.dataset("orders"))
    came, went = topics.transformed(orders.name, 1), topics.validated(orders.name, 1)
    for first in (0, 5):
        rows = [{"id": first + at} for at in range(5)]
        flow.publish(came, with_system(rows, columns.TRANSFORMED_FIELDS, first), 0)
        with working(flow, orders):
            until(lambda: len(flow.messages(went)) == first + 5)  # noqa: B023 - called before the loop goes on
    assert [row["id"] for row in flow.rows(went)] == list(range(10))
    assert sum(record["rows"] for record in flow.control(topics.PROFILES, orders.name)) == 10
