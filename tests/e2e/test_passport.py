"""From a row back to its bytes and from a record on to its fate, over everything that really moves rows."""

import base64
import json
import time
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Consumer, TopicPartition

from headrace.client import ApiError, Passport
from headrace.stream import topics
from headrace.stream.codec import Codec, schema_id_of
from headrace.stream.registry import Registry
from tests.e2e.test_flights import headrace
from tests.stack import Platform

DOCUMENT = """\
dataset: {name}
description: Orders, a row for each tag.
owner: {{team: tests}}
source: {{type: http_push}}
transform:
  sql: SELECT id, amount, country, unnest(tags) AS tag FROM input WHERE amount > 0 AND state <> 'test'
checks:
  - {{name: known_country, check: in, column: country, values: [ch, li]}}
  - {{name: large, check: between, column: amount, max: 100, severity: flag}}
"""
ORDERS: list[dict[str, Any]] = [
    {"id": 1, "amount": 500, "country": "ch", "state": "paid", "tags": ["new", "gift"]},
    {"id": 2, "amount": -5, "country": "ch", "state": "paid", "tags": ["new"]},
    {"id": 3, "amount": 7, "country": "ch", "state": "test", "tags": ["new"]},
    {"id": 4, "amount": 8, "country": "CH", "state": "paid", "tags": ["new"]},
]


class Message(NamedTuple):
    """A record of a topic, as a reader that knows nothing of passports has it."""

    partition: int
    offset: int
    value: bytes


class Orders(NamedTuple):
    """A dataset of orders, and its raw records by the order's id."""

    name: str
    raw: dict[int, Message]

    def place(self, order: int) -> str:
        return f"{self.raw[order].partition}:{self.raw[order].offset}"


