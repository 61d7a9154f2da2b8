"""The local stack that all tests of a run share: real broker, registry and warehouse on free ports, services on demand."""

import json
import os
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from confluent_kafka import IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from deploy.local import stack as local
from deploy.local.credentials import Credentials, ensure
from deploy.local.settings import StackSettings
from headrace.client import Client
from headrace.stream import topics
from headrace.stream.kafka import Connection, Replay
from headrace.stream.kafka import topics as kafka_topics

#: A member that is gone is missed sooner than in production, so that tests of failure need not wait.
QUICK: Final = {"HEADRACE_SESSION_TIMEOUT_MS": "6000", "HEADRACE_TRANSACTION_TIMEOUT_MS": "10000"}
PORTS: Final = tuple(name for name in StackSettings.model_fields if name.endswith("_port"))


@dataclass(frozen=True, slots=True)
class Stack:
    """Where the parts of a running stack are; `settings` is what `deploy.local.stack` takes to break and mend them."""

    settings: StackSettings

    @property
    def bootstrap_servers(self) -> str:
        return self.settings.bootstrap_servers

    @property
    def registry_url(self) -> str:
        return self.settings.registry_url

    @property
    def warehouse_url(self) -> str:
        return self.settings.warehouse_url

    @property
    def gateway_url(self) -> str:
        return self.settings.gateway_url

    @property
    def credentials(self) -> Credentials:
        return ensure(self.settings.home)


@dataclass(frozen=True, slots=True)
class Platform:
    """The stack with its services running, and a client of its gateway."""

    stack: Stack
    client: Client

    @classmethod
    @contextmanager
    def connect(cls, stack: Stack) -> Iterator["Platform"]:
        """As the administrator."""
        stack.settings.files.mkdir(parents=True, exist_ok=True)
        with Client(stack.gateway_url, stack.credentials.admin_token.get_secret_value(), timeout_s=120) as client:
            yield cls(stack, client)

    @property
    def files(self) -> Path:
        """Where ingest looks for the relative paths of file sources."""
        return self.stack.settings.files

    def pusher(self) -> httpx.Client:
        """A client of ingest that may push."""
        token = self.stack.credentials.push_token.get_secret_value()
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.stack.settings.ingest_url, headers=headers, timeout=60)

    def push(self, dataset: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Push rows, each once, as soon as the dataset takes them."""
        body = "\n".join(json.dumps(row) for row in rows)
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": uuid.uuid4().hex}
        path = f"/v1/datasets/{dataset}/rows"
        with self.pusher() as client:
            eventually(
                lambda: client.post(path, content=body, headers=headers).is_success, 60, f"{dataset} takes pushes"
            )


@contextmanager
def running(only: Iterable[str], folder: Path | None = None) -> Iterator[Stack]:
    """A stack of its own with these components, on free ports, stopped and deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="headrace-") as made:
        ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        settings = StackSettings.model_validate(
            {"data_dir": folder or Path(made), "service_environment": QUICK, **ports}
        )
        try:
            local.up(settings, only=only)
            yield Stack(settings)
        finally:
            local.down(settings)
            keep_logs(settings)


def forget_datasets(stack: Stack) -> None:
    """Take away every dataset that tests have left behind, with its topics.

    Each costs every service its threads and the broker its fetches; a broker with thousands of partitions starts slowly.
    """
    connection = Connection(stack.bootstrap_servers)
    kafka_topics.ensure_control(connection)
    replay, producer, admin = (
        Replay(connection, topics.DATASETS),
        Producer(connection.client()),
        AdminClient(connection.client()),
    )
    try:
        keys = {key for records in replay.advance() for key in records.keys if key is not None}
    finally:
        replay.close()
    for key in keys:
        producer.produce(topics.DATASETS, None, key)
    assert producer.flush(30) == 0
    prefixes = tuple(f"{key.decode()}." for key in keys)
    theirs = [name for name in admin.list_topics(timeout=30).topics if name.startswith(prefixes)]
    for deleted in admin.delete_topics(theirs, operation_timeout=30).values() if theirs else ():
        deleted.result(60)


def ends(connection: Connection, topic: str, isolation: IsolationLevel) -> list[int]:
    """The end of each partition, in front of open transactions or behind them; nothing when the topic is not known.

    The client is new: an old one asks a leader that is gone. Errors: KafkaException, TimeoutError.
    """
    admin = AdminClient(connection.client())
    latest: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    partitions = admin.list_topics(topic, timeout=10).topics[topic].partitions
    asked = admin.list_offsets(
        {TopicPartition(topic, number): latest for number in partitions}, isolation_level=isolation
    )
    return [future.result(10).offset for future in asked.values()]


def let_commits_arrive(connection: Connection, topic: str, patience_s: float = 2.0) -> None:
    """A commit is decided before the partitions are told of it: wait until no transaction is open on them, or is meant to be."""
    until = time.monotonic() + patience_s
    both = (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
    while len({tuple(ends(connection, topic, isolation)) for isolation in both}) > 1 and time.monotonic() < until:
        time.sleep(0.02)


def keep_logs(settings: StackSettings) -> None:
    """Leave the logs where CI or a person can read them, when HEADRACE_TEST_LOGS says where."""
    target = os.environ.get("HEADRACE_TEST_LOGS")
    if target and settings.logs.exists():
        place = Path(target) / settings.home.name
        place.mkdir(parents=True, exist_ok=True)
        for log in settings.logs.iterdir():
            (place / log.name).write_bytes(log.read_bytes())


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on at the moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def eventually(condition: Callable[[], bool], deadline_s: float, what: str) -> None:
    """Wait until `condition` holds. Errors: AssertionError that says `what` did not come about."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"not within {deadline_s:g} s: {what}"
        time.sleep(0.1)
