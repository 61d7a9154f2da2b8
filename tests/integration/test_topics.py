"""How long topics keep what is in them."""

import uuid
from contextlib import suppress
from datetime import timedelta

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from headrace.stream import topics
from headrace.stream.kafka import Connection
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.kafka.topics import ensure_control, ensure_dataset
from tests.stack import Stack, eventually

WEEK_MS = str(7 * 24 * 3600 * 1000)


def settings(connection: Connection, topic: str) -> dict[str, str]:
    """The settings of a topic. One that has just been made needs a moment to be known."""
    admin = AdminClient(connection.client())
    found: dict[str, str] = {}

    def known() -> bool:
        (asked,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
        with suppress(KafkaException):
            found.update({name: entry.value for name, entry in asked.result(10).items()})
        return bool(found)

    eventually(known, 30, f"the settings of {topic} are known")
    return found


def test_idempotency_keys_expire_and_other_state_does_not(stack: Stack) -> None:
    connection = Connection(stack.bootstrap_servers)
    ensure_control(connection)
    keys = settings(connection, topics.PUSH_KEYS)
    assert set(keys["cleanup.policy"].split(",")) == {"compact", "delete"}
    assert keys["retention.ms"] == WEEK_MS
    assert settings(connection, topics.SOURCE_POSITIONS)["cleanup.policy"] == "compact"
    assert settings(connection, topics.LEDGER)["retention.ms"] == "-1"


def test_validated_records_are_kept_for_ever_and_those_on_their_way_as_the_broker_says(stack: Stack) -> None:
    connection, dataset = Connection(stack.bootstrap_servers), f"topics.t{uuid.uuid4().hex[:10]}"
    ensure_dataset(connection, dataset, 1, 2)
    kept = {topic: settings(connection, topic)["retention.ms"] for topic in topics.of_dataset(dataset, 1)}
    assert [topic for topic, ms in kept.items() if ms == "-1"] == [topics.validated(dataset, 1)]


@pytest.mark.parametrize(
    ("kept_for", "warns"), [(timedelta(days=1), False), (timedelta(days=1_000_000_000 // 2), True)]
)
def test_brokers_that_forget_positions_too_soon_are_warned_of(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kept_for: timedelta, warns: bool
) -> None:
    """The local broker keeps them for 4,000 years: what is long enough is moved instead."""
    monkeypatch.setattr(kafka_topics, "_LONG", kept_for)
    kafka_topics.warn_of_lost_positions(Connection(stack.bootstrap_servers))
    assert ("offsets.retention.minutes" in caplog.text) == warns