def messages(platform: Platform, topic: str) -> list[Message]:
    consumer = Consumer(
        {
            "bootstrap.servers": platform.stack.bootstrap_servers,
            "group.id": f"independent-{uuid.uuid4().hex}",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    try:
        partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        found, ended, deadline = [], 0, time.monotonic() + 60
        while ended < len(partitions):
            assert time.monotonic() < deadline, f"{topic} is not read to its end"
            message = consumer.poll(1)
            if message is not None and message.error() is None:
                found.append(Message(message.partition() or 0, message.offset() or 0, message.value() or b""))
            elif message is not None:
                ended += 1
        return found
    finally:
        consumer.close()


def raw_by_id(platform: Platform, name: str) -> dict[int, list[Message]]:
    """The raw records of each order, in the order of their offsets."""
    registry, found = Registry(platform.stack.registry_url), dict[int, list[Message]]()
    for message in messages(platform, topics.raw(name)):
        avro = registry.schema(schema_id_of(message.value) or 0)
        assert avro is not None
        row = Codec(avro).decode([message.value]).rows.to_pylist()[0]
        found.setdefault(row["id"], []).append(message)
    return found


@pytest.fixture(scope="module")
def orders(platform: Platform) -> Orders:
    name = f"pt.orders_{uuid.uuid4().hex[:8]}"
    platform.client.datasets.apply(name, DOCUMENT.format(name=name))
    platform.push(name, ORDERS)
    books = platform.client.datasets.wait_settled(name, timeout_s=120)
    assert (books.read, books.filtered_rows, books.quarantined) == (4, 2, {"check_in": 1}), books
    return Orders(name, {order: each[0] for order, each in raw_by_id(platform, name).items()})


def same_bytes(passport: Passport, message: Message) -> bool:
    return (passport.raw.partition, passport.raw.offset, passport.raw.content) == message


def test_a_row_leads_back_to_its_bytes_and_on_to_its_siblings(platform: Platform, orders: Orders) -> None:
    found = platform.client.rows.passports(orders.name, "id = 1 AND tag = 'gift'")
    [passport] = found.items
    assert passport.id == orders.place(1)
    assert same_bytes(passport, orders.raw[1])
    assert not same_bytes(passport, orders.raw[4])  # the control
    assert passport.raw.fields is not None
    assert passport.raw.fields["tags"] == ["new", "gift"]
    assert passport.raw.schema_ is not None
    assert passport.raw.schema_.id == schema_id_of(orders.raw[1].value)
    assert {"id", "amount", "country", "state", "tags"} <= {field.name for field in passport.raw.schema_.fields or ()}
    assert passport.fate.state == "loaded"
    assert [(row.seq, row.fields["tag"], row.matched, row.flags) for row in passport.rows] == [
        (0, "new", False, ("large",)),
        (1, "gift", True, ("large",)),
    ]
    assert [(leg.stage, leg.done, leg.version) for leg in passport.legs] == [
        (stage, True, 1) for stage in ("stager", "transformer", "quality", "loader")
    ]
    moments = [leg.committed_at for leg in passport.legs]
    assert all(moments)
    validated = {(each.partition, each.offset) for each in messages(platform, topics.validated(orders.name, 1))}
    assert {(row.loaded.partition, row.loaded.offset) for row in passport.rows} <= validated
    assert passport.version is not None
    assert (passport.version.version, passport.version.applied_by) == (1, "admin")
    assert "unnest(tags)" in (passport.version.sql or "")
    assert [check["name"] for check in passport.version.checks] == ["known_country", "large"]
    assert passport.lake.state in ("none", "waiting", "landed")
    assert (passport.quarantined, passport.edits) == ((), ())


def test_a_filtered_record_names_the_condition_that_dropped_it(platform: Platform, orders: Orders) -> None:
    for order, rule in ((2, "amount > 0"), (3, "state <> 'test'")):
        passport = platform.client.rows.passport(orders.name, orders.place(order))
        assert (passport.fate.state, passport.fate.rule) == ("filtered", rule)
        assert same_bytes(passport, orders.raw[order])
        assert passport.rows == ()
        assert {leg.stage for leg in passport.legs if leg.committed_at} == {"stager", "transformer"}
    with pytest.raises(ApiError, match="ends in front of offset"):
        platform.client.rows.passport(orders.name, "0:1000000")


def test_any_record_becomes_a_test_that_passes_until_the_rule_changes(
    platform: Platform, orders: Orders, tmp_path: Path
) -> None:
    ends = {1: "loaded", 2: "filtered by amount > 0", 4: "quarantined by known_country"}
    file = tmp_path / "orders.yaml"
    file.write_text(DOCUMENT.format(name=orders.name), encoding="utf-8")
    for order, end in ends.items():
        made = platform.client.rows.as_test(orders.name, orders.place(order))
        assert (made.outcome, made.notes) == (end, ())
        written = headrace(platform, "row", orders.name, "--raw", orders.place(order), "--as-test", "-f", str(file))
        assert written.returncode == 0, written.stderr
    [aside] = platform.client.quarantine.get(orders.name, everything=True).items
    assert platform.client.quarantine.as_test(orders.name, aside.id).outcome == ends[4]
    assert headrace(platform, "test", str(file)).returncode == 0
    file.write_text(file.read_text(encoding="utf-8").replace("[ch, li]", "[ch, CH]"), encoding="utf-8")
    assert "1 of 3 tests failed" in headrace(platform, "test", str(file)).stdout


def test_a_quarantined_record_is_followed_through_its_resubmission(platform: Platform, orders: Orders) -> None:
    old = platform.client.rows.passport(orders.name, orders.place(4))
    assert (old.fate.state, [each.reason for each in old.quarantined]) == ("quarantined", ["check_in"])
    [aside] = old.quarantined
    staged = {(each.partition, each.offset): each.value for each in messages(platform, topics.staged(orders.name))}
    assert base64.b64decode(aside.value or "") == staged[aside.partition, aside.offset]
    assert same_bytes(old, orders.raw[4])

    edit = {"country": "lower(country)"}
    asked = platform.client.quarantine.resubmit(orders.name, because="typed in capitals", ids=[aside.id], set=edit)
    assert platform.client.quarantine.wait(orders.name, asked).resubmitted == 1
    platform.client.datasets.wait_settled(orders.name, timeout_s=120)
    again = raw_by_id(platform, orders.name)[4][-1]

    old = platform.client.rows.passport(orders.name, orders.place(4))
    assert old.fate.state == "resubmitted"
    assert old.quarantined[0].became == (f"{again.partition}:{again.offset}",)
    [new] = platform.client.rows.passports(orders.name, "id = 4").items
    assert new.id == old.quarantined[0].became[0]
    assert same_bytes(new, again)
    assert not same_bytes(new, orders.raw[4])
    assert [row.fields["country"] for row in new.rows] == ["ch"]
    [was] = new.edits
    assert (was.id, was.acted_by, was.because) == (aside.id, "admin", "typed in capitals")
    assert json.loads(was.edit or "") == {"set": edit}
    assert was.acted_at is not None

    printed = headrace(platform, "row", orders.name, "--raw", new.id, "-o", "json")
    assert printed.returncode == 0, printed.stderr
    assert base64.b64decode(json.loads(printed.stdout)["items"][0]["raw"]["value"]) == again.value
