"""A source that is away is said to be, and read on when it is back; who may push is asked of the store of secrets."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from headrace.secrets.envelope import seal
from headrace.secrets.keys import loaded, new_key
from headrace.stream import topics
from headrace.stream.secret_log import SecretChange, SecretLog, SecretRecord, Secrets
from tests.integration.ingest.running import Ingest, Platform, until
from tests.stack import free_ports

KEY = new_key()


@pytest.fixture
def ingest(platform: Platform, port: int, tmp_path: Path) -> Iterator[Ingest]:
    running = Ingest(platform, port, tmp_path, master_key=KEY.get_secret_value()).wait()
    yield running
    running.kill()


class Api(BaseHTTPRequestHandler):
    """Three rows."""

    def do_GET(self) -> None:
        body = json.dumps([{"id": number} for number in range(3)]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def incidents(platform: Platform, dataset: str) -> list[tuple[str, str]]:
    found = [platform.controls.decode(value) for _, _, _, value in platform.messages(topics.INCIDENTS)]
    return [
        (each["state"], each["message"])
        for each in found
        if (each["type"], each["dataset"]) == ("source_down", dataset)
    ]


def test_an_outage_is_told_and_its_end(platform: Platform, dataset: str, ingest: Ingest) -> None:
    (api_port,) = free_ports(1)
    source = {"type": "rest", "url": f"http://127.0.0.1:{api_port}/rows", "records": "$"}
    platform.apply(dataset, source)
    until(lambda: any(state == "open" for state, _ in incidents(platform, dataset)), "the outage is told")
    (state, message), *_ = incidents(platform, dataset)
    assert (state, f"the source of {dataset} is down since" in message) == ("open", True)
    server = HTTPServer(("127.0.0.1", api_port), Api)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        until(lambda: platform.caught_up(dataset, 3), "the rows are read once the source is back")
        until(lambda: incidents(platform, dataset)[-1][0] == "resolved", "the end of the outage is told")
    finally:
        server.shutdown()
        server.server_close()
    assert platform.column(dataset, "id") == [0, 1, 2]


def set_secret(platform: Platform, name: str, value: str) -> None:
    """As the gateway sets it."""
    keys = loaded(SecretStr(KEY.get_secret_value()), None)

    def decide(secrets: Secrets) -> list[SecretChange]:
        standing = secrets.records.get(name)
        sealed = seal(keys, name, standing.sealed.version + 1 if standing else 1, value.encode())
        return [SecretChange(name, SecretRecord(sealed, datetime.now(UTC), "test"), "secret_set", "set", {})]

    SecretLog(platform.connection, platform.controls, "gateway", "test").change(decide)


def test_a_token_that_was_replaced_lets_nobody_in(platform: Platform, dataset: str, ingest: Ingest) -> None:
    secret = dataset.replace(".", "-")
    set_secret(platform, secret, "first-token-of-this-test")
    platform.apply(dataset, {"type": "http_push", "tokens": [f"secret://{secret}"]})

    def pushed(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
        return httpx.post(
            f"{ingest.url}/v1/datasets/{dataset}/rows", content=b'{"id": 1}\n', headers=headers, timeout=30
        ).status_code

    until(lambda: pushed("first-token-of-this-test") == 202, "the dataset's token is taken")
    assert pushed("another-token") == 401
    assert pushed("push-token-of-the-tests") == 401, "the platform's token is not taken beside the dataset's own"
    set_secret(platform, secret, "second-token-of-this-test")
    until(lambda: pushed("second-token-of-this-test") == 202, "the new token is taken")
    until(lambda: pushed("first-token-of-this-test") == 401, "the old one is refused")
