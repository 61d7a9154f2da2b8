"""HTTP push served in process, and a writer at work whose transactions are kept in memory."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr

from headrace.contract import Contract
from headrace.errors import Transient
from headrace.stream import topics
from headrace.stream.codec import Codec
from headrace.stream.columns import user_columns
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection
from headrace.stream.memory import MemorySchemas
from headrace.stream.service import LiveDataset
from headrace.stream.stage import Records
from services.ingest.connectors.http_push import push
from services.ingest.connectors.http_push.access import MaySend, no_accounts
from services.ingest.connectors.http_push.desk import Desk
from services.ingest.connectors.http_push.http import create_app
from services.ingest.connectors.http_push.push import PushWriter

TOKEN = "push-token-of-the-tests"
NAME = "shop.events"
NDJSON = "application/x-ndjson"
NOWHERE = Connection("127.0.0.1:1")


def dataset(**source: Any) -> LiveDataset:
    """A dataset that is pushed to."""
    document = {
        "dataset": NAME,
        "description": "Events.",
        "owner": {"team": "shop"},
        "source": {"type": "http_push", **source},
        "partitions": 1,
    }
    return LiveDataset(NAME, 1, 1, "active", Contract.from_json(json.dumps(document)))


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Broker:
    """Transactions in memory: written whole or not at all. `failures` are raised by the next ones, one each."""

    def __init__(self) -> None:
        self.schemas = MemorySchemas()
        self.log: list[tuple[str, bytes | None, bytes]] = []
        self.failures: list[Exception] = []
        self.transactions = 0
        self._pending: list[tuple[str, bytes | None, bytes]] = []

    @contextmanager
    def transaction(self) -> Iterator["Broker"]:
        """See `TransactionalWriter.transaction`."""
        self._pending = []
        yield self
        if self.failures:
            raise self.failures.pop(0)
        self.log += self._pending
        self.transactions += 1

    def produce(
        self,
        topic: str,
        values: Sequence[bytes],
        *,
        partition: int = -1,
        keys: Sequence[bytes | None] | None = None,
    ) -> None:
        """See `Transaction.produce`."""
        self._pending += [(topic, key, value) for key, value in zip(keys or [None] * len(values), values, strict=True)]

    def init(self) -> None:
        """See `TransactionalWriter.init`."""

    def close(self) -> None:
        """See `TransactionalWriter.close`."""

    def advance(self) -> Iterator[Records]:
        """See `Replay.advance`: everything, each time."""
        found = [(key, value) for topic, key, value in self.log if topic == topics.PUSH_KEYS]
        zeros: Any = pa.array(np.zeros(len(found), np.int64))
        yield Records(topics.PUSH_KEYS, zeros, zeros, zeros, [key for key, _ in found], [value for _, value in found])

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What is in the raw topic, in order."""
        found: list[dict[str, Any]] = []
        for topic, _, value in self.log:
            if topic == topics.raw(NAME):
                avro = self.schemas.schema(int.from_bytes(value[1:5], "big"))
                assert avro is not None
                rows = Codec(avro).decode([value]).rows
                found += rows.select(user_columns(rows.schema)).to_pylist()
        return found

    @property
    def aside(self) -> list[dict[str, Any]]:
        """What is in quarantine."""
        controls = Controls(self.schemas)
        return [controls.decode(value) for topic, _, value in self.log if topic == topics.quarantine(NAME)]


class Service:
    """Ingest as far as pushes go, in this process."""

    def __init__(self, broker: Broker, desk: Desk, app: FastAPI, clock: Clock) -> None:
        self.broker = broker
        self.desk = desk
        self.app = app
        self.clock = clock
        self.client = TestClient(app)

    def post(
        self,
        body: bytes | str,
        kind: str = NDJSON,
        *,
        to: str = "rows",
        token: str | None = TOKEN,
        **headers: str,
    ) -> Any:
        """POST; in the names of headers an underscore stands for a hyphen."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent |= {"Content-Type": kind} if kind else {}
        sent |= {"Authorization": f"Bearer {token}"} if token is not None else {}
        return self.client.post(f"/v1/datasets/{NAME}/{to}", content=body, headers=sent)


def secrets_of(known: Mapping[str, str]) -> Callable[[str], SecretStr]:
    """A store of secrets, looked up each time."""
    return lambda name: SecretStr(known[name])


@contextmanager
def served(
    live: LiveDataset,
    monkeypatch: pytest.MonkeyPatch,
    *,
    broker: Broker | None = None,
    secrets: Mapping[str, str] | None = None,
    token: str | None = TOKEN,
    clock: Clock | None = None,
    max_body_bytes: int = 1 << 20,
    queue_bytes: int = 4 << 20,
    may_send: MaySend = no_accounts,
) -> Iterator[Service]:
    """The application with both writers of a dataset at work."""
    broker, clock = broker or Broker(), clock or Clock()
    monkeypatch.setattr(push, "TransactionalWriter", lambda *_, **__: broker)
    monkeypatch.setattr(push, "committed", lambda *_: broker)
    desk = Desk(queue_bytes)
    desk.learn({live.name: live})
    stopping = threading.Event()
    threads = []
    for keyed in (False, True):
        writer = PushWriter(
            live, NOWHERE, broker.schemas, desk, keyed=keyed, instance="0", transaction_timeout_ms=15_000
        )
        threads.append(threading.Thread(target=writer.run, args=(stopping,)))
        threads[-1].start()
    app = create_app(
        desk,
        None if token is None else SecretStr(token),
        max_body_bytes=max_body_bytes,
        timeout_s=30,
        secret=secrets_of(secrets or {}),
        may_send=may_send,
        clock=clock,
        now_s=clock,
    )
    service = Service(broker, desk, app, clock)
    try:
        with service.client:
            yield service
    finally:
        stopping.set()
        for thread in threads:
            thread.join(30)


def problem(answer: Any, status: int) -> dict[str, Any]:
    """The problem of an answer with that status."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["detail"]
    assert body["next"]
    return body


def broken() -> Transient:
    """A broker that is away for a moment."""
    return Transient("the broker is away")
