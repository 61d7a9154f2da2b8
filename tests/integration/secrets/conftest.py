"""Secrets in their topic, as gateways and ingests have them."""

import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer
from pydantic import SecretBytes

from headrace.secrets.keys import MasterKeys
from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.known_secrets import KnownSecrets
from headrace.stream.registry import Registry
from headrace.stream.secret_log import SecretLog
from services.gateway.adapters.secret_keeper import SecretKeeper
from tests.stack import Stack

KEYS = MasterKeys({"first": SecretBytes(b"1" * 32)})


@pytest.fixture
def connection(stack: Stack) -> Connection:
    made = Connection(stack.bootstrap_servers)
    kafka_topics.ensure_control(made)
    return made


@pytest.fixture
def registry(stack: Stack) -> Registry:
    return Registry(stack.registry_url)


@pytest.fixture
def controls(registry: Registry) -> Controls:
    return Controls(registry)


@pytest.fixture
def name(connection: Connection) -> Iterator[str]:
    """The name of a secret that no other test uses; gone afterwards."""
    made = f"t{uuid.uuid4().hex[:10]}"
    yield made
    producer = Producer(connection.client())
    producer.produce(topics.SECRETS, None, made)
    assert producer.flush(10) == 0


@pytest.fixture
def log(connection: Connection, controls: Controls) -> SecretLog:
    return SecretLog(connection, controls, "gateway", "test")


@pytest.fixture
def keeper(log: SecretLog) -> SecretKeeper:
    """As a gateway has it."""
    return SecretKeeper(log, KEYS)


@pytest.fixture
def known(connection: Connection, registry: Registry) -> Iterator[KnownSecrets]:
    """As an ingest has them."""
    made = KnownSecrets(connection, registry, KEYS, "ingest", "test")
    yield made
    made.close()
