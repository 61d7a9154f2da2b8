"""What becomes of requests before a broker is asked: whose counter they wait at, and which are answered at once."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from headrace.contract import load
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection
from headrace.stream.kafka.topics import PUSH_KEYS_KEPT
from headrace.stream.memory import MemorySchemas
from headrace.stream.service import LiveDataset
from services.ingest.connectors.http_push import intake
from services.ingest.connectors.http_push.desk import Answer, Desk, Push
from services.ingest.connectors.http_push.http import create_app
from services.ingest.connectors.http_push.push import AcceptedKeys, PushWriter
from services.ingest.connectors.http_push.push_body import Unreadable

NOWHERE = Connection("127.0.0.1:1")
TOKEN = "push-token-of-the-tests"
EVENTS = LiveDataset(
    "shop.events",
    1,
    1,
    "active",
    load("dataset: shop.events\ndescription: Events.\nowner: {team: shop}\nsource: {type: http_push}\n"),
)


@contextmanager
def working(desk: Desk) -> Iterator[None]:
    """A writer at work; no broker is within its reach."""
    writer = PushWriter(
        EVENTS, NOWHERE, MemorySchemas(), desk, keyed=False, instance="0", transaction_timeout_ms=15_000
    )
    stopping = threading.Event()
    thread = threading.Thread(target=writer.run, args=(stopping,))
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(30)


def beyond_any_calendar() -> bytes:
    """An Arrow stream that is well-formed, with a moment that Python cannot even print."""
    table = pa.table({"at": pa.array([2**62], pa.timestamp("s"))})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def test_a_value_nobody_can_read_costs_its_request_and_not_the_writer() -> None:
    desk = Desk(1 << 20)
    with working(desk):
        for _ in range(2):  # the second finds the writer still at work
            answer = desk.hand_in(EVENTS.name, Push(beyond_any_calendar(), "arrow", None))
            with pytest.raises(Unreadable, match="too large"):
                answer.result(30)


def test_a_dataset_whose_writer_has_ended_takes_no_pushes() -> None:
    desk = Desk(1 << 20)
    with working(desk):
        assert desk.takes(EVENTS.name, keyed=False)
    assert not desk.takes(EVENTS.name, keyed=False)
    with pytest.raises(KeyError):
        desk.hand_in(EVENTS.name, Push(b"", "json", None))


def test_a_writer_that_ends_late_leaves_the_counter_of_its_successor() -> None:
    desk = Desk(1 << 20)
    old = desk.open(EVENTS.name, keyed=False)
    desk.open(EVENTS.name, keyed=False)
    desk.close(old)
    assert desk.takes(EVENTS.name, keyed=False)


def push(client: TestClient, name: str) -> int:
    """The status of the answer."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/vnd.apache.arrow.stream"}
    return client.post(f"/v1/datasets/{name}/rows", content=beyond_any_calendar(), headers=headers).status_code


def test_a_push_right_after_apply_waits_for_the_dataset_and_holds_up_nobody() -> None:
    desk = Desk(1 << 20)
    app = create_app(desk, SecretStr(TOKEN), max_body_bytes=1 << 20, timeout_s=30)
    answers: list[int] = []
    with TestClient(app) as client:
        early = threading.Thread(target=lambda: answers.append(push(client, EVENTS.name)))
        early.start()
        assert client.get("/healthz").status_code == 200
        assert not answers
        desk.learn({EVENTS.name: EVENTS})
        with working(desk):
            early.join(30)
        assert answers == [400]  # taken, and then found to be unreadable


def test_only_a_dataset_that_is_known_not_to_be_there_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender that is told 404 may give its rows up."""
    monkeypatch.setattr(intake, "_APPEARS_S", 0.0)
    desk = Desk(1 << 20)
    with TestClient(create_app(desk, SecretStr(TOKEN), max_body_bytes=1 << 20, timeout_s=30)) as client:
        assert push(client, EVENTS.name) == 503, "nothing is known yet"
        desk.learn({})
        assert push(client, EVENTS.name) == 404
        desk.learn({EVENTS.name: EVENTS})
        assert push(client, EVENTS.name) == 503, "its writer is away"
        desk.learn({EVENTS.name: replace(EVENTS, state="retired")})
        assert push(client, EVENTS.name) == 404


def test_a_key_is_known_for_as_long_as_its_topic_keeps_it() -> None:
    keys = AcceptedKeys(NOWHERE, Controls(MemorySchemas()), EVENTS.name)
    now, hour = datetime.now(UTC), timedelta(hours=1)
    keys.remember("old", "aa", Answer(1, 0), now - PUSH_KEYS_KEPT - hour)
    keys.remember("young", "bb", Answer(2, 0), now - PUSH_KEYS_KEPT + hour)
    assert keys.find("old") is None
    assert keys.find("young") == ("bb", Answer(2, 0))


def test_every_route_is_described_with_its_bodies_and_its_problems() -> None:
    paths = create_app(Desk(1), None, max_body_bytes=1, timeout_s=1).openapi()["paths"]
    pushing = {path: found for path, found in paths.items() if path.startswith("/v1/")}
    assert [path.rpartition("/")[2] for path in pushing] == ["rows", "webhook", "stream", "{producer}"]
    for found in pushing.values():
        for operation in found.values():
            assert "application/problem+json" in operation["responses"]["401"]["content"]
    assert "application/cloudevents+json" in paths["/v1/datasets/{name}/rows"]["post"]["requestBody"]["content"]
