"""What the API says of generations, and what it refuses; without services that would load them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from fastapi.testclient import TestClient

from headrace.stream import topics
from headrace.stream.branches import Place
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection
from headrace.stream.registry import Registry
from headrace.stream.service import every_generation, live_datasets
from tests.integration.gateway.conftest import MakeGateway


def orders(name: str, more: str = "") -> str:
    return (
        f"dataset: {name}\ndescription: Orders.\nowner: {{team: t}}\nsource: {{type: http_push}}\npartitions: 1\n{more}"
    )


TEXT = "schema: {fields: [{name: amount, logicalType: string}]}"


def asked(client: TestClient, name: str, what: str, **body: Any) -> tuple[HTTPStatus, dict[str, Any]]:
    response = client.post(f"/api/v1/datasets/{name}/generations{what}", json={"because": "a test", **body})
    return HTTPStatus(response.status_code), response.json()


def applied(client: TestClient, name: str) -> None:
    assert client.put(f"/api/v1/datasets/{name}", json={"document": orders(name)}).status_code == HTTPStatus.OK


def test_a_replay_makes_topics_and_leaves_what_is_live_alone(
    make_gateway: MakeGateway, connection: Connection, registry: Registry, domain: str
) -> None:
    client, name = make_gateway(), f"{domain}.orders"
    applied(client, name)
    status, made = asked(client, name, "", document=orders(name, TEXT))
    assert (status, made["generation"], made["version"], made["state"]) == (HTTPStatus.CREATED, 2, 2, "candidate")
    found = AdminClient(connection.client()).list_topics(timeout=10).topics
    assert {topics.validated(name, 2), topics.transformed(name, 2)} <= found.keys()
    live = client.get(f"/api/v1/datasets/{name}").json()
    assert (live["generation"], live["version"]) == (1, 1)
    followed = live_datasets(connection, registry)
    followed.refresh()
    try:
        seen = followed.state[name]
        assert [(each.generation, each.version, each.role) for each in every_generation(seen)] == [
            (1, 1, "live"),
            (2, 2, "candidate"),
        ]
    finally:
        followed.close()

    status, body = asked(client, name, "/2/promote")
    assert (status, body["type"]) == (HTTPStatus.CONFLICT, "urn:headrace:problem:no-table")
    assert asked(client, name, "/1/promote")[1]["state"] == "live"
    assert asked(client, name, "/7/promote")[0] == HTTPStatus.NOT_FOUND
    assert asked(client, name, "/rollback", leaving=1)[1]["type"] == "urn:headrace:problem:no-earlier-generation"
    assert asked(client, name, "/1/retire")[1]["type"] == "urn:headrace:problem:live-generation"
    noon = "2026-01-02T12:00:00Z"
    none = asked(
        client, name, "", document=orders(name, TEXT), ingested_from=noon, ingested_to="2026-01-02T13:00:00+01:00"
    )
    assert (none[0], none[1]["type"]) == (HTTPStatus.UNPROCESSABLE_ENTITY, "urn:headrace:problem:empty-range")
    assert asked(client, name, "/2/retire")[1]["state"] == "retired"
    assert asked(client, name, "/2/retire")[0] == HTTPStatus.OK
    assert asked(client, name, "", document=orders(name, TEXT))[1]["generation"] == 3
    changed = client.put(f"/api/v1/datasets/{name}", json={"document": orders(name, "tags: [shop]")}).json()
    assert (changed["generation"], changed["version"]) == (1, 4)


def test_what_a_branch_reads_is_not_retired(
    make_gateway: MakeGateway, connection: Connection, registry: Registry, domain: str
) -> None:
    client, name, branch = make_gateway(), f"{domain}.orders", f"{domain}.large"
    applied(client, name)
    asked(client, name, "", document=orders(name, TEXT))
    source = f"{{type: dataset, dataset: {name}}}"
    document = orders(branch).replace("{type: http_push}", source)
    assert client.put(f"/api/v1/datasets/{branch}", json={"document": document}).status_code == HTTPStatus.OK
    stands(connection, registry, branch, Place(name, 2, 1, {"0": 7}))
    status, body = asked(client, name, "/2/retire")
    assert (status, body["type"]) == (HTTPStatus.CONFLICT, "urn:headrace:problem:branches-read-it")
    assert branch in body["detail"]
    stands(connection, registry, branch, Place(name, 1, 2, {}))  # it has left
    assert asked(client, name, "/2/retire")[1]["state"] == "retired"


def stands(connection: Connection, registry: Registry, branch: str, place: Place) -> None:
    """The source of a branch has been read up to there."""
    told = {"dataset": branch, "connector": "dataset", "position": place.to_json(), "rows_read": 7, "caught_up": True}
    told |= {"version": 1, "run": 0, "run_rows": 0, "begun_at": None, "request": "", "at": datetime.now(UTC)}
    producer = Producer(connection.client())
    producer.produce(topics.SOURCE_POSITIONS, Controls(registry).encode("source_position", told), branch)
    assert producer.flush(30) == 0


def test_two_who_replay_at_once_get_two_generations(make_gateway: MakeGateway, domain: str) -> None:
    client, name = make_gateway(), f"{domain}.orders"
    applied(client, name)
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda _: asked(client, name, "", document=orders(name, TEXT)), range(2)))
    assert sorted(made["generation"] for _, made in both) == [2, 3]
    assert sorted(made["version"] for _, made in both) == [2, 3]


def test_a_replay_that_would_lack_records_is_refused(
    make_gateway: MakeGateway, connection: Connection, domain: str
) -> None:
    client, name = make_gateway(), f"{domain}.orders"
    applied(client, name)
    staged = topics.staged(name)
    producer = Producer(connection.client())
    for _ in range(3):
        producer.produce(staged, b"record", partition=0)
    assert producer.flush(30) == 0
    admin = AdminClient(connection.client())
    for deleted in admin.delete_records([TopicPartition(staged, 0, 2)]).values():
        deleted.result(30)
    status, body = asked(client, name, "", document=orders(name, TEXT))
    assert (status, body["type"]) == (HTTPStatus.CONFLICT, "urn:headrace:problem:records-deleted")
    assert len(client.get(f"/api/v1/datasets/{name}/generations").json()["items"]) == 1
