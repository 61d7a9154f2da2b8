"""A running ingest, datasets for it, and what it wrote."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import httpx
import pyarrow as pa
from confluent_kafka import Consumer, Producer, TopicPartition

from headrace.contract import Contract
from headrace.stream import topics
from headrace.stream.codec import Codec
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, Followed
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.registry import Registry
from tests.stack import Stack, let_commits_arrive

TOKEN = "push-token-of-the-tests"


def until(condition: Callable[[], bool], what: str, deadline_s: float = 120.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {deadline_s:g} s: {what}")
        time.sleep(0.05)


class Platform:
    """Brokers and registry as a test sees them."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.bootstrap_servers = stack.bootstrap_servers
        self.registry_url = stack.registry_url
        self.connection = Connection(stack.bootstrap_servers)
        self.registry = Registry(stack.registry_url)
        self.controls = Controls(self.registry)
        kafka_topics.ensure_control(self.connection)
        self._positions = Followed(self.connection, topics.SOURCE_POSITIONS, self.controls.decode)

    def apply(self, name: str, source: Mapping[str, Any], *, version: int = 1, **more: Any) -> Contract:
        """Make a version of a dataset live, as the gateway does."""
        document = {
            "dataset": name,
            "description": "a test",
            "owner": {"team": "tests"},
            "source": dict(source),
            **more,
        }
        contract = Contract.from_json(json.dumps(document))
        kafka_topics.ensure_dataset(self.connection, name, 1, contract.partitions)
        record = {
            "name": name,
            "version": version,
            "generation": 1,
            "state": "active",
            "document": contract.canonical_json(),
            "applied_at": datetime.now(UTC),
            "applied_by": "test",
        }
        producer = Producer({"bootstrap.servers": self.bootstrap_servers})
        producer.produce(topics.DATASETS, self.controls.encode("dataset", record), name)
        assert producer.flush(10) == 0
        return contract

    def retire(self, name: str) -> None:
        """Take a dataset away, so that later ingests leave it alone."""
        producer = Producer({"bootstrap.servers": self.bootstrap_servers})
        producer.produce(topics.DATASETS, None, name)
        assert producer.flush(10) == 0

    def messages(self, topic: str) -> list[tuple[int, int, bytes | None, bytes]]:
        """(partition, offset, key, value) of everything committed."""
        let_commits_arrive(Connection(self.bootstrap_servers), topic)
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap_servers,
                "group.id": "test-reader",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 20,
            }
        )
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
            found: list[tuple[int, int, bytes | None, bytes]] = []
            ended: set[int] = set()
            while len(ended) < len(partitions):
                for message in consumer.consume(5000, timeout=0.05):
                    if message.error() is None:
                        place = cast(int, message.partition()), cast(int, message.offset())
                        found.append((*place, message.key(), cast(bytes, message.value())))
                    else:
                        ended.add(cast(int, message.partition()))
            return sorted(found, key=lambda entry: entry[:2])
        finally:
            consumer.close()

    def rows(self, name: str) -> pa.Table:
        """Every record of the raw topic, in the newest schema, partition by partition."""
        latest = self.registry.latest(topics.subject(topics.raw(name)))
        assert latest is not None
        schema = Codec(latest[1]).arrow_schema
        tables = []
        by_schema: dict[bytes, list[bytes]] = {}
        for _, _, _, value in self.messages(topics.raw(name)):
            by_schema.setdefault(value[:5], []).append(value)
        for head, values in by_schema.items():
            avro = self.registry.schema(int.from_bytes(head[1:], "big"))
            assert avro is not None
            decoded = Codec(avro).decode(values)
            assert not decoded.failures
            tables.append(pa.Table.from_batches([decoded.rows]))
        return pa.concat_tables(tables, promote_options="default").select(schema.names)

    def column(self, name: str, column: str) -> list[Any]:
        """The values of a column, sorted."""
        values: list[Any] = self.rows(name).column(column).to_pylist()
        return sorted(values)

    def quarantine(self, name: str) -> list[dict[str, Any]]:
        """Every record that was set aside."""
        return [self.controls.decode(value) for _, _, _, value in self.messages(topics.quarantine(name))]

    def books(self, name: str) -> dict[str, int]:
        """The ledger of ingest, added up."""
        total: Counter[str] = Counter()
        for _, _, key, value in self.messages(topics.LEDGER):
            if key == name.encode():
                entry = self.controls.decode(value)
                assert entry["stage"] == "ingest"
                assert entry["rows_in"] == entry["emitted"] + sum(entry["quarantined"].values())
                total.update(rows_in=entry["rows_in"], emitted=entry["emitted"])
                total.update({f"quarantined:{reason}": count for reason, count in entry["quarantined"].items()})
        return dict(total)

    def position(self, name: str) -> dict[str, Any] | None:
        """The last committed position of a source."""
        self._positions.refresh()
        return self._positions.state.get(name)

    def rows_read(self, name: str) -> int:
        """How many rows of a source the last committed position counts."""
        return int((self.position(name) or {"rows_read": 0})["rows_read"])

    def caught_up(self, name: str, rows: int) -> bool:
        """Whether a source has been read to its end, and that many rows of it."""
        found = self.position(name)
        return found is not None and found["caught_up"] and found["rows_read"] == rows

    def forget_position(self, name: str) -> None:
        """Delete the position of a source."""
        producer = Producer({"bootstrap.servers": self.bootstrap_servers})
        producer.produce(topics.SOURCE_POSITIONS, None, name)
        assert producer.flush(10) == 0


