"""Rows of a dataset branch into others: each goes once where a condition sends it, and the books of both say so."""

import uuid
from collections.abc import Iterable
from contextlib import suppress

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from headrace.client import ApiError
from headrace.stream import topics
from headrace.stream.kafka import Connection
from tests.stack import Platform, eventually

ORIGIN = """\
dataset: {name}
description: a test of branches
owner: {{team: tests}}
source: {{type: http_push}}
key: [id]
load: {{mode: upsert}}
schema: {{fields: [{{name: id, logicalType: integer, required: true}}, {{name: amount, logicalType: integer}}]}}
checks: [{{name: positive, check: between, column: amount, min: 0}}]
"""
BRANCH = """\
dataset: {name}
description: a branch
owner: {{team: tests}}
source: {{type: dataset, dataset: {origin}, {more}}}
key: [id]
load: {{mode: upsert}}
transform: {{sql: "SELECT *, amount * 2 AS twice FROM input WHERE {condition}"}}
"""


def named(kind: str) -> str:
    return f"br.{kind}_{uuid.uuid4().hex[:8]}"


def applied(platform: Platform, origin: str, condition: str, more: str = "start: earliest") -> str:
    name = named("branch")
    platform.client.datasets.apply(name, BRANCH.format(name=name, origin=origin, condition=condition, more=more))
    return name


def ids(platform: Platform, name: str) -> list[int]:
    with suppress(ApiError):  # the table comes with its first row
        return [row[0] for row in platform.client.query(f"SELECT id FROM {name} ORDER BY id").rows]
    return []


def shows(platform: Platform, name: str, wanted: Iterable[int]) -> None:
    expected = sorted(wanted)
    eventually(lambda: ids(platform, name) == expected, 90, f"{name} has {len(expected)} rows")


def late_is_placed(platform: Platform, name: str) -> None:
    platform.client.datasets.wait_settled(name, timeout_s=120)  # its source has been read to its end once


@pytest.fixture(scope="module")
def origin(platform: Platform) -> str:
    name = named("origin")
    platform.client.datasets.apply(name, ORIGIN.format(name=name))
    platform.push(name, [{"id": n, "amount": n - 1} for n in range(40)])  # the first is none that passes
    platform.client.datasets.wait_settled(name, timeout_s=120)
    return name


def test_each_row_goes_where_its_condition_sends_it(platform: Platform, origin: str) -> None:
    large, small = applied(platform, origin, "amount >= 20"), applied(platform, origin, "amount < 20")
    late = applied(platform, origin, "true", "start: latest")
    shows(platform, large, range(21, 40))
    shows(platform, small, range(1, 21))
    late_is_placed(platform, late)
    platform.push(origin, [{"id": n, "amount": n} for n in (100, 101, 3)])  # the last: another amount of a row it has
    shows(platform, large, [*range(21, 40), 100, 101])
    shows(platform, late, [3, 100, 101])
    assert platform.client.query(f"SELECT twice FROM {small} WHERE id = 3").rows == ((6,),)
    for name in (large, small):
        platform.client.datasets.wait_settled(name, timeout_s=120)
    books = [platform.client.datasets.ledger(name) for name in (large, small)]
    assert sum(each.loaded for each in books) == 42, "each row that passed went to one of both"
    assert [each.loaded + each.filtered_rows for each in books] == [42, 42]


def test_every_row_is_read_again_when_somebody_asks_for_it(platform: Platform, origin: str) -> None:
    name = applied(platform, origin, "amount > 30")
    platform.client.datasets.wait_settled(name, timeout_s=120)
    before = platform.client.datasets.ledger(name)
    document = BRANCH.format(name=name, origin=origin, condition="amount > 30", more="snapshot: 2")
    platform.client.datasets.apply(name, document)
    eventually(
        lambda: platform.client.datasets.ledger(name).loaded == 2 * before.loaded,
        90,
        "each row is there twice in the books",
    )
    assert len(ids(platform, name)) == before.loaded


def test_a_row_that_passes_late_does_not_replace_a_newer_one(platform: Platform) -> None:
    """The origin set it aside at first; a newer one of its key has passed by the time it is mended."""
    first, client = named("late"), platform.client
    client.datasets.apply(first, ORIGIN.format(name=first))
    platform.push(first, [{"id": 0, "amount": -1}, {"id": 1, "amount": 1}])
    platform.push(first, [{"id": 0, "amount": 50}])
    name = applied(platform, first, "true")
    shows(platform, name, [0, 1])
    request = client.quarantine.resubmit(first, because="a test", all_matching=True, set={"amount": "7"})
    assert client.quarantine.wait(first, request, timeout_s=120).resubmitted == 1
    for each in (first, name):
        client.datasets.wait_settled(each, timeout_s=120)
        assert client.query(f"SELECT amount FROM {each} WHERE id = 0").rows == ((50,),), each
    assert client.datasets.ledger(name).loaded == 3, "it has come through"


def test_rows_do_not_come_round(platform: Platform, origin: str) -> None:
    name = applied(platform, origin, "true")
    with pytest.raises(ApiError, match="wait for each other"):
        platform.client.datasets.apply(
            origin, BRANCH.format(name=origin, origin=name, condition="true", more="start: earliest")
        )


def test_what_was_deleted_before_it_was_read_is_said(platform: Platform) -> None:
    first = named("short")
    platform.client.datasets.apply(first, ORIGIN.format(name=first))
    platform.push(first, [{"id": n, "amount": n} for n in range(10)])
    platform.client.datasets.wait_settled(first, timeout_s=120)
    name = applied(platform, first, "true")
    shows(platform, name, range(10))
    platform.client.sources.pause(name, "a test")
    platform.push(first, [{"id": 10, "amount": 10}])
    platform.client.datasets.wait_settled(first, timeout_s=120)
    delete_all(Connection(platform.stack.bootstrap_servers), topics.validated(first, 1))
    platform.client.sources.resume(name)
    eventually(lambda: "deleted" in failures(platform, name), 90, "it says that rows are missing")
    assert "source.snapshot" in failures(platform, name)


def failures(platform: Platform, name: str) -> str:
    return " ".join(platform.client.datasets.status(name)[0].problems)


def delete_all(connection: Connection, topic: str) -> None:
    """As retention does."""
    admin = AdminClient(connection.client())
    count = len(admin.list_topics(topic, timeout=10).topics[topic].partitions)
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    ends = admin.list_offsets({TopicPartition(topic, number): latest for number in range(count)})
    places = [TopicPartition(topic, place.partition, future.result(10).offset) for place, future in ends.items()]
    for future in admin.delete_records(places).values():
        future.result(10)
