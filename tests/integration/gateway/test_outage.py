"""A gateway that starts before everything else, and loses it again: it says so and recovers by itself."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient

from tests.integration.gateway.conftest import MakeGateway
from tests.integration.gateway.test_apply import airports, put
from tests.stack import Stack, eventually, free_ports


class Door:
    """A way to a server that can be shut: then nobody listens, and open connections break."""

    def __init__(self, target: str) -> None:
        host, _, port = target.partition(":")
        self._target = (host, int(port))
        (self.port,) = free_ports(1)
        self._listener: socket.socket | None = None
        self._through: list[socket.socket] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def open(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._let_in, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        listener, self._listener = self._listener, None
        through, self._through = self._through, []
        for each in (*([listener] if listener else []), *through):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _let_in(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                visitor, _ = listener.accept()
                inside = socket.create_connection(self._target)
                self._through += [visitor, inside]
                for source, target in ((visitor, inside), (inside, visitor)):
                    threading.Thread(target=_pour, args=(source, target), daemon=True).start()


def _pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for each in (source, target):
        each.close()


@pytest.fixture
def kafka(stack: Stack) -> Iterator[Door]:
    """The way by which Kafka is first found; the broker's own address is used from then on."""
    door = Door(stack.bootstrap_servers)
    yield door
    door.shut()


@pytest.fixture
def registry_door(stack: Stack) -> Iterator[Door]:
    door = Door(urlsplit(stack.registry_url).netloc)
    yield door
    door.shut()


@pytest.fixture
def warehouse(stack: Stack) -> Iterator[Door]:
    door = Door(urlsplit(stack.warehouse_url).netloc)
    yield door
    door.shut()


def reachable(client: TestClient) -> set[str]:
    return {part for part, state in client.get("/healthz").json()["parts"].items() if state["ok"]}


def test_it_starts_with_everything_down_and_recovers_by_itself(
    make_gateway: MakeGateway, stack: Stack, kafka: Door, registry_door: Door, warehouse: Door, domain: str
) -> None:
    name = f"{domain}.airports"
    client = make_gateway(
        bootstrap_servers=kafka.address,
        registry_url=f"http://{registry_door.address}{urlsplit(stack.registry_url).path}",
        warehouse_url=f"http://{warehouse.address}",
    )
    eventually(lambda: reachable(client) == {"database"}, 30, "only the database is there")
    status, body = put(client, name, airports(domain))
    assert (status, body["type"]) == (HTTPStatus.SERVICE_UNAVAILABLE, "urn:headrace:problem:unavailable")
    assert "Kafka" in str(body["detail"])

    kafka.open()
    eventually(lambda: "kafka" in reachable(client), 30, "Kafka is found")
    status, body = put(client, name, airports(domain))
    assert status == HTTPStatus.SERVICE_UNAVAILABLE
    assert "registry" in str(body["detail"])

    registry_door.open()
    eventually(
        lambda: reachable(client) == {"database", "kafka", "registry", "books", "audit"}, 60, "all but the warehouse"
    )
    eventually(lambda: put(client, name, airports(domain))[0] == HTTPStatus.OK, 60, "a dataset can be applied")
    query = client.post("/api/v1/query", json={"sql": "select 1"})
    assert query.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert "warehouse" in query.json()["detail"]

    warehouse.open()
    eventually(
        lambda: client.post("/api/v1/query", json={"sql": "select 1"}).status_code == HTTPStatus.OK, 30, "queries run"
    )
    assert client.get("/healthz").json()["status"] == "ok"

    warehouse.shut()
    assert client.post("/api/v1/query", json={"sql": "select 1"}).status_code == HTTPStatus.SERVICE_UNAVAILABLE
    warehouse.open()
    eventually(
        lambda: client.post("/api/v1/query", json={"sql": "select 1"}).status_code == HTTPStatus.OK, 30, "queries run"
    )
