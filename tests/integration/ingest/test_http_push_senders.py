"""Senders of other kinds, against a real broker: services that call webhooks, CloudEvents, tokens of a dataset."""

import gzip
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from pydantic import SecretStr

from headrace.contract import Contract
from headrace.stream.service import LiveDataset
from services.ingest.adapters.server import HttpServer
from services.ingest.connectors.http_push.desk import Desk
from services.ingest.connectors.http_push.http import create_app
from services.ingest.connectors.http_push.push import PushWriter
from tests.integration.ingest.running import TOKEN, Platform, until


@contextmanager
def serving(platform: Platform, contract: Contract, port: int, secrets: dict[str, str]) -> Iterator[httpx.Client]:
    """Pushes for one dataset served in this process, which knows secrets."""
    desk = Desk(64 << 20)
    live = LiveDataset(contract.dataset, 1, 1, "active", contract)
    stopping, threads = threading.Event(), []
    for keyed in (False, True):
        writer = PushWriter(
            live,
            platform.connection,
            platform.registry,
            desk,
            keyed=keyed,
            instance=str(port),
            transaction_timeout_ms=15_000,
        )
        threads.append(threading.Thread(target=writer.run, args=(stopping,)))
        threads[-1].start()
    desk.learn({live.name: live})
    app = create_app(
        desk,
        SecretStr(TOKEN),
        max_body_bytes=1 << 20,
        timeout_s=30,
        secret=lambda name: SecretStr(secrets[name]),
    )
    server = HttpServer(app, "127.0.0.1", port)
    server.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/v1/datasets/{contract.dataset}", timeout=60) as client:
            yield client
    finally:
        server.close()
        stopping.set()
        for thread in threads:
            thread.join(30)


def push(client: httpx.Client, body: str, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
    return client.post("/rows", content=body, headers=headers).status_code


def test_a_token_that_is_replaced_is_refused_within_two_seconds(platform: Platform, dataset: str, port: int) -> None:
    contract = platform.apply(dataset, {"type": "http_push", "tokens": ["secret://writer"]})
    secrets = {"writer": "first-token"}
    with serving(platform, contract, port, secrets) as client:
        assert push(client, '{"id": 1}', "first-token") == 202
        assert push(client, '{"id": 2}', TOKEN) == 401
        secrets["writer"] = "second-token"
        until(lambda: push(client, "", "first-token") == 401, "the old token is refused", deadline_s=2.0)
        assert push(client, '{"id": 3}', "second-token") == 202
    assert platform.column(dataset, "id") == [1, 3]


def test_a_signed_webhook_is_written_once_and_a_forged_one_never(platform: Platform, dataset: str, port: int) -> None:
    webhook = {
        "secret": "secret://hook",
        "signature_header": "X-Hub-Signature-256",
        "prefix": "sha256=",
        "key_header": "X-GitHub-Delivery",
    }
    contract = platform.apply(dataset, {"type": "http_push", "webhook": webhook})
    body = gzip.compress(json.dumps({"id": 1, "action": "opened"}, indent=2).encode())

    def call(client: httpx.Client, secret: str, delivery: str) -> httpx.Response:
        signature = hmac.new(secret.encode(), body, "sha256").hexdigest()
        return client.post(
            "/webhook",
            content=body,
            headers={
                "Content-Type": "application/json",
                "Content-Encoding": "gzip",
                "X-Hub-Signature-256": f"sha256={signature}",
                "X-GitHub-Delivery": delivery,
            },
        )

    with serving(platform, contract, port, {"hook": "shared"}) as client:
        answers = [call(client, secret, "d-1") for secret in ("shared", "shared", "guess")]
        assert [answer.status_code for answer in answers] == [202, 202, 401]
        assert [answer.json()["repeated"] for answer in answers[:2]] == [False, True]
        assert call(client, "shared", "d-2").json()["repeated"] is False, "the control: another delivery is another row"
    assert platform.rows(dataset).to_pylist()[0]["action"] == "opened"
    assert platform.column(dataset, "id") == [1, 1]


def test_events_of_all_modes_become_rows_once(platform: Platform, dataset: str, port: int) -> None:
    contract = platform.apply(dataset, {"type": "http_push"})
    event: dict[str, Any] = {"specversion": "1.0", "source": "/shop", "type": "sold", "time": "2024-01-01T00:00:00Z"}
    authorised = {"Authorization": f"Bearer {TOKEN}"}
    with serving(platform, contract, port, {}) as client:

        def structured(number: int) -> dict[str, Any]:
            body = json.dumps({**event, "id": f"e{number}", "data": {"id": number}})
            kind = {"Content-Type": "application/cloudevents+json"}
            answer: dict[str, Any] = client.post("/rows", content=body, headers={**authorised, **kind}).json()
            return answer

        assert [structured(1)["repeated"] for _ in range(2)] == [False, True]
        binary = {**authorised, "Content-Type": "application/json", "ce-id": "e2"}
        binary |= {f"ce-{name}": value for name, value in event.items()}
        assert client.post("/rows", content='{"id": 2}', headers=binary).json()["accepted"] == 1
        batch = json.dumps([{**event, "id": "e3", "data": {"id": 3}}, {**event, "data": {"id": 4}}])
        kind = {"Content-Type": "application/cloudevents-batch+json"}
        answer = client.post("/rows", content=batch, headers={**authorised, **kind}).json()
        assert (answer["accepted"], answer["quarantined"]) == (1, 1)
    assert platform.column(dataset, "id") == [1, 2, 3]
    assert platform.column(dataset, "ce_id") == ["e1", "e2", "e3"]
    assert [value.year for value in platform.column(dataset, "ce_time")] == [2024] * 3
    assert platform.books(dataset) == {"rows_in": 4, "emitted": 3, "quarantined:unreadable_row": 1}