class Ingest:
    """A process of the service."""

    def __init__(self, platform: Platform, port: int, folder: Path, **settings: Any) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._log = folder / f"ingest-{port}.log"
        environment = {
            **os.environ,
            "HEADRACE_BOOTSTRAP_SERVERS": platform.bootstrap_servers,
            "HEADRACE_REGISTRY_URL": platform.registry_url,
            "HEADRACE_HTTP_PORT": str(port),
            "HEADRACE_INSTANCE": str(port),
            "HEADRACE_PUSH_TOKEN": TOKEN,
            "HEADRACE_SOURCE_DIR": str(folder),
            "HEADRACE_SOURCE_NETWORKS": '["127.0.0.0/8", "::1/128"]',
            "HEADRACE_POLL_INTERVAL_S": "0.1",
            "HEADRACE_SETTLE_S": "0",
            "HEADRACE_SESSION_TIMEOUT_MS": "6000",
            **{f"HEADRACE_{name.upper()}": str(value) for name, value in settings.items()},
        }
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.ingest"],
                env=environment,
                stdout=log,
                stderr=log,
                cwd=Path(__file__).parents[3],
            )

    def wait(self) -> "Ingest":
        """Until it listens."""

        def listening() -> bool:
            assert self.process.poll() is None, self.log()[-3000:]
            try:
                return httpx.get(f"{self.url}/healthz", timeout=1).status_code == 200
            except httpx.HTTPError:
                return False

        until(listening, "ingest listens")
        return self

    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text()

    def rows_in(self, name: str) -> int:
        """How many source rows of a dataset this process has published, by its own count."""
        found = re.search(
            rf'^headrace_rows_in_total{{dataset="{re.escape(name)}",generation="1",stage="ingest"}} (\S+)$',
            httpx.get(f"{self.url}/metrics", timeout=10).text,
            re.MULTILINE,
        )
        return int(float(found[1])) if found else 0

    def kill(self) -> None:
        """SIGKILL."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM. Returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def push(
        self, name: str, body: bytes | str, kind: str = "application/x-ndjson", key: str | None = None, **headers: str
    ) -> httpx.Response:
        """POST rows."""
        sent = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind, **headers}
        if key is not None:
            sent["Idempotency-Key"] = key
        return httpx.post(f"{self.url}/v1/datasets/{name}/rows", content=body, headers=sent, timeout=60)

    def push_when_ready(self, name: str, body: bytes | str, **more: Any) -> httpx.Response:
        """POST rows as soon as the dataset is known."""
        answers: list[httpx.Response] = []

        def taken() -> bool:
            answers.append(self.push(name, body, **more))
            return answers[-1].status_code not in (404, 503)

        until(taken, f"{name} takes pushes")
        return answers[-1]


@contextmanager
def ingest(platform: Platform, port: int, folder: Path, **settings: Any) -> Iterator[Ingest]:
    """A running service, stopped at the end."""
    started = Ingest(platform, port, folder, **settings)
    try:
        yield started.wait()
    finally:
        if started.process.poll() is None:
            started.stop()
